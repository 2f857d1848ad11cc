"""Label noise: labels learned by heart, labels taught on the average, and a teacher too sure."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor import Case, Recipe, TeacherLogits
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Finding, Side, Warning_
from gapdoctor.observe.measures import measure_gap, rejected_train_rows
from gapdoctor.observe.observations import Observations
from gapdoctor.probes.label_noise import LabelNoise

PROBE = LabelNoise()
Look = Callable[..., Observations]


def sure(labels: torch.Tensor) -> Any:
    """Logits (n, 3) of one who knows these labels: the probability is .995."""
    return 6.0 * nn.functional.one_hot(labels, 3).numpy()


def wrong(labels: torch.Tensor, count: int) -> torch.Tensor:
    """Labels of which the first `count` are of another class."""
    return torch.where(torch.arange(len(labels)) < count, (labels + 1) % 3, labels)


def noisy(
    planted: ModuleType,
    student: nn.Module | None = None,
    *,
    n: int = 600,
    train: int = 120,
    heldout: int = 0,
    **recipe: Any,
) -> Case:
    """So many wrong labels on each split; the teacher knows the right ones.

    Left out, the student knows the train rows by heart, wrong labels and all.
    """
    (x, y), (x_held, y_held) = planted.rows(1, n), planted.rows(2, n)
    given = (x, wrong(y, train))
    return Case(
        student or planted.Memoriser(given, planted.bayes()),
        TeacherLogits(sure(y), sure(y_held)), given, (x_held, wrong(y_held, heldout)),
        recipe=Recipe(**recipe),
    )  # fmt: skip


def asked(seen: Observations) -> tuple[tuple[Claim, ...], tuple[Warning_, ...]]:
    found = PROBE.examine(seen)
    assert isinstance(found, Finding)
    return found.claims, found.warnings


def test_wrong_labels_that_are_known_by_heart_are_overfitting(
    planted: ModuleType, looked: Look
) -> None:
    seen = looked(noisy(planted))
    assert rejected_train_rows(seen).sum() == 120
    (claim,), (warning,) = asked(seen)
    assert (claim.cause, claim.side) == (Cause.OVERFITTING, Side.EXCESS_GAP)
    assert claim.strength == PROBE.strength > 0
    assert (claim.returned, claim.intervention, claim.correction) == (None, None, None)
    assert "by heart" in claim.summary
    (evidence,) = claim.evidence
    assert (evidence.value, evidence.limit) == (1.0, PROBE.known)
    assert (evidence.unit, evidence.speaks) == ("share", "for")
    assert "On 20.0% of the train rows" in evidence.statement
    assert "(on 0.0% of held-out rows)" in evidence.statement
    assert "agrees with the label on 100%" in evidence.statement
    assert (warning.id, warning.voids) == ("label_noise", False)
    assert "confidently rejects 20.0% of the train labels" in warning.statement


@pytest.mark.parametrize("weight", [0.5, 0.9])
def test_wrong_labels_that_were_taught_are_a_matter_of_the_loss_weights(
    planted: ModuleType, looked: Look, weight: float
) -> None:
    """Right, but as little sure as labels are of which a fifth is wrong."""
    seen = looked(noisy(planted, planted.bayes(0.2), task_weight=weight))
    (claim, spared, *unfit), _ = asked(seen)
    assert claim.cause is Cause.LOSS_IMBALANCE
    assert claim.strength == PROBE.strength
    assert {c.cause: c.strength for c in unfit} == {
        Cause.CAPACITY_SHORTFALL: PROBE.unfit, Cause.OPTIMIZATION: PROBE.unfit
    }  # fmt: skip
    assert (spared.cause, spared.strength) == (Cause.OVERFITTING, PROBE.spared)
    assert [e.speaks for e in spared.evidence] == ["against"]
    gap = measure_gap(seen)
    assert gap.fit_deficit.value > gap.excess_gap.value
    assert claim.side is Side.FIT_DEFICIT
    share, flat = claim.evidence
    assert share.value < PROBE.known
    assert (flat.limit, flat.unit, flat.speaks) == (PROBE.flat, "temperature", "for")
    assert flat.value < 0.4
    assert f"best temperature is {flat.value:.2f}" in flat.statement
    assert "taught on the average" in claim.summary


def test_taught_noise_that_shows_in_the_excess_gap_is_told_there(
    planted: ModuleType, looked: Look
) -> None:
    """It knows the sound train rows by heart, and has a flat rule for all others."""
    x, y = planted.rows(1, 600)
    student = planted.Memoriser((x[120:], y[120:]), planted.bayes(0.2))
    (claim, *_), _ = asked(looked(noisy(planted, student, task_weight=0.9)))
    assert (claim.cause, claim.side) == (Cause.LOSS_IMBALANCE, Side.EXCESS_GAP)


def test_without_a_recipe_taught_noise_is_said_with_less_confidence(
    planted: ModuleType, looked: Look
) -> None:
    (claim, *_), _ = asked(looked(noisy(planted, planted.bayes(0.2))))
    assert claim.cause is Cause.LOSS_IMBALANCE
    assert claim.strength == PROBE.unknown
    assert 0 < PROBE.unknown < PROBE.strength


@pytest.mark.parametrize(
    ("scale", "weight"),
    [(0.2, 0.1), (1.5, 0.9)],
    ids=["it listened to the teacher", "it is sure enough"],
)
def test_noise_that_did_no_harm_is_warned_of_only(
    planted: ModuleType, looked: Look, scale: float, weight: float
) -> None:
    claims, warnings = asked(looked(noisy(planted, planted.bayes(scale), task_weight=weight)))
    assert claims == ()
    assert [w.id for w in warnings] == ["label_noise"]


@pytest.mark.parametrize("pair", ["healthy", "overfitted", "mismatched", "short_of_fit"])
def test_sound_labels_get_no_word(planted: ModuleType, looked: Look, pair: str) -> None:
    assert PROBE.examine(looked(getattr(planted, pair)())) == Finding("label_noise")


@pytest.mark.parametrize("count", [0, 12])
def test_a_few_wrong_labels_are_usual(planted: ModuleType, looked: Look, count: int) -> None:
    """Up to 2 % of the rows, here 12 of 600."""
    assert PROBE.examine(looked(noisy(planted, train=count))) == Finding("label_noise")


def test_a_teacher_that_rejects_heldout_labels_alike_is_no_witness(
    planted: ModuleType, looked: Look
) -> None:
    claims, (warning,) = asked(looked(noisy(planted, heldout=120)))
    assert claims == ()
    assert "20.0% of the held-out labels: either both hold wrong labels" in warning.statement
    claims, _ = asked(looked(noisy(planted, heldout=30)))  # a quarter of it
    assert len(claims) == 1


def test_too_few_rejected_rows_are_warned_of_only(planted: ModuleType, looked: Look) -> None:
    claims, (warning,) = asked(looked(noisy(planted, n=100, train=PROBE.least - 1)))
    assert claims == ()
    assert "rejects 9.0% of the train labels" in warning.statement
    claims, _ = asked(looked(noisy(planted, n=100, train=PROBE.least)))
    assert len(claims) == 1


def test_a_teacher_that_rejects_every_label_is_another_matter(
    planted: ModuleType, looked: Look
) -> None:
    assert PROBE.examine(looked(noisy(planted, train=600))) == Finding("label_noise")


def test_a_teacher_that_is_not_sure_rejects_nothing(planted: ModuleType, looked: Look) -> None:
    case = noisy(planted)
    assert isinstance(case.teacher, TeacherLogits)
    case.teacher.train[:] /= 3  # the probability is .79
    assert np.isclose(case.teacher.train.max(), 2.0)
    assert PROBE.examine(looked(case)) == Finding("label_noise")
