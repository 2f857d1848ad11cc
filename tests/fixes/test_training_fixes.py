"""Fixes that retrain: a patient for whom each proposes something, and one for whom it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.diagnosis import RankedCause
from gapdoctor.domain.findings import Table
from gapdoctor.domain.recipe import Optimizer, Schedule
from gapdoctor.domain.trials import Change
from gapdoctor.fixes._base import changes_of
from gapdoctor.fixes._lengths import end_of_rate
from gapdoctor.training.views import views_of
from tests.fixes.conftest import Causes, Facts, Fixes, Patients, is_variant, why_not

SLOPE = "nats an epoch"


@pytest.fixture
def unstable(cause: Causes, fact: Facts) -> RankedCause:
    return cause(Cause.OPTIMIZATION, fact("history", unit="share"))


@pytest.fixture
def unfinished(cause: Causes, fact: Facts) -> RankedCause:
    return cause(Cause.OPTIMIZATION, fact("history", unit=SLOPE))


# -- what ran, and how long ----------------------------------------------------------------------


def test_retrain_as_declared_where_something_else_ran(fixes: Fixes, patient: Patients) -> None:
    fix = fixes["retrain_as_declared"]
    told = patient(departures=("The factor T² was missing.",))
    told = replace(told, recipe=replace(told.recipe, scale_by_t2=False))
    found = is_variant(fix.propose(told))
    assert changes_of(told, found) == (Change("recipe.scale_by_t2", False, True),)
    assert "The factor T² was missing." in found.summary
    assert "nothing shows" in why_not(fix.propose(patient()))


def test_retrain_as_declared_runs_a_training_that_was_cut_off_to_its_end(
    fixes: Fixes, patient: Patients
) -> None:
    told = patient(epochs=5, departures=("It was cut off.",))
    found = is_variant(fixes["retrain_as_declared"].propose(told))
    assert changes_of(told, found) == (Change("recipe.epochs", 5, 20),)


def test_train_longer_stretches_the_schedule(
    fixes: Fixes, patient: Patients, unfinished: RankedCause
) -> None:
    step = {"schedule": Schedule.STEP, "milestones": (10, 15), "gamma": 0.1, "warmup_epochs": 2}
    told = patient(unfinished, recipe=step)
    found = is_variant(fixes["train_longer"].propose(told))
    assert (found.epochs, found.recipe.epochs) == (40, 40)
    assert found.recipe.milestones == (20, 30)
    assert found.recipe.warmup_epochs == 4


def test_train_longer_goes_beyond_what_was_declared(fixes: Fixes, patient: Patients) -> None:
    assert is_variant(fixes["train_longer"].propose(patient(epochs=5))).epochs == 40


def test_train_longer_is_no_help_to_the_unstable_and_the_overfitted(
    fixes: Fixes, patient: Patients, unstable: RankedCause, rising: RankedCause
) -> None:
    assert "unstable" in why_not(fixes["train_longer"].propose(patient(unstable)))
    assert "rises" in why_not(fixes["train_longer"].propose(patient(rising)))


# -- the learning rate ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ran", "kind"),
    [
        ({"schedule": Schedule.CONSTANT}, Schedule.COSINE),
        ({"schedule": Schedule.COSINE, "min_lr": 5e-4}, Schedule.COSINE),
        ({"schedule": Schedule.STEP, "milestones": (30,), "gamma": 0.1}, Schedule.STEP),
        ({"schedule": Schedule.STEP, "milestones": (10,), "gamma": 0.5}, Schedule.STEP),
        ({"schedule": Schedule.PLATEAU, "patience": 10, "factor": 0.1}, Schedule.PLATEAU),
        ({"schedule": Schedule.PLATEAU, "patience": 1, "factor": 0.9}, Schedule.COSINE),
    ],
)
def test_schedule_learning_rate_chooses_by_what_ran(
    fixes: Fixes, patient: Patients, ran: dict[str, object], kind: Schedule
) -> None:
    recipe = is_variant(fixes["schedule_learning_rate"].propose(patient(recipe=ran))).recipe
    assert recipe.schedule is kind
    end = end_of_rate(recipe, 20)
    assert end is None or end <= 0.1


def test_schedule_learning_rate_shortens_what_was_cut_off(fixes: Fixes, patient: Patients) -> None:
    told = patient(recipe={"schedule": Schedule.COSINE, "min_lr": 0.0}, epochs=8)
    found = is_variant(fixes["schedule_learning_rate"].propose(told))
    assert found.epochs is None
    assert changes_of(told, found) == (Change("recipe.epochs", 20, 8),)


def test_schedule_learning_rate_goes_up_first_where_the_rate_was_low(
    fixes: Fixes, patient: Patients, cause: Causes, fact: Facts
) -> None:
    fix = fixes["schedule_learning_rate"]
    low = is_variant(fix.propose(patient(recipe={"lr": 1e-5, "schedule": Schedule.COSINE})))
    assert (low.recipe.schedule, low.recipe.max_lr) == (Schedule.ONECYCLE, 3e-3)
    better = fact("continuation", statement="Three times the learning rate wins back 0.1 nats.")
    told = patient(cause(Cause.OPTIMIZATION, better), recipe={"lr": 2e-3})
    assert is_variant(fix.propose(told)).recipe.max_lr == 6e-3


def test_schedule_learning_rate_leaves_alone_what_comes_down(
    fixes: Fixes, patient: Patients, log: Callable[..., Table]
) -> None:
    fix = fixes["schedule_learning_rate"]
    for ran in (
        {"schedule": Schedule.COSINE, "min_lr": 0.0},
        {"schedule": Schedule.STEP, "milestones": (10, 15), "gamma": 0.1},
        {"schedule": Schedule.ONECYCLE, "max_lr": 1e-2},
    ):
        assert "already comes down" in why_not(fix.propose(patient(recipe=ran)))
    dropped = log(20, lr=lambda e: 0.1 if e < 10 else 0.001)
    plateau = {"schedule": Schedule.PLATEAU, "patience": 10, "factor": 0.1}
    told = patient(recipe=plateau, history=dropped)
    assert "already comes down" in why_not(fix.propose(told))


def test_lower_learning_rate_where_it_shows(
    fixes: Fixes, patient: Patients, cause: Causes, fact: Facts, unstable: RankedCause
) -> None:
    fix = fixes["lower_learning_rate"]
    found = is_variant(fix.propose(patient(unstable, recipe={"lr": 0.3})))
    assert found.recipe.lr == 1e-3  # the usual rate of Adam
    third = fact("continuation", statement="A third of the learning rate wins back 0.1 nats more.")
    found = is_variant(fix.propose(patient(cause(Cause.OPTIMIZATION, third))))
    assert found.recipe.lr == pytest.approx(1e-3 / 3, rel=1e-5)
    found = is_variant(
        fix.propose(
            patient(unstable, recipe={"schedule": Schedule.ONECYCLE, "lr": 1e-3, "max_lr": 0.03})
        )
    )
    assert (found.recipe.lr, found.recipe.max_lr) == pytest.approx((1e-3 / 30, 1e-3), rel=1e-5)


def test_lower_learning_rate_needs_a_reason(
    fixes: Fixes, patient: Patients, unfinished: RankedCause, log: Callable[..., Table]
) -> None:
    fix = fixes["lower_learning_rate"]
    assert "no instability" in why_not(fix.propose(patient(unfinished)))
    assert "no instability" in why_not(fix.propose(patient(history=log(20))))
    assert "not above the usual" in why_not(fix.propose(patient()))
    unsure = is_variant(fix.propose(patient(recipe={"lr": 2e-3})))
    sure = is_variant(fix.propose(patient(recipe={"lr": 2e-2})))
    assert unsure.expected_share < sure.expected_share


def test_without_momentum_a_higher_rate_is_usual(fixes: Fixes, patient: Patients) -> None:
    sgd = {"optimizer": Optimizer.SGD, "lr": 0.3, "nesterov": False}
    fix = fixes["lower_learning_rate"]
    is_variant(fix.propose(patient(recipe={**sgd, "momentum": 0.9})))
    why_not(fix.propose(patient(recipe={**sgd, "momentum": 0.0})))


# -- losses, regularization, capacity ------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "there", "after"),
    [
        ((3, 8, 8), (), ["mixup", "crop"]),
        ((3, 8, 8), ("flip", "crop"), ["flip", "crop", "mixup", "rotate"]),
        ((1, 40, 9), ("mixup",), ["mixup", "time_mask", "frequency_mask"]),
        ((6,), (), ["mixup", "noise"]),
        ((2, 2, 2, 2), (), ["mixup"]),
        ((3, 8, 8), "run.py:augment", ["run.py:augment", "mixup"]),
        ((3, 8, 8), "own", ["own", "mixup"]),
    ],
)
def test_add_augmentation_suits_the_inputs(
    fixes: Fixes, patient: Patients, shape: tuple[int, ...], there: Any, after: list[str]
) -> None:
    told = patient(shape=shape, recipe={"augment": there})
    found = is_variant(fixes["add_augmentation"].propose(told))
    before = there if isinstance(there, str) else list(there)
    assert changes_of(told, found) == (Change("recipe.augment", before, after),)


def test_what_add_augmentation_names_can_be_trained_with(
    fixes: Fixes, patient: Patients, planted: ModuleType
) -> None:
    for own in (None, torch.neg):
        case = planted.healthy(50, augment=own)
        told = patient(shape=(4,), recipe={"augment": () if own is None else "own"})
        recipe = is_variant(fixes["add_augmentation"].propose(told)).recipe
        views = views_of(case, recipe)
        assert not isinstance(views, str)
        assert views.mixup > 0
        assert views.augment is not None


def test_add_augmentation_is_careful_where_the_labels_outweigh_the_teacher(
    fixes: Fixes, patient: Patients
) -> None:
    fix = fixes["add_augmentation"]
    heard = is_variant(fix.propose(patient()))
    for ran in ({"task_weight": 0.9}, {"task_weight": 0.5, "scale_by_t2": False}):
        found = is_variant(fix.propose(patient(recipe=ran)))
        assert found.recipe.augment == ("mixup",)
        assert found.expected_share < heard.expected_share


def test_add_augmentation_needs_a_teacher_that_sees_the_same(
    fixes: Fixes, patient: Patients
) -> None:
    fix = fixes["add_augmentation"]
    mixed = {"augment": ("run.py:augment", "mixup")}
    for told, why in (
        (patient(recipe=mixed), "by run.py:augment, mixup already"),
        (patient(floating=False), "whole numbers"),
        (patient(teacher_parameters=None), "file of logits"),
        (patient(shares_view=False), "cannot share a view"),
        (patient(shape=(2, 2, 2, 2), recipe={"augment": ("mixup",)}), "by mixup already"),
    ):
        assert why in why_not(fix.propose(told))
    is_variant(fix.propose(patient(teacher_parameters=None, recipe={"task_weight": 1.0})))


@pytest.mark.parametrize(
    ("ran", "decay"),
    [
        ({"optimizer": Optimizer.ADAM}, 5e-4),
        ({"optimizer": Optimizer.ADAM, "weight_decay": 5e-4}, 1e-3),
        ({"optimizer": Optimizer.ADAMW, "weight_decay": 0.0}, 0.5),  # 400 steps at 1e-3: 7.6
        ({"optimizer": Optimizer.SGD, "lr": 0.1, "momentum": 0.9}, 8e-3),  # 1 / (0.33 · 400)
        ({"optimizer": Optimizer.SGD, "lr": 0.1, "momentum": 0.9, "epochs": 2000}, 5e-4),
    ],
)
def test_add_weight_decay_by_the_memory_of_the_weights(
    fixes: Fixes, patient: Patients, ran: dict[str, object], decay: float
) -> None:
    found = is_variant(fixes["add_weight_decay"].propose(patient(recipe=ran)))
    assert found.recipe.weight_decay == pytest.approx(decay)


def test_add_weight_decay_tells_what_is_there(fixes: Fixes, patient: Patients) -> None:
    fix = fixes["add_weight_decay"]
    told = is_variant(fix.propose(patient(recipe={"weight_decay": 5e-4})))
    assert told.summary == "Weight decay 0.001; the recipe already has 0.0005."
    unknown = is_variant(fix.propose(patient(assumed=("weight_decay",))))
    assert "is not known" in unknown.summary
    assert "0.01 already" in why_not(fix.propose(patient(recipe={"weight_decay": 0.01})))


def test_add_dropout_where_there_is_a_place(fixes: Fixes, patient: Patients) -> None:
    fix = fixes["add_dropout"]
    assert is_variant(fix.propose(patient())).recipe.dropout == 0.3
    more = is_variant(fix.propose(patient(dropouts=(0.0, 0.3))))
    assert more.recipe.dropout == 0.5
    assert "in its dropout modules" in more.summary
    assert "0.5 of its features already" in why_not(fix.propose(patient(dropouts=(0.5,))))
    assert "neither" in why_not(fix.propose(patient(has_head=False)))


def test_increase_capacity_from_scratch_with_a_control(fixes: Fixes, patient: Patients) -> None:
    fix = fixes["increase_capacity"]
    told = patient()
    found = is_variant(fix.propose(told))
    assert (found.start, found.larger) == ("scratch", True)
    guessed = patient(where={"student.larger": "width = 8"})
    assert "1,000 parameters (width = 8), from" in is_variant(fix.propose(guessed)).summary
    assert changes_of(told, found) == (Change("student.parameters", 1000, 4000),)
    for other, why in (
        (patient(larger=None), "[student] larger"),
        (patient(larger="width: no such argument"), "no such argument"),
        (patient(larger=900), "no more than"),
        (patient(has_factory=False), "no control from scratch"),
    ):
        assert why in why_not(fix.propose(other))


def test_stop_early_where_the_curves_rise(
    fixes: Fixes, patient: Patients, rising: RankedCause, log: Callable[..., Table]
) -> None:
    fix = fixes["stop_early"]
    shown = is_variant(fix.propose(patient(rising, history=log(20))))
    assert shown.recipe.early_stopping == 3
    unknown = is_variant(fix.propose(patient()))
    assert unknown.expected_share < shown.expected_share
    assert "near its minimum" in why_not(fix.propose(patient(history=log(20))))
    stops = patient(recipe={"early_stopping": 7})
    assert "patience of 7" in why_not(fix.propose(stops))
    kept = patient(warnings=("heldout_chose_the_checkpoint",), recipe={"early_stopping": 20})
    assert "best epoch" in why_not(fix.propose(kept))
