"""Continuations of students whose state is known: unfinished, at their end, wrongly taught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor import Case, Recipe, TeacherLogits
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Finding, Intervention, Skipped
from gapdoctor.domain.recipe import Optimizer, Schedule
from gapdoctor.observe.case import Split
from gapdoctor.observe.observations import Need, Observations
from gapdoctor.probes.continuation import Continuation
from gapdoctor.training.arms import continued_recipe, short_rows
from gapdoctor.training.loop import Length, fit
from gapdoctor.training.rows import rows_of_tensors

Looked = Callable[..., Observations]
PROBE = Continuation()
RECIPE = Recipe(
    epochs=20, batch_size=32, optimizer=Optimizer.SGD, lr=0.1, momentum=0.9, nesterov=False,
    weight_decay=0.0, schedule=Schedule.CONSTANT, task_weight=0.5, temperature=2.0,
    scale_by_t2=True, augment=(), label_smoothing=0.0,
)  # fmt: skip


class Narrow(nn.Module):
    """A student too small: it sees the first feature alone."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(x[:, :1])
        return logits


def found_in(case: Case, looked: Looked, probe: Continuation = PROBE) -> Finding:
    found = probe.examine(looked(case, train_probes=True))
    assert isinstance(found, Finding)
    return found


def strengths(found: Finding) -> dict[tuple[Cause, str], float]:
    return {(c.cause, c.topic): c.strength for c in found.claims}


def losses(found: Finding) -> dict[str, dict[str, Any]]:
    ((name, table),) = found.tables
    assert name == "continuations"
    return {row["arm"]: row for row in table.records()}


# -- the fit -----------------------------------------------------------------------------------


def test_an_untrained_student_is_unfinished(planted: ModuleType, looked: Looked) -> None:
    student = planted.linear(np.zeros((3, 4)), np.zeros(3))
    found = found_in(planted.healthy(400, student=student, recipe=RECIPE), looked)
    assert strengths(found) == {
        (Cause.OPTIMIZATION, "continuation"): PROBE.finished_strength,
        (Cause.CAPACITY_SHORTFALL, "continuation"): PROBE.finished_against,
    }
    evidence = found.claims[0].evidence[0]
    assert evidence.value > 0.5
    assert (evidence.limit, evidence.unit) == (PROBE.unfinished, "share of D")
    arms = losses(found)
    assert arms["control"]["train_loss"] < arms["as given"]["train_loss"] - 0.4


def test_a_rate_far_too_low_shows_by_its_proportion(planted: ModuleType, looked: Looked) -> None:
    student = planted.linear(np.zeros((3, 4)), np.zeros(3))
    recipe = replace(RECIPE, lr=1e-4)
    found = found_in(planted.healthy(400, student=student, recipe=recipe), looked)
    assert strengths(found)[Cause.OPTIMIZATION, "continuation"] == PROBE.finished_strength
    evidence = found.claims[0].evidence[0]
    assert evidence.value < PROBE.unfinished
    assert "in proportion to the learning rate" in evidence.statement


def test_a_higher_rate_that_wins_back_more_is_told(planted: ModuleType, looked: Looked) -> None:
    student = planted.linear(np.zeros((3, 4)), np.zeros(3))
    recipe = replace(RECIPE, lr=0.003)
    found = found_in(planted.healthy(400, student=student, recipe=recipe), looked)
    (claim,) = (c for c in found.claims if c.topic == "learning rate")
    assert (claim.cause, claim.strength) == (Cause.OPTIMIZATION, PROBE.rate_strength)
    assert "Three times the learning rate" in claim.evidence[0].statement


def test_a_student_too_small_is_at_its_end(planted: ModuleType, looked: Looked) -> None:
    case = planted.healthy(400, student=_narrow(planted), recipe=RECIPE)
    found = found_in(case, looked)
    assert strengths(found) == {
        (Cause.OPTIMIZATION, "continuation"): PROBE.finished_against,
        (Cause.CAPACITY_SHORTFALL, "continuation"): PROBE.finished_strength,
    }
    assert abs(found.claims[0].evidence[0].value) < PROBE.flat


@cache
def _narrow(planted: ModuleType) -> nn.Module:
    """Trained to its end on the rows of `planted.healthy`."""
    x, y = planted.rows(1, 400)
    recipe = replace(RECIPE, epochs=60, schedule=Schedule.COSINE)
    return fit(Narrow(), planted.bayes(), rows_of_tensors(x, y), recipe).student


def test_a_rate_that_throws_it_far_off_says_nothing_of_its_size(
    planted: ModuleType, looked: Looked
) -> None:
    case = planted.healthy(400, student=_narrow(planted), recipe=replace(RECIPE, lr=1e4))
    found = found_in(case, looked)
    assert found.claims == ()
    assert losses(found)["control"]["train_loss"] > 100


@pytest.mark.parametrize("pair", ["healthy", "overfitted"])
def test_of_a_fit_without_deficit_nothing_is_said(
    planted: ModuleType, looked: Looked, pair: str
) -> None:
    found = found_in(getattr(planted, pair)(400, recipe=RECIPE), looked)
    sides = {(c.cause, c.topic) for c in found.claims}
    assert (Cause.OPTIMIZATION, "continuation") not in sides
    assert (Cause.CAPACITY_SHORTFALL, "continuation") not in sides


# -- the loss ----------------------------------------------------------------------------------


FEW = replace(RECIPE, task_weight=0.8, temperature=8.0, epochs=1000, batch_size=30)


@cache
def _taught(planted: ModuleType, ran_with_t2: bool) -> tuple[nn.Module, Any]:
    """A student of 30 rows, trained to its end with or without T²."""
    rows = planted.rows(1, 30)
    recipe = replace(FEW, scale_by_t2=ran_with_t2)
    start = planted.linear(np.zeros((3, 4)), np.zeros(3))
    return fit(start, planted.bayes(), rows_of_tensors(*rows), recipe).student, rows


def taught(planted: ModuleType, ran: bool, declared: bool) -> Case:
    student, rows = _taught(planted, ran)
    recipe = replace(FEW, scale_by_t2=declared)
    return planted.healthy(600, student=student, train=rows, recipe=recipe)


@pytest.mark.parametrize("declared", [False, True])
def test_a_missing_t2_is_named_whatever_is_declared(
    planted: ModuleType, looked: Looked, declared: bool
) -> None:
    found = found_in(taught(planted, False, declared), looked)
    (claim,) = (c for c in found.claims if c.cause is Cause.LOSS_IMBALANCE)
    assert claim.strength == PROBE.loss_strength
    assert claim.evidence[0].value > 0.1
    assert ("another one ran" in claim.evidence[0].statement) == declared
    assert "weighs too little" in claim.summary


def test_a_student_taught_with_t2_gets_no_such_claim(planted: ModuleType, looked: Looked) -> None:
    found = found_in(taught(planted, True, True), looked)
    assert Cause.LOSS_IMBALANCE not in {c.cause for c in found.claims}


@pytest.mark.parametrize("declared", [False, True])
def test_larger_steps_are_not_taken_for_a_better_loss(
    planted: ModuleType, looked: Looked, declared: bool
) -> None:
    """T² makes the steps of an unfinished student larger, and any larger step helps it."""
    student = planted.linear(np.zeros((3, 4)), np.zeros(3))
    recipe = replace(RECIPE, lr=0.01, momentum=0.0, temperature=2.0, scale_by_t2=declared)
    found = found_in(planted.healthy(400, student=student, recipe=recipe), looked)
    arms = losses(found)
    one, other = (arms[n]["heldout_loss"] for n in ("control", "other loss"))
    assert (one < other - 0.01) == declared  # with T² it gets ahead faster
    assert (other < one - 0.01) == (not declared)
    assert Cause.LOSS_IMBALANCE not in {c.cause for c in found.claims}


@pytest.mark.parametrize(
    "changed", [{"temperature": 1.0}, {"task_weight": 1.0}, {"task_weight": 0.0}]
)
def test_where_t2_changes_nothing_that_arm_is_left_out(
    planted: ModuleType, looked: Looked, changed: dict[str, float]
) -> None:
    found = found_in(planted.healthy(200, recipe=replace(RECIPE, **changed)), looked)
    assert "other loss" not in losses(found)


# -- regularization ----------------------------------------------------------------------------


def test_weight_decay_that_returns_loss_speaks_for_a_lack_of_it(
    planted: ModuleType, looked: Looked
) -> None:
    """An oversure student rests where the gradient is all but gone; only decay moves it."""
    student = planted.bayes(8.0)
    recipe = replace(RECIPE, lr=1e-3, task_weight=1.0)
    case = planted.healthy(600, student=student, train=_easy(planted), recipe=recipe)
    found = found_in(case, looked, Continuation(decay=10.0))
    assert strengths(found) == {
        (cause, "continuation"): PROBE.regularization_strength
        for cause in (Cause.LACK_OF_REGULARIZATION, Cause.OVERFITTING)
    }
    assert "with weight decay" in found.claims[0].evidence[0].statement
    needs = {c.cause: c.needs_cause for c in found.claims}
    assert needs == {
        Cause.LACK_OF_REGULARIZATION: Cause.OVERFITTING,  # a reason for it, not a second gap
        Cause.OVERFITTING: None,
    }


def _easy(planted: ModuleType) -> tuple[torch.Tensor, torch.Tensor]:
    """Train rows that the Bayes rule is right on."""
    x, y = planted.rows(1, 900)
    right = planted.bayes()(x).argmax(1) == y
    return x[right], y[right]


def test_on_a_sound_student_nothing_returns_loss(planted: ModuleType, looked: Looked) -> None:
    assert found_in(planted.healthy(600, recipe=RECIPE), looked).claims == ()


# -- how it runs -------------------------------------------------------------------------------


def test_it_is_asked_for_only_with_train_probes(planted: ModuleType, looked: Looked) -> None:
    case = planted.healthy(100, recipe=RECIPE)
    assert looked(case).missing(PROBE.needs) == Need.TRAIN_PROBES.value
    assert looked(case, train_probes=True).missing(PROBE.needs) is None


@pytest.mark.parametrize(
    ("changed", "steps"),
    [
        ({}, 30),  # 3 % of 20 · 13 steps is less than that
        ({"epochs": None}, 30),
        ({"epochs": 100}, 39),
        ({"epochs": 100_000}, 200),
    ],
)
def test_it_takes_three_percent_of_the_steps_within_bounds(
    planted: ModuleType, looked: Looked, changed: dict[str, Any], steps: int
) -> None:
    case = planted.healthy(400, recipe=replace(RECIPE, **changed))
    assert PROBE._steps(looked(case)) == steps


def test_unknown_augmentation_is_a_reason_to_skip(planted: ModuleType, looked: Looked) -> None:
    case = planted.healthy(100, recipe=replace(RECIPE, augment=None))
    found = PROBE.examine(looked(case, train_probes=True))
    assert found == Skipped(PROBE.name, "the augmentation is not known; give [recipe] augment, "
                            "or [] for none")  # fmt: skip


def test_the_recipes_augmentation_is_used_and_no_other(planted: ModuleType, looked: Looked) -> None:
    found = found_in(planted.healthy(100, recipe=replace(RECIPE, augment=("noise",))), looked)
    assert "augmentation" not in losses(found)
    assert "augmentation" in losses(found_in(planted.healthy(100, recipe=RECIPE), looked))


def test_a_training_that_diverges_is_a_reason_to_skip(planted: ModuleType, looked: Looked) -> None:
    case = planted.healthy(100, recipe=replace(RECIPE, lr=1e30, weight_decay=1.0))
    found = PROBE.examine(looked(case, train_probes=True))
    assert found == Skipped(PROBE.name, "the training diverged when it went on as it was")


def test_stored_logits_teach_as_well(planted: ModuleType, looked: Looked) -> None:
    with torch.no_grad():
        train, held = (planted.bayes()(planted.rows(s, 200)[0]).numpy() for s in (1, 2))
    case = planted.healthy(200, teacher=TeacherLogits(train, held), recipe=RECIPE)
    found = losses(found_in(case, looked))
    assert "augmentation" not in found
    with_model = losses(found_in(planted.healthy(200, recipe=RECIPE), looked))
    for name in found:
        expected = with_model[name]["heldout_loss"]
        assert found[name]["heldout_loss"] == pytest.approx(expected, abs=1e-4)


def test_stored_logits_cannot_follow_an_augmentation(planted: ModuleType, looked: Looked) -> None:
    logits = TeacherLogits(np.zeros((100, 3)), np.zeros((100, 3)))
    recipe = replace(RECIPE, augment=("noise",))
    case = planted.healthy(100, teacher=logits, recipe=recipe)
    found = PROBE.examine(looked(case, train_probes=True))
    assert found == Skipped(PROBE.name, Need.TEACHER_MODEL.value)


def test_arms_are_scored_on_top_of_what_was_proven(planted: ModuleType, looked: Looked) -> None:
    """Behind a forgotten offset, until the mirror's intervention is believed."""
    case = planted.mismatched(300, recipe=replace(RECIPE, lr=1e-6))
    seen = looked(case, train_probes=True)
    seen.believe(Intervention("pipeline", "train"))
    found = PROBE.examine(seen)
    assert isinstance(found, Finding)
    arms = losses(found)
    sound = losses(found_in(planted.healthy(300, recipe=replace(RECIPE, lr=1e-6)), looked))
    for name in ("as given", "control"):
        assert arms[name]["heldout_loss"] == pytest.approx(sound[name]["heldout_loss"], abs=1e-3)
    raw = short_rows(looked(case)).given.heldout.mean()
    assert raw > arms["control"]["heldout_loss"] + 0.1


def test_it_is_scored_on_half_b_and_rows_that_the_teacher_accepts(
    planted: ModuleType, looked: Looked
) -> None:
    x, y = planted.rows(1, 200)
    wrong = torch.arange(200) < 60
    labels = torch.where(wrong, (y + 1) % 3, y)
    seen = looked(planted.healthy(200, teacher=planted.bayes(5.0), train=(x, labels)))
    rows = short_rows(seen)
    assert seen.rows(Split.HELDOUT).reporting[rows.positions[Split.HELDOUT]].all()
    kept = rows.positions[Split.TRAIN]
    assert 100 < len(kept) <= 145
    assert wrong[seen.rows(Split.TRAIN).index[kept]].float().mean() < 0.1


def test_a_continued_recipe_rises_and_comes_down() -> None:
    recipe = continued_recipe(Recipe(epochs=7, lr=0.5, schedule=Schedule.STEP, step_size=2))
    assert (recipe.lr, recipe.schedule) == (0.5, Schedule.CONSTANT)
    weights = nn.Linear(1, 2)
    rows = rows_of_tensors(torch.zeros(8, 1), torch.zeros(8, dtype=torch.int64))
    rates: list[float] = []

    from gapdoctor.training.callbacks import Callback

    class Heard(Callback):
        def step_ended(self, run: Any, loss: float) -> None:
            rates.append(run.optimizer.param_groups[0]["lr"])

    fit(weights, None, rows, recipe, Length(steps=20), anneal=True, callbacks=[Heard()])
    top = int(np.argmax(rates))
    assert 3 <= top <= 7
    assert max(rates) < 0.5
    assert (np.diff(rates[: top + 1]) > 0).all()
    assert (np.diff(rates[top:]) < 0).all()
    assert rates[-1] < 0.03


def test_claims_have_a_side_and_no_returned_nats(planted: ModuleType, looked: Looked) -> None:
    student = planted.linear(np.zeros((3, 4)), np.zeros(3))
    claims: tuple[Claim, ...] = found_in(
        planted.healthy(400, student=student, recipe=RECIPE), looked
    ).claims
    assert claims
    assert all(c.side is not None and c.returned is None for c in claims)
