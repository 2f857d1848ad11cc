"""Fit: students that lose to their teacher on the rows they were trained on, and others."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor import Preprocess, TeacherLogits
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Finding, Intervention, Side
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.measures import measure_gap
from gapdoctor.observe.observations import Observations
from gapdoctor.probes.fit import Fit

PROBE = Fit()
Claims = Callable[..., tuple[Claim, ...]]
Look = Callable[..., Observations]
BOTH = {Cause.CAPACITY_SHORTFALL, Cause.OPTIMIZATION}


def on(claims: tuple[Claim, ...], topic: str) -> dict[Cause, Claim]:
    return {c.cause: c for c in claims if c.topic == topic}


class Large(nn.Module):
    """A rule with parameters that it has no use for."""

    def __init__(self, rule: nn.Module, spare: int) -> None:
        super().__init__()
        self.rule = rule
        self.spare = nn.Parameter(torch.zeros(spare))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.rule(x)
        return logits


def test_a_student_that_does_not_fit_is_named_on_both_counts(
    planted: ModuleType, looked: Look
) -> None:
    seen = looked(planted.short_of_fit())
    found = PROBE.examine(seen)
    assert isinstance(found, Finding)
    deficit = on(found.claims, "fit deficit")
    assert set(deficit) == BOTH
    student, teacher = (seen.outputs(m, Split.TRAIN).loss.mean() for m in Model)
    for claim in deficit.values():
        assert claim.strength > 0
        assert claim.returned is None
        (evidence,) = claim.evidence
        assert evidence.value == pytest.approx(student - teacher)
        assert evidence.limit == pytest.approx(measure_gap(seen).limit)
        assert (evidence.unit, evidence.speaks) == ("nats", "for")
        assert "On train rows the student loses" in evidence.statement
    assert {c.side for c in found.claims} == {Side.FIT_DEFICIT}


@pytest.mark.parametrize("pair", ["healthy", "overfitted"])
def test_one_that_fits_speaks_against_both(
    planted: ModuleType, claims_of: Claims, pair: str
) -> None:
    claims = claims_of(PROBE, getattr(planted, pair)(1_000))
    assert {c.cause for c in claims} == BOTH
    assert {c.topic for c in claims} == {"fit deficit"}
    assert all(c.strength < 0 and c.evidence[0].speaks == "against" for c in claims)


def test_where_the_excess_gap_is_as_large_nothing_is_said(
    planted: ModuleType, looked: Look
) -> None:
    case = planted.mismatched(student=planted.blind(), preprocess=Preprocess(
        planted.undo, lambda x: -3 * planted.undo(x)
    ))  # fmt: skip
    seen = looked(case)
    gap = measure_gap(seen)
    assert gap.fit_deficit.low > gap.limit
    assert gap.excess_gap.value > gap.fit_deficit.value
    assert PROBE.examine(seen) == Finding("fit")
    seen.believe(Intervention("pipeline", "train"))  # and once the mismatch is proven, D is left
    found = PROBE.examine(seen)
    assert isinstance(found, Finding)
    assert {c.cause for c in found.claims if c.strength > 0} >= BOTH


def test_few_rows_show_nothing(planted: ModuleType, looked: Look) -> None:
    few = {"train": planted.rows(1, 5), "heldout": planted.rows(2, 40)}
    assert PROBE.examine(looked(planted.short_of_fit(**few))) == Finding("fit")


@pytest.mark.parametrize(("spare", "small"), [(0, False), (1_000, True)])
def test_the_sizes_of_both_stand_beside_it(
    planted: ModuleType, claims_of: Claims, spare: int, small: bool
) -> None:
    teacher = Large(planted.bayes(), spare)
    sizes = on(claims_of(PROBE, planted.short_of_fit(teacher=teacher)), "sizes")
    assert set(sizes) == {Cause.CAPACITY_SHORTFALL}
    claim = sizes[Cause.CAPACITY_SHORTFALL]
    assert (claim.strength > 0) == small
    (evidence,) = claim.evidence
    assert evidence.value == pytest.approx(15 / (15 + spare))
    assert (evidence.limit, evidence.unit) == (PROBE.small, "share")
    assert evidence.speaks == ("for" if small else "against")
    assert "The student has 15 parameters" in evidence.statement


def test_stored_logits_have_no_size(planted: ModuleType, claims_of: Claims) -> None:
    said = [planted.bayes()(planted.rows(s, 600)[0]).detach().numpy() for s in (1, 2)]
    claims = claims_of(PROBE, planted.short_of_fit(teacher=TeacherLogits(*said)))
    assert set(on(claims, "fit deficit")) == BOTH
    assert not on(claims, "sizes")


def test_a_student_flatter_than_its_teacher_is_unfinished(
    planted: ModuleType, claims_of: Claims
) -> None:
    """It is its teacher at a scale of 0.3: at that temperature they are one."""
    sureness = on(claims_of(PROBE, planted.short_of_fit(student=planted.bayes(0.3))), "sureness")
    assert set(sureness) == BOTH
    assert sureness[Cause.OPTIMIZATION].strength > 0
    assert sureness[Cause.CAPACITY_SHORTFALL].strength < 0
    (evidence,), (other,) = (sureness[c].evidence for c in (Cause.OPTIMIZATION,
                                                            Cause.CAPACITY_SHORTFALL))  # fmt: skip
    assert evidence.value == pytest.approx(0.3, abs=1e-3)
    assert (evidence.limit, evidence.unit) == (PROBE.flat, "temperature")
    assert "temperature of 0.30" in evidence.statement
    assert (evidence.speaks, other.speaks) == ("for", "against")


def test_one_at_chance_learned_nothing(planted: ModuleType, claims_of: Claims) -> None:
    student = planted.linear(np.zeros((3, 4)), np.zeros(3))
    sureness = on(claims_of(PROBE, planted.short_of_fit(student=student)), "sureness")
    assert sureness[Cause.OPTIMIZATION].strength > 0
    assert sureness[Cause.CAPACITY_SHORTFALL].strength < 0
    (evidence,) = sureness[Cause.OPTIMIZATION].evidence
    assert evidence.value == pytest.approx(1 / 3, abs=0.06)
    assert (evidence.limit, evidence.unit) == (PROBE.chance / 3, "share")
    assert "about chance" in evidence.statement


def test_one_as_sure_as_it_can_be_is_not_called_unfinished(
    planted: ModuleType, claims_of: Claims
) -> None:
    sure = planted.linear(3 * planted.CENTRES * np.array([0.0, 0.0, 0.0, 1.0]), np.zeros(3))
    assert not on(claims_of(PROBE, planted.short_of_fit(student=sure)), "sureness")


class Dead(nn.Module):
    """Of its units, all but the last never answer."""

    def __init__(self, rule: nn.Linear, live: int) -> None:
        super().__init__()
        self.live, self.head = live, rule

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = torch.zeros_like(x)
        kept[:, -self.live :] = x[:, -self.live :]
        logits: torch.Tensor = self.head(kept)
        return logits


@pytest.mark.parametrize(("live", "told"), [(1, True), (2, False)])
def test_dead_units_speak_of_its_training(
    planted: ModuleType, claims_of: Claims, live: int, told: bool
) -> None:
    student = Dead(planted.blind(), live)
    dead = on(claims_of(PROBE, planted.short_of_fit(student=student)), "dead units")
    assert set(dead) == (BOTH if told else set())
    if told:
        assert dead[Cause.OPTIMIZATION].strength == PROBE.dead_strength
        (evidence,) = dead[Cause.OPTIMIZATION].evidence
        assert (evidence.value, evidence.limit, evidence.unit) == (0.75, PROBE.dead, "share")


@pytest.mark.parametrize(
    ("spare", "strength"),
    [(0, PROBE.large_strength), (100, PROBE.small_strength), (1_000, PROBE.tiny_strength)],
)
def test_the_smaller_it_is_the_likelier_it_is_too_small(
    planted: ModuleType, claims_of: Claims, spare: int, strength: float
) -> None:
    teacher = Large(planted.bayes(), spare)
    sizes = on(claims_of(PROBE, planted.short_of_fit(teacher=teacher)), "sizes")
    assert sizes[Cause.CAPACITY_SHORTFALL].strength == strength
