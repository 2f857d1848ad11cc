"""Function matching, averaged weights and an assistant: when, and what exactly they change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from torch import nn

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Table
from gapdoctor.domain.recipe import Average, FeatureLoss, Optimizer, Schedule, TaughtBy
from gapdoctor.domain.trials import Change
from gapdoctor.fixes._base import NotApplicable, Patient, changes_of
from gapdoctor.fixes._costs import Pace
from gapdoctor.fixes._planning import PlanOptions, make_plan
from gapdoctor.fixes._together import combined_trials
from gapdoctor.observe.case import Case
from gapdoctor.training.materials import Materials
from gapdoctor.training.trial import run_trial
from tests.fixes.conftest import Causes, Facts, Fixes, Patients, is_variant, why_not

# -- match_views ---------------------------------------------------------------------------------


def test_match_views_changes_views_length_and_labels_together(
    fixes: Fixes, patient: Patients
) -> None:
    told = patient(recipe={"schedule": Schedule.STEP, "milestones": (10, 15), "gamma": 0.1})
    found = is_variant(fixes["match_views"].propose(told))
    assert changes_of(told, found) == (
        Change("recipe.epochs", 20, 40),
        Change("recipe.milestones", [10, 15], [20, 30]),
        Change("recipe.task_weight", 0.5, 0.0),
        Change("recipe.augment", [], ["mixup", "crop", "rotate"]),
    )
    assert "for 40 epochs instead of 20" in found.summary


def test_match_views_is_no_other_fix(fixes: Fixes, patient: Patients) -> None:
    """Neither the views at the control's length, nor its length with the control's rows."""
    told = patient()
    views, longer, both = (
        is_variant(fixes[name].propose(told))
        for name in ("add_augmentation", "train_longer", "match_views")
    )
    assert (views.recipe.task_weight, views.epochs) == (0.5, None)
    assert (longer.recipe.augment, longer.recipe.task_weight) == ((), 0.5)
    assert (both.recipe.task_weight, both.epochs) == (0.0, 40)
    assert len({views.recipe, longer.recipe, both.recipe}) == 3


@pytest.mark.parametrize(
    ("ran", "views", "weight"),
    [
        ({"augment": ("flip",)}, ("flip", "mixup", "crop", "rotate"), 0.0),
        ({"augment": "run.py:augment"}, ("run.py:augment", "mixup"), 0.0),
        ({"augment": ("mixup", "crop", "rotate", "noise")}, ("mixup", "crop", "rotate", "noise"),
         0.0),
        ({"augment": ("crop",), "task_weight": 0.0}, ("crop", "mixup", "rotate", "noise"), 0.0),
    ],
)  # fmt: skip
def test_match_views_keeps_what_augments_and_drops_the_labels(
    fixes: Fixes, patient: Patients, ran: dict[str, Any], views: tuple[str, ...], weight: float
) -> None:
    recipe = is_variant(fixes["match_views"].propose(patient(recipe=ran))).recipe
    assert (recipe.augment, recipe.task_weight) == (views, weight)


def test_match_views_hears_the_teacher(fixes: Fixes, patient: Patients) -> None:
    """Without the labels the gradients would shrink by 1/T²."""
    for ran in ({"scale_by_t2": False}, {"task_weight": 1.0}):
        found = is_variant(fixes["match_views"].propose(patient(recipe=ran)))
        assert (found.recipe.scale_by_t2, found.recipe.task_weight) == (True, 0.0)


def test_match_views_needs_a_teacher_that_sees_the_same(
    fixes: Fixes, patient: Patients, cause: Causes, fact: Facts
) -> None:
    fix = fixes["match_views"]
    matched = {"augment": ("mixup", "crop", "rotate", "noise"), "task_weight": 0.0}
    for told, why in (
        (patient(recipe=matched), "on mixup, crop, rotate, noise already, without labels"),
        (patient(floating=False), "whole numbers"),
        (patient(teacher_parameters=None), "file of logits"),
        (patient(teacher_parameters=None, recipe={"task_weight": 1.0}), "file of logits"),
        (patient(shares_view=False), "cannot share a view"),
        (patient(cause(Cause.OPTIMIZATION, fact("history", unit="share"))), "unstable"),
        (patient(cause(Cause.OPTIMIZATION, fact("batchnorm"))), "recalibrate_batchnorm"),
    ):
        assert why in why_not(fix.propose(told))
    stale = cause(Cause.OPTIMIZATION, fact("batchnorm"))
    is_variant(fix.propose(patient(stale, cause(Cause.OVERFITTING))))
    taught = patient(teacher_parameters=None, recipe={"taught_by": TaughtBy.ASSISTANT})
    is_variant(fix.propose(taught))


def test_match_views_is_paid_for_by_its_length_and_its_teacher(
    patient: Patients, cause: Causes
) -> None:
    told = patient(cause(Cause.OVERFITTING))
    pace = Pace(step=0.01, view=0.02)
    plan = make_plan(told, PlanOptions(pace=pace, only=("match_views", "add_dropout")))
    seconds = {fix.id: fix.expected_seconds for fix in plan.fixes}
    assert seconds["match_views"] == pytest.approx(6 * seconds["add_dropout"])
    assert [fix.id for fix in plan.fixes[:2]] == ["add_dropout", "match_views"]


def losses(
    planted: ModuleType, told: Patient, names: list[str], folder: Path, **of_case: Any
) -> dict[str, float]:
    """Held-out loss of the control and of fixes, each trained once as a plan has it."""
    case = Case(**{"teacher": planted.bayes(), "heldout": planted.rows(2, 600), **of_case})
    plan = make_plan(told, PlanOptions(only=tuple(names), seeds=1))
    materials = Materials(case)
    found = {t.fix: run_trial(t, materials, folder / t.fix).heldout_loss for t in plan.trials}
    assert set(found) == {"control", *names}
    return {name: loss for name, loss in found.items() if loss is not None}


def test_match_views_heals_a_student_that_knows_wrong_labels_by_heart(
    planted: ModuleType, patient: Patients, tmp_path: Path
) -> None:
    """A third of 60 labels is wrong; neither the views alone nor the length alone are enough."""
    inputs, labels = planted.rows(1, 60)
    labels[::3] = (labels[::3] + 1) % 3
    ran = {"task_weight": 0.95, "schedule": Schedule.COSINE, "min_lr": 0.0, "lr": 5e-3,
           "temperature": 2.0, "epochs": 40, "batch_size": 16}  # fmt: skip
    build = lambda: nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3))  # noqa: E731
    found = losses(
        planted, patient(shape=(4,), train_rows=60, recipe=ran),
        ["match_views", "add_augmentation", "train_longer"], tmp_path,
        student=build(), student_factory=build, train=(inputs, labels),
    )  # fmt: skip
    assert found["match_views"] < 0.4 * found["control"]
    assert found["match_views"] < 0.5 * min(found["add_augmentation"], found["train_longer"])


# -- average_weights -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ran", "average"),
    [
        ({"schedule": Schedule.CONSTANT}, Average.SWA),
        ({"schedule": Schedule.CONSTANT, "early_stopping": 3}, Average.EMA),
        ({"schedule": Schedule.COSINE, "min_lr": 0.0}, Average.EMA),
        ({"schedule": Schedule.COSINE, "min_lr": 9e-4}, Average.SWA),
        ({"schedule": Schedule.ONECYCLE, "max_lr": 1e-2}, Average.EMA),
        ({"schedule": Schedule.STEP, "milestones": (10,), "gamma": 0.1}, Average.EMA),
        ({"schedule": Schedule.STEP, "milestones": (30,), "gamma": 0.1}, Average.SWA),
        ({"schedule": Schedule.PLATEAU, "patience": 3, "factor": 0.1}, Average.EMA),
    ],
)
def test_average_weights_by_where_the_rate_ended(
    fixes: Fixes, patient: Patients, ran: dict[str, Any], average: Average
) -> None:
    found = is_variant(fixes["average_weights"].propose(patient(recipe=ran)))
    assert found.recipe.average == average
    assert found.recipe.average_from == (0.75 if average == Average.SWA else None)
    assert found.recipe.average_decay is None  # by the steps that an arm really takes
    assert str(average) in found.summary


def test_average_weights_goes_by_the_rate_that_was_logged(
    fixes: Fixes, patient: Patients, log: Callable[..., Table]
) -> None:
    fell = log(20, lr=lambda epoch: 0.1 * (1 - epoch / 20))
    fix = fixes["average_weights"]
    found = is_variant(fix.propose(patient(history=fell)))
    assert found.recipe.average == Average.EMA
    up = is_variant(fix.propose(patient()))
    assert up.recipe.average == Average.SWA
    assert up.expected_share > found.expected_share


def test_average_weights_tells_why_not(
    fixes: Fixes, patient: Patients, cause: Causes, fact: Facts
) -> None:
    fix = fixes["average_weights"]
    for average in (Average.EMA, Average.SWA):
        told = why_not(fix.propose(patient(recipe={"average": average})))
        assert told == f"the recipe averages its weights already ({average})"
    is_variant(fix.propose(patient(recipe={"average": Average.NONE})))
    stale = patient(cause(Cause.OPTIMIZATION, fact("batchnorm")))
    assert "recalibrate_batchnorm" in why_not(fix.propose(stale))


@pytest.mark.parametrize(
    ("ran", "anneal"),
    [({}, False), ({"schedule": Schedule.STEP, "milestones": (10,), "gamma": 0.1}, True)],
)
def test_from_the_checkpoint_the_plain_mean_is_taken_at_a_rate_that_stays_up(
    patient: Patients, cause: Causes, ran: dict[str, Any], anneal: bool
) -> None:
    told = patient(cause(Cause.OVERFITTING), recipe=ran)
    options = PlanOptions(start="checkpoint", only=("average_weights", "add_dropout"))
    trials = {t.fix: t for t in make_plan(told, options).trials}
    assert trials["control"].anneal
    assert trials["add_dropout"].anneal
    assert trials["average_weights"].anneal is anneal


def test_average_weights_heals_a_rate_that_stays_too_high(
    planted: ModuleType, patient: Patients, tmp_path: Path
) -> None:
    hot = {"optimizer": Optimizer.SGD, "momentum": 0.9, "nesterov": False, "betas": None,
           "lr": 0.2, "task_weight": 1.0, "epochs": 40, "batch_size": 8}  # fmt: skip
    build = lambda: nn.Linear(4, 3)  # noqa: E731
    found = losses(
        planted, patient(shape=(4,), train_rows=200, recipe=hot), ["average_weights"], tmp_path,
        student=build(), student_factory=build, train=planted.rows(3, 200),
    )  # fmt: skip
    assert found["average_weights"] < 0.97 * found["control"]


def test_average_weights_goes_with_other_fixes(patient: Patients, cause: Causes) -> None:
    told = patient(cause(Cause.OVERFITTING))
    both = combined_trials(make_plan(told, PlanOptions()), "match_views", "average_weights")
    assert not isinstance(both, NotApplicable)
    recipe = both[0].recipe
    assert (recipe.average, recipe.task_weight, both[0].epochs) == (Average.SWA, 0.0, 40)


# -- distill_from_assistant ----------------------------------------------------------------------


def test_distill_from_assistant_changes_who_teaches(fixes: Fixes, patient: Patients) -> None:
    fix = fixes["distill_from_assistant"]
    told = patient(assistant_parameters=4000)
    found = is_variant(fix.propose(told))
    assert changes_of(told, found) == (Change("recipe.taught_by", None, "assistant"),)
    assert found.summary == (
        "The student learns from the assistant of 4,000 parameters (student 1,000, teacher 9,000)."
    )
    for size, teacher in ((500, 9000), (20_000, 9000), (4000, None)):
        other = fix.propose(patient(assistant_parameters=size, teacher_parameters=teacher))
        assert is_variant(other).expected_share < found.expected_share


def test_distill_from_assistant_tells_why_not(fixes: Fixes, patient: Patients) -> None:
    fix = fixes["distill_from_assistant"]
    assert why_not(fix.propose(patient())) == "no assistant is named; give [assistant]"
    for ran, why in (
        ({"taught_by": TaughtBy.ASSISTANT}, "from the assistant already"),
        ({"task_weight": 1.0}, "rebalance_losses"),
        ({"feature_loss": FeatureLoss.MSE}, "learns features of the teacher's layers (mse)"),
    ):
        assert why in why_not(fix.propose(patient(assistant_parameters=4000, recipe=ran)))


def test_an_assistant_is_tried_where_the_student_is_too_small(
    patient: Patients, cause: Causes
) -> None:
    short = make_plan(patient(cause(Cause.CAPACITY_SHORTFALL), assistant_parameters=4000))
    assert "distill_from_assistant" in {t.fix for t in short.trials}
    other = make_plan(patient(cause(Cause.OVERFITTING), assistant_parameters=4000))
    assert "distill_from_assistant" not in {t.fix for t in other.trials}
