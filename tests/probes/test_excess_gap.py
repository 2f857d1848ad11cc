"""The excess gap of students that carry over what they fit, and of some that do not."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from gapdoctor import Case, TeacherLogits
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Intervention, Side
from gapdoctor.observe.measures import limit_now, measure_left
from gapdoctor.observe.observations import Observations
from gapdoctor.probes.excess_gap import ExcessGap

PROBE = ExcessGap()
Claims = Callable[..., tuple[Claim, ...]]
Look = Callable[..., Observations]


def test_a_student_that_does_not_carry_over_is_named(planted: ModuleType, looked: Look) -> None:
    seen = looked(planted.overfitted())
    (claim,) = PROBE.examine(seen).claims  # type: ignore[union-attr]
    assert (claim.cause, claim.side) == (Cause.OVERFITTING, Side.EXCESS_GAP)
    assert claim.strength == PROBE.clear > 0
    assert (claim.returned, claim.intervention, claim.correction) == (None, None, None)
    (evidence,) = claim.evidence
    assert (evidence.unit, evidence.speaks) == ("nats", "for")
    assert evidence.value == measure_left(seen).excess_gap.value > 0.2
    assert evidence.limit == limit_now(seen)
    assert f"loses {evidence.value:.3g} nats more than its teacher" in evidence.statement


@pytest.mark.parametrize("pair", ["healthy", "short_of_fit"])
def test_one_that_does_speaks_against(planted: ModuleType, claims_of: Claims, pair: str) -> None:
    (claim,) = claims_of(PROBE, getattr(planted, pair)(3_000))
    assert claim.strength == PROBE.against < 0
    assert claim.evidence[0].speaks == "against"


def test_known_logits_have_a_known_excess_gap(planted: ModuleType, claims_of: Claims) -> None:
    """By heart on train rows, a blind guess of three classes elsewhere; its teacher guesses."""
    train = planted.rows(1, 100)
    student = planted.Memoriser(train, planted.linear(np.zeros((3, 4)), np.zeros(3)))
    guess = TeacherLogits(np.zeros((100, 3)), np.zeros((100, 3)))
    (claim,) = claims_of(PROBE, Case(student, guess, train, planted.rows(2, 100)))
    assert claim.evidence[0].value == pytest.approx(np.log(3), abs=1e-6)
    assert claim.strength == PROBE.clear


def test_a_teacher_that_overfits_alike_is_the_control(
    planted: ModuleType, claims_of: Claims
) -> None:
    teacher = planted.Memoriser(planted.rows(1, 3_000), planted.blind())
    (claim,) = claims_of(PROBE, planted.overfitted(3_000, teacher=teacher))
    assert claim.evidence[0].value == 0
    assert claim.strength == PROBE.against


def test_one_that_overfits_more_makes_it_negative(planted: ModuleType, claims_of: Claims) -> None:
    teacher = planted.Memoriser(planted.rows(1, 600), planted.blind())
    (claim,) = claims_of(PROBE, planted.healthy(teacher=teacher))
    assert claim.evidence[0].value < -0.2
    assert claim.strength == PROBE.against


def test_what_was_proven_is_left_out(planted: ModuleType, looked: Look) -> None:
    seen = looked(planted.mismatched(3_000))
    before = PROBE.examine(seen)
    seen.believe(Intervention("pipeline", "train"))
    after = PROBE.examine(seen)
    assert before.claims[0].strength == PROBE.clear  # type: ignore[union-attr]
    assert after.claims[0].strength == PROBE.against  # type: ignore[union-attr]


def logits(loss: Any) -> torch.Tensor:
    """Logits (n, 2) that lose so much on class 0."""
    return torch.tensor(np.stack([-np.log(np.expm1(loss)), 0 * loss], axis=1)).float()


@pytest.mark.parametrize(
    ("gap", "noise", "strength"),
    [(0.12, 0.01, "clear"), (0.06, 0.1, "some"), (0.0, 0.9, None), (0.0, 0.01, "against")],
)
def test_how_strongly_it_speaks(
    planted: ModuleType,
    claims_of: Claims,
    rng: np.random.Generator,
    gap: float,
    noise: float,
    strength: str | None,
) -> None:
    """On rows whose losses are known: ½ + noise, and `gap` more on held-out ones; h is 0.05."""
    n = 60
    normal = (np.arange(n) - (n - 1) / 2) / n  # the same spread on both splits, no luck
    train, held = (0.5 + noise * rng.permutation(normal) + more for more in (0, gap))
    teacher = logits(np.full(n, 0.5)).numpy()
    label = torch.zeros(n, dtype=torch.long)
    case = Case(
        planted.linear(np.eye(2), np.zeros(2)), TeacherLogits(teacher, teacher),
        (logits(train), label), (logits(held), label),
    )  # fmt: skip
    (claim,) = claims_of(PROBE, case)
    assert claim.evidence[0].value == pytest.approx(gap, abs=1e-5)
    assert claim.evidence[0].limit == pytest.approx(0.05)
    assert claim.strength == (0.0 if strength is None else getattr(PROBE, strength))
    assert claim.evidence[0].speaks == ("for" if claim.strength > 0 else "against")
