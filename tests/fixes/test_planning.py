"""Plans: order, budget, seeds, starts; the same inputs give the same plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.diagnosis import RankedCause
from gapdoctor.domain.recipe import Recipe, Schedule
from gapdoctor.domain.trials import (
    CONTROL,
    WITHOUT_TEACHER,
    Change,
    Plan,
    PlannedFix,
    Start,
    TrialSpec,
)
from gapdoctor.errors import GapDoctorError
from gapdoctor.fixes._base import Fix, NotApplicable, Patient, Variant, varied
from gapdoctor.fixes._costs import Arm, Bill, Pace
from gapdoctor.fixes._planning import PlanOptions, make_plan
from gapdoctor.fixes._rounds import first_trials, last_trials, later_trials, with_reserve
from gapdoctor.fixes._together import combined_trials, together
from gapdoctor.training.defaults import completed

RECIPE = completed(Recipe(epochs=20)).recipe
Patients = Callable[..., Patient]
Causes = Callable[..., RankedCause]

SECOND = PlanOptions(pace=Pace(step=0.01))
"""A control of 20 epochs of 20 steps takes 4 s."""
ALONE = replace(SECOND, skip=("cross_validate",))
"""No fix that trains others first."""
ALIKE = replace(SECOND, skip=("match_views", "average_weights", "cross_validate"))
"""Five fixes for the overfitted, each as long as a control and by a rate that comes down as its."""


def by_id(plan: Plan) -> dict[str, PlannedFix]:
    return {fix.id: fix for fix in plan.fixes}


def planned(plan: Plan) -> list[str]:
    return [fix.id for fix in plan.fixes if fix.status == "planned" and not fix.free]


@pytest.fixture
def overfitted(patient: Patients, cause: Causes) -> Patient:
    return patient(cause(Cause.OVERFITTING), cause(Cause.LACK_OF_REGULARIZATION, confidence=0.7))


# -- which, and in which order -------------------------------------------------------------------


def test_every_fix_is_in_the_plan_or_says_why_not(
    overfitted: Patient, fixes: dict[str, Fix]
) -> None:
    plan = make_plan(overfitted, SECOND)
    assert sorted(by_id(plan)) == sorted(fixes)
    assert all(fix.reason for fix in plan.fixes if fix.status != "planned")
    assert "none of what it treats" in by_id(plan)["increase_capacity"].reason
    assert set(planned(plan)) == {
        "add_augmentation", "add_weight_decay", "add_dropout", "rebalance_losses", "stop_early",
        "match_views", "average_weights", "cross_validate",
    }  # fmt: skip
    assert by_id(plan)["add_dropout"].treats == (Cause.OVERFITTING, Cause.LACK_OF_REGULARIZATION)
    assert by_id(plan)["add_dropout"].expected_gain == pytest.approx(0.9 * 0.5 * 0.25)


def test_the_most_expected_nats_a_second_come_first(overfitted: Patient) -> None:
    assert planned(make_plan(overfitted, SECOND))[0] == "add_augmentation"
    dear = make_plan(overfitted, replace(ALONE, pace=Pace(0.01, view=0.1)))
    assert {*planned(dear)[-2:]} == {"add_augmentation", "match_views"}
    gains = [f.expected_gain / f.expected_seconds for f in dear.fixes if f.id in planned(dear)]  # type: ignore[operator]
    assert gains == sorted(gains, reverse=True)


def test_free_corrections_stand_first_in_the_order_of_undoing(
    patient: Patients, cause: Causes
) -> None:
    told = patient(
        cause(Cause.PREPROCESSING_MISMATCH, correction="swap_channels"),
        cause(Cause.OVERFITTING), warnings=("miscalibrated",),
    )  # fmt: skip
    plan = make_plan(told, SECOND)
    assert [fix.id for fix in plan.fixes[:2]] == ["match_preprocessing", "scale_temperature"]
    assert all(fix.free and fix.expected_seconds == 0 for fix in plan.fixes[:2])


def test_nothing_is_trained_where_nothing_was_found(patient: Patients, cause: Causes) -> None:
    for told in (patient(), patient(cause(Cause.OVERFITTING, confidence=0.1))):
        plan = make_plan(told, SECOND)
        assert (plan.trials, plan.finalists, plan.expected_seconds) == ((), 0, 0.0)


def test_only_and_skip(overfitted: Patient) -> None:
    only = make_plan(overfitted, replace(SECOND, only=("increase_capacity",)))
    assert planned(only) == ["increase_capacity"]  # whatever was found
    assert by_id(only)["increase_capacity"].expected_gain is None
    assert by_id(only)["add_dropout"].reason == "left out (--only)"
    assert not last_trials(only)
    skip = make_plan(overfitted, replace(SECOND, skip=("add_dropout", "without_teacher")))
    assert "add_dropout" not in planned(skip)
    assert not last_trials(skip)


@pytest.mark.parametrize("flag", ["only", "skip"])
def test_an_unknown_fix_gets_the_nearest(flag: str, overfitted: Patient) -> None:
    with pytest.raises(GapDoctorError, match=f"--{flag} add_droput: no fix") as failure:
        make_plan(overfitted, replace(SECOND, **{flag: ("add_droput",)}))
    assert failure.value.hint == "did you mean add_dropout?"
    assert failure.value.exit_code == 2


def test_two_fixes_that_train_alike_are_trained_once(patient: Patients, cause: Causes) -> None:
    told = patient(cause(Cause.OPTIMIZATION), departures=("The rate stayed up.",))
    declared = varied(told.recipe, schedule=Schedule.COSINE)
    plan = by_id(make_plan(replace(told, declared=declared), SECOND))
    assert plan["retrain_as_declared"].status == "planned"
    assert plan["schedule_learning_rate"].status == "not_applicable"
    told_why = "here it is the same training as retrain_as_declared"
    assert plan["schedule_learning_rate"].reason == told_why


def test_what_trains_as_the_control_does_is_not_trained(patient: Patients, cause: Causes) -> None:
    """From the checkpoint every schedule is shortened already."""
    told = patient(
        cause(Cause.OPTIMIZATION), recipe={"schedule": Schedule.COSINE, "min_lr": 0.0}, epochs=8
    )
    scratch = by_id(make_plan(told, SECOND))["schedule_learning_rate"]
    assert scratch.status == "planned"
    there = by_id(make_plan(told, replace(SECOND, start="checkpoint")))["schedule_learning_rate"]
    assert there.status == "not_applicable"
    assert there.reason == "here it is the same training as control"


# -- trials --------------------------------------------------------------------------------------


def test_seeds_are_interleaved_and_controls_come_first(overfitted: Patient) -> None:
    plan = make_plan(overfitted, replace(ALONE, seed=7))
    arms = [CONTROL, *planned(plan)]
    assert [(t.seed, t.fix) for t in plan.trials] == [
        *((seed, fix) for seed in (7, 8, 9) for fix in arms),
        (7, WITHOUT_TEACHER),
    ]
    control = plan.trials[0]
    assert (control.recipe, control.epochs, control.anneal) == (plan.recipe, 20, False)
    assert plan.trials[-1].recipe == replace(plan.recipe, task_weight=1.0)
    assert len({trial.name for trial in plan.trials}) == len(plan.trials)


def test_rounds(overfitted: Patient) -> None:
    plan = make_plan(overfitted, ALONE)
    best = ["stop_early", "add_dropout", "add_augmentation", "add_weight_decay"]
    assert plan.finalists == 3
    later = later_trials(plan, best)
    assert {t.fix for t in later} == {CONTROL, *best[:3]}
    assert {t.seed for t in later} == {1, 2}
    assert [t.fix for t in first_trials(plan)] == [CONTROL, *planned(plan)]
    assert [t.fix for t in last_trials(plan)] == [WITHOUT_TEACHER]


def test_there_is_no_arm_without_a_teacher_where_none_taught(
    patient: Patients, cause: Causes
) -> None:
    told = patient(cause(Cause.OVERFITTING), recipe={"task_weight": 1.0})
    assert not last_trials(make_plan(told, SECOND))


def test_costs_are_those_of_all_trials_that_will_be_run(overfitted: Patient) -> None:
    options = replace(SECOND, pace=Pace(0.01, trial=1.0), only=("add_dropout", "add_weight_decay"))
    plan = make_plan(overfitted, options)
    assert plan.expected_seconds == pytest.approx((3 * 3 + 1) * 5.0)  # 3 arms, 3 seeds, a pair
    assert by_id(plan)["add_dropout"].expected_seconds == pytest.approx(15.0)
    unknown = make_plan(overfitted, PlanOptions(budget=1.0))
    assert unknown.expected_seconds == 0.0
    assert planned(unknown) == planned(make_plan(overfitted))


# -- from where ----------------------------------------------------------------------------------


def test_without_a_factory_arms_start_from_the_checkpoint(
    overfitted: Patient,
) -> None:
    told = replace(overfitted, has_factory=False)
    plan = make_plan(told, ALIKE)
    assert plan.start == "checkpoint"
    assert "factory" in plan.start_reason
    assert {(t.start, t.epochs, t.anneal) for t in plan.trials} == {("checkpoint", 10, True)}
    assert {t.recipe.epochs for t in plan.trials} == {10}
    with pytest.raises(GapDoctorError, match="--start scratch") as failure:
        make_plan(told, replace(SECOND, start="scratch"))
    assert failure.value.exit_code == 2


def test_a_start_that_is_asked_for_with_its_reason(overfitted: Patient) -> None:
    told = replace(SECOND, start="checkpoint", start_reason="the control stayed behind")
    plan = make_plan(overfitted, told)
    assert (plan.start, plan.start_reason) == ("checkpoint", "the control stayed behind")


def test_a_larger_student_starts_from_scratch_with_a_control_of_its_own(
    patient: Patients, cause: Causes
) -> None:
    told = patient(cause(Cause.CAPACITY_SHORTFALL), cause(Cause.OPTIMIZATION))
    plan = make_plan(told, replace(SECOND, start="checkpoint"))
    starts = {(t.fix, t.start) for t in first_trials(plan)}
    assert {("increase_capacity", "scratch"), (CONTROL, "scratch"), (CONTROL, "checkpoint")} <= {
        *starts
    }
    assert by_id(plan)["increase_capacity"].start == "scratch"
    later = later_trials(plan, ["train_longer"])
    assert {(t.fix, t.start) for t in later} == {
        (CONTROL, "checkpoint"), ("train_longer", "checkpoint"),
    }  # fmt: skip
    larger = next(t for t in plan.trials if t.larger)
    assert (larger.epochs, larger.anneal, larger.recipe) == (20, False, told.recipe)
    longer = next(t for t in plan.trials if t.fix == "train_longer")
    assert (longer.epochs, longer.recipe.epochs) == (20, 20)  # twice a control's 10


# -- budget --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "arms", "finalists"),
    [(47.2, 2, 2), (52.0, 3, 2), (62.0, 5, 2), (71.0, 5, 3)],
)
def test_a_budget_keeps_whole_comparisons(
    budget: float, arms: int, finalists: int, overfitted: Patient
) -> None:
    """4 s a trial: a control and two arms on 3 seeds, and both together once, take 40 s."""
    plan = make_plan(overfitted, replace(ALIKE, budget=budget))
    assert plan.start == "scratch"
    assert (len(planned(plan)), plan.finalists) == (arms, finalists)
    assert plan.expected_seconds <= 0.85 * budget
    late = [fix for fix in plan.fixes if fix.status == "not_reached"]
    assert len(late) == 5 - arms
    assert all("the budget does not reach it" in fix.reason for fix in late)


def test_a_small_budget_starts_from_the_checkpoint(overfitted: Patient) -> None:
    plan = make_plan(overfitted, replace(ALIKE, budget=20.0))
    assert plan.start == "checkpoint"
    assert "more than the budget of 20 s" in plan.start_reason
    lengths = {t.epochs for t in plan.trials}
    assert len(lengths) == 1
    assert len(planned(plan)) == 5  # shorter, but all of them: 13 trials of 6 epochs
    assert lengths == {6}
    hardly = make_plan(overfitted, replace(ALIKE, budget=1.5))
    assert {t.epochs for t in hardly.trials} == {1}
    none = make_plan(overfitted, replace(SECOND, budget=0.5))
    assert none.trials == ()
    assert {f.status for f in none.fixes} == {"not_reached", "not_applicable"}


def test_a_wrong_rate_is_treated_from_scratch_and_every_training_shortened(
    patient: Patients, cause: Causes
) -> None:
    """From the checkpoint the control's rate would come down as well."""
    told = patient(cause(Cause.OPTIMIZATION))
    plan = make_plan(told, replace(ALIKE, budget=20.0))
    assert plan.start == "scratch"
    assert "shortened to 12 of 20 epochs" in plan.start_reason
    lengths = {(t.fix, t.epochs, t.recipe.epochs, t.anneal) for t in first_trials(plan)}
    assert (CONTROL, 12, 12, False) in lengths
    assert ("schedule_learning_rate", 12, 12, False) in lengths
    assert plan.expected_seconds <= 20.0
    tight = make_plan(told, replace(ALIKE, budget=8.0))
    assert tight.start == "checkpoint"  # a third of a training tells nothing
    whole = make_plan(told, replace(ALIKE, budget=66.0))
    assert {t.epochs for t in whole.trials} == {20, 40}


def test_a_training_that_was_cut_off_is_shortened_with_its_schedule(
    patient: Patients, cause: Causes
) -> None:
    told = patient(cause(Cause.OPTIMIZATION), epochs=10)
    plan = make_plan(told, replace(ALIKE, budget=10.0))
    control = plan.trials[0]
    assert (control.start, control.epochs, control.recipe.epochs) == ("scratch", 6, 12)


def test_a_budget_that_does_not_pay_for_all_is_kept_for_what_promises_most() -> None:
    def arm(name: str, gain: float) -> Arm:
        spec = TrialSpec(name, 0, "scratch", RECIPE, 20)
        return Arm(name, (), Variant(RECIPE, "", 0.5), spec, 4.0, gain)

    arms = [arm("strong", 0.5), arm("fair", 0.2), arm("faint", 0.1)]
    for budget, kept in ((None, 3), (100.0, 3), (44.0, 2), (24.0, 1)):
        found = Bill({"scratch": 4.0}, 3, budget).kept(arms).arms
        assert [one.fix for one in found] == ["strong", "fair", "faint"][:kept]


def test_a_pinned_length_is_kept_whatever_the_budget(overfitted: Patient) -> None:
    """A control of that length was trained already."""
    plan = make_plan(overfitted, replace(ALIKE, start="checkpoint", length=7, budget=30.0))
    assert {t.epochs for t in plan.trials} == {7}
    assert plan.expected_seconds <= 30.0


def test_the_arm_without_a_teacher_only_where_the_budget_allows(overfitted: Patient) -> None:
    assert not last_trials(make_plan(overfitted, replace(ALIKE, budget=75.0)))
    assert last_trials(make_plan(overfitted, replace(ALIKE, budget=76.0)))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    budget=st.none() | st.floats(0.0, 500.0), seeds=st.integers(1, 6), seed=st.integers(0, 1000),
    start=st.sampled_from([None, "scratch", "checkpoint"]), view=st.floats(0.0, 0.1),
    trial=st.floats(0.0, 5.0), cut=st.integers(1, 20),
)  # fmt: skip
def test_any_plan_keeps_its_budget_and_compares_with_a_control(
    sick: Callable[..., Patient], cut: int, view: float, trial: float, **asked: Any
) -> None:
    options = replace(SECOND, pace=Pace(0.01, view, trial), hash="abc", **asked)
    patient = sick(epochs=cut)
    plan = make_plan(patient, options)
    assert plan == make_plan(patient, options)
    assert plan.hash == "abc"
    if options.budget is not None:
        assert plan.expected_seconds <= options.budget
    controls = {(t.start, t.seed) for t in plan.trials if t.fix == CONTROL}
    assert {(t.start, t.seed) for t in plan.trials} == controls
    order = [t.seed for t in plan.trials if t.fix != WITHOUT_TEACHER]
    assert order == sorted(order)
    assert set(order) <= {options.seed + k for k in range(options.seeds)}
    assert all(t.start == "scratch" for t in plan.trials if t.larger)
    assert len({t.name for t in plan.trials}) == len(plan.trials)
    assert {t.fix for t in first_trials(plan)} - {CONTROL} == set(planned(plan))
    assert plan.finalists <= len(planned(plan))


# -- two together --------------------------------------------------------------------------------


def test_two_fixes_together_change_what_either_does(overfitted: Patient) -> None:
    plan = make_plan(overfitted, SECOND)
    both = combined_trials(plan, "stop_early", "add_dropout")
    assert not isinstance(both, NotApplicable)
    assert [(t.fix, t.seed) for t in both] == [("stop_early+add_dropout", k) for k in range(3)]
    recipe = both[0].recipe
    assert (recipe.dropout, recipe.early_stopping) == (0.3, 3)
    assert replace(recipe, dropout=0.0, early_stopping=0) == plan.recipe
    assert both[0].name == "stop_early_and_add_dropout-scratch-0"


def test_lengths_and_a_larger_student_go_together(patient: Patients, cause: Causes) -> None:
    told = patient(cause(Cause.CAPACITY_SHORTFALL), cause(Cause.OPTIMIZATION))
    both = combined_trials(make_plan(told, SECOND), "train_longer", "increase_capacity")
    assert not isinstance(both, NotApplicable)
    assert (both[0].larger, both[0].epochs) == (True, 40)


def test_what_contradicts_or_starts_elsewhere_does_not_go_together(
    patient: Patients, cause: Causes
) -> None:
    told = patient(cause(Cause.CAPACITY_SHORTFALL), cause(Cause.OPTIMIZATION))
    apart = make_plan(told, replace(SECOND, start="checkpoint"))
    found = combined_trials(apart, "train_longer", "increase_capacity")
    assert isinstance(found, NotApplicable)
    assert "same student" in found.reason
    assert isinstance(combined_trials(apart, "add_dropout", "train_longer"), NotApplicable)
    control = apart.trials[0]
    one, other = (
        replace(control, fix=name, recipe=replace(control.recipe, lr=lr))
        for name, lr in (("one", 0.5), ("other", 0.25))
    )
    clash = together(control, one, other)
    assert isinstance(clash, NotApplicable)
    assert clash.reason == "one and other both change lr, to other values"
    lengths = [replace(control, fix=f"f{k}", epochs=k) for k in (3, 5)]
    assert isinstance(together(control, *lengths), NotApplicable)


def test_notes_tell_what_ran_and_what_is_assumed(patient: Patients, cause: Causes) -> None:
    told = patient(
        cause(Cause.OVERFITTING), assumed=("augment", "lr"), departures=("It was cut off.",),
        warnings=("heldout_chose_the_checkpoint",),
    )  # fmt: skip
    notes = make_plan(told, SECOND).notes
    assert notes[0] == "The control runs what ran. It was cut off."
    assert "augment = [], lr = 0.001" in notes[1]
    assert "best epoch" in notes[2]


# -- where the budget goes -----------------------------------------------------------------------


def an_arm(name: str, gain: float, seconds: float = 4.0) -> Arm:
    spec = TrialSpec(name, 0, "scratch", RECIPE, 20)
    return Arm(name, (), Variant(RECIPE, "", 0.5), spec, seconds, gain)


def test_what_promises_most_of_all_is_paid_for_before_cheaper_ones_that_promise_less() -> None:
    """On 3 seeds: a control takes 3 s, each cheap arm, too; the dear one 30 s."""
    cheap = [an_arm(f"cheap{k}", 0.2, 1.0) for k in range(3)]
    dear = an_arm("dear", 0.9, 10.0)
    bill = Bill({"scratch": 1.0}, 3, 42.0)
    kept = bill.kept([*cheap, dear])
    assert [one.fix for one in kept.arms][-1] == "dear"
    assert not kept.joined, "with a pair of dear ones it would not be paid for"
    assert bill.total(kept.arms, kept.finalists, joined=False) <= 42.0
    little = bill.kept([*cheap, replace(dear, gain=0.21)])
    assert [one.fix for one in little.arms] == ["cheap0", "cheap1", "cheap2"]
    assert little.joined


def test_a_plan_holds_in_reserve_what_the_budget_does_not_reach(overfitted: Patient) -> None:
    plan = make_plan(overfitted, replace(ALIKE, budget=52.0))
    late = {fix.id: fix.expected_gain for fix in plan.fixes if fix.status == "not_reached"}
    assert {spec.fix for spec in plan.reserve} == {*late}
    gains = [late[spec.fix] for spec in plan.reserve]
    assert gains == sorted(gains, reverse=True)
    assert not make_plan(overfitted, ALIKE).reserve
    spec = plan.reserve[0]
    more = with_reserve(plan, spec)
    assert [t.seed for t in more.trials if t.fix == spec.fix] == [0, 1, 2]
    assert by_id(more)[spec.fix].status == "planned"
    assert spec not in more.reserve
    order = [t.seed for t in more.trials if t.fix != WITHOUT_TEACHER]
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("start", "before", "after"), [("scratch", 20, 40), ("checkpoint", 10, 20)]
)
def test_epochs_are_told_as_they_are_trained(
    start: Start, before: int, after: int, patient: Patients, cause: Causes
) -> None:
    """From the checkpoint the control trains half as long, and so does everything beside it."""
    told = patient(cause(Cause.OPTIMIZATION))
    plan = make_plan(told, replace(SECOND, start=start))
    longer = by_id(plan)["train_longer"]
    assert Change("recipe.epochs", before, after) in longer.changes
    assert {t.epochs for t in plan.trials if t.fix == "train_longer"} == {after}
    other = by_id(plan)["schedule_learning_rate"]
    assert all(change.key != "recipe.epochs" for change in other.changes)
