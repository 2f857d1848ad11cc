"""Memorisation on a student that knows its rows by heart, and on one that does not."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
import torch

from gapdoctor import Case, TeacherLogits
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Interval, Intervention, Side
from gapdoctor.observe.observations import Observations
from gapdoctor.probes.memorisation import Memorisation

PROBE = Memorisation()
Claims = Callable[..., tuple[Claim, ...]]


def test_a_student_that_knows_its_rows_by_heart_is_named(
    planted: ModuleType, claims_of: Claims
) -> None:
    (claim,) = claims_of(PROBE, planted.overfitted())
    assert (claim.cause, claim.side) == (Cause.OVERFITTING, Side.EXCESS_GAP)
    assert claim.strength == PROBE.clear
    auc, drop = claim.evidence
    assert (auc.unit, auc.limit, auc.speaks) == ("AUC", PROBE.auc_limit, "for")
    assert auc.value == pytest.approx(0.5, abs=0.05)  # 1 against the teacher's ½
    assert drop.value > 0.1
    assert "falls by" in drop.statement


@pytest.mark.parametrize("pair", ["healthy", "short_of_fit"])
def test_one_that_does_not_speaks_against(
    planted: ModuleType, claims_of: Claims, pair: str
) -> None:
    (claim,) = claims_of(PROBE, getattr(planted, pair)(3_000))
    assert claim.strength == PROBE.against
    assert {e.speaks for e in claim.evidence} == {"against"}
    assert abs(claim.evidence[0].value) < 0.05


def test_a_teacher_that_memorises_as_well_is_the_control(
    planted: ModuleType, claims_of: Claims
) -> None:
    train = planted.rows(1, 600)
    teacher = planted.Memoriser(train, planted.bayes())
    (claim,) = claims_of(PROBE, planted.overfitted(teacher=teacher))
    assert claim.evidence[0].value < PROBE.auc_limit


def test_known_losses_give_the_known_auc(planted: ModuleType, claims_of: Claims) -> None:
    """The student is surer of every train row than of any held-out row; the teacher of none."""
    x, y = planted.rows(1, 100)
    by_heart = planted.Memoriser((x, y), planted.linear(np.zeros((3, 4)), np.zeros(3)))
    flat = TeacherLogits(np.zeros((100, 3)), np.zeros((100, 3)))
    (claim,) = claims_of(PROBE, Case(by_heart, flat, (x, y), planted.rows(2, 100)))
    assert claim.evidence[0].value == pytest.approx(0.5)
    assert "AUC 0.50 higher" in claim.evidence[0].statement


def test_a_mismatch_is_not_taken_for_memorising(
    planted: ModuleType, looked: Callable[..., Observations]
) -> None:
    seen = looked(planted.mismatched(3_000, inference=lambda x: -planted.undo(x)))
    before = PROBE.examine(seen)
    seen.believe(Intervention("pipeline", "train"))
    after = PROBE.examine(seen)
    assert before.claims[0].strength > 0  # type: ignore[union-attr]
    assert after.claims[0].strength == PROBE.against  # type: ignore[union-attr]


def test_rejected_train_labels_are_left_out(planted: ModuleType, claims_of: Claims) -> None:
    x, y = planted.rows(1, 600)
    noisy = torch.where(torch.arange(600) < 60, (y + 1) % 3, y)
    sure = 6.0 * torch.nn.functional.one_hot(y, 3).numpy()
    held = planted.rows(2, 600)
    right = 6.0 * torch.nn.functional.one_hot(held[1], 3).numpy()
    teacher = TeacherLogits(sure, right)
    clean, dirty = (
        claims_of(PROBE, Case(planted.bayes(), teacher, (x, labels), held))[0].evidence[0].value
        for labels in (y, noisy)
    )
    assert dirty == pytest.approx(clean, abs=0.02)


def test_with_a_test_set_its_rows_are_compared(planted: ModuleType, claims_of: Claims) -> None:
    seen = planted.rows(1, 600)
    (claim,) = claims_of(PROBE, planted.overfitted(heldout=seen, test=planted.rows(2, 300)))
    assert claim.strength == PROBE.clear
    assert claim.evidence[0].value == pytest.approx(0.5, abs=0.05)  # held-out itself shows none


def test_where_losses_speak_against_it_a_fall_of_agreement_says_nothing(
    planted: ModuleType, claims_of: Claims
) -> None:
    """A teacher that agrees with the student on train rows alone; its losses tell more of them."""
    x, y = planted.rows(1, 2_000)
    held = planted.rows(2, 2_000)

    def sure(labels: torch.Tensor) -> np.ndarray:
        return 1e-3 * torch.nn.functional.one_hot(labels, 3).numpy()

    with torch.no_grad():
        own = planted.bayes()(x).argmax(1)
    anything = torch.randint(0, 3, (2_000,), generator=torch.Generator().manual_seed(0))
    teacher = TeacherLogits(sure(own), sure(anything))
    (claim,) = claims_of(PROBE, Case(planted.bayes(), teacher, (x, y), held))
    assert claim.evidence[0].value < 0
    assert claim.evidence[1].value > 0.5
    assert claim.strength == PROBE.against


@pytest.mark.parametrize(
    ("low", "value", "high", "strength"),
    [
        (0.11, 0.3, 0.4, "clear"),
        (0.01, 0.06, 0.2, "weak"),
        (0.01, 0.04, 0.09, "against"),
        (-0.1, 0.0, 0.09, "against"),
        (-0.1, 0.0, 0.2, None),
        (0.01, 0.04, 0.12, None),
    ],
)
def test_how_strongly_it_speaks(
    low: float, value: float, high: float, strength: str | None
) -> None:
    found = PROBE._strength(Interval(value, low, high), 0.1)
    assert found == (0.0 if strength is None else getattr(PROBE, strength))
