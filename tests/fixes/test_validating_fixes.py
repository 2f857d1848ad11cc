"""A fix whose length folds of the train rows tell: when it is tried, and how it is planned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.diagnosis import DataRecord, RankedCause, SplitUse
from gapdoctor.domain.findings import Table
from gapdoctor.domain.recipe import Schedule
from gapdoctor.domain.trials import CONTROL, WITHOUT_TEACHER, Change, Plan
from gapdoctor.fixes._base import NotApplicable, Patient, Variant, changes_of
from gapdoctor.fixes._choice import PLANNED
from gapdoctor.fixes._costs import Pace
from gapdoctor.fixes._planning import PlanOptions, make_plan
from gapdoctor.fixes._rounds import (
    first_trials,
    fold_trials,
    later_trials,
    with_length,
)
from gapdoctor.fixes._together import combined_trials
from tests.fixes.conftest import Causes, Fixes, Patients

NAME = "cross_validate"
SECOND = PlanOptions(pace=Pace(step=0.01))
"""A control of 20 epochs of 20 steps takes 4 s, five folds of it 16 s."""
ONLY = replace(SECOND, only=(NAME,))


# -- when it is tried ----------------------------------------------------------------------------


def test_cross_validate_where_a_length_is_to_be_found(
    fixes: Fixes, overfitted: Patient, patient: Patients, rising: RankedCause,
    log: Callable[..., Table],
) -> None:  # fmt: skip
    fix = fixes["cross_validate"]
    for told in (overfitted, patient(rising, history=log(20))):
        found = fix.propose(told)
        assert isinstance(found, Variant)
        assert (found.recipe, found.folds, found.start) == (told.recipe, (5, 3), "scratch")
        assert found.expected_share < fixes["stop_early"].propose(told).expected_share + 0.1  # type: ignore[union-attr]
        assert changes_of(told, found) == (Change("recipe.epochs", 20, "as the folds tell"),)
    assert fix.propose(replace(overfitted, train_rows=70)).folds == (3,)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"own_trainer": True}, "no loss after each epoch"),
        ({"has_factory": False}, "has seen every train row"),
        ({"recipe": {"early_stopping": 7}}, "stops early already, with a patience of 7"),
        ({"epochs": 1}, "one epoch"),
        ({"train_rows": 59}, "59 train rows are too few"),
    ],
)
def test_where_it_is_not_tried(
    fixes: Fixes, patient: Patients, changed: dict[str, Any], said: str
) -> None:
    found = fixes[NAME].propose(patient(**changed))
    assert isinstance(found, NotApplicable)
    assert said in found.reason


def test_a_stream_and_curves_that_do_not_rise(
    fixes: Fixes, patient: Patients, log: Callable[..., Table]
) -> None:
    data = DataRecord(SplitUse(None, 500), SplitUse(500, 500), tuple("abc"))
    told = patient()
    streamed = replace(told, diagnosis=replace(told.diagnosis, data=data))
    for one, said in ((streamed, "stream"), (patient(history=log(20)), "near its minimum")):
        found = fixes[NAME].propose(one)
        assert isinstance(found, NotApplicable)
        assert said in found.reason


# -- how it is planned ---------------------------------------------------------------------------


def planned(plan: Plan) -> list[str]:
    return [fix.id for fix in plan.fixes if fix.status == "planned" and not fix.free]


def test_folds_are_trained_on_the_first_seed_behind_the_other_fixes(overfitted: Patient) -> None:
    plan = make_plan(overfitted, replace(SECOND, seed=7))
    assert planned(plan)[-1] == NAME
    folds = fold_trials(plan)
    assert [(t.fix, t.seed, t.fold) for t in folds] == [(NAME, 7, (k, 5)) for k in range(1, 6)]
    assert first_trials(plan)[-5:] == folds
    control = plan.trials[0]
    assert {replace(t, fix=CONTROL, fold=None) for t in folds} == {control}
    assert [t for t in plan.trials if t.fix == NAME] == list(folds)
    assert len({t.name for t in plan.trials}) == len(plan.trials)
    assert {t.fix for t in later_trials(plan, [NAME])} == {CONTROL}  # its own are not known yet


def test_what_it_costs(overfitted: Patient) -> None:
    plan = make_plan(overfitted, replace(ONLY, pace=Pace(0.01, trial=1.0)))
    assert plan.expected_seconds == pytest.approx(5 * (3.2 + 1) + 3 * 2 * 5.0)
    (mine,) = [f for f in plan.fixes if f.id == NAME]
    assert mine.expected_seconds == pytest.approx(5 * (3.2 + 1) + 3 * 5.0)


@pytest.mark.parametrize(("budget", "folds"), [(None, 5), (40.1, 5), (39.0, 3), (32.1, 3)])
def test_a_small_budget_has_fewer_folds(
    budget: float | None, folds: int, overfitted: Patient
) -> None:
    """3 seeds of a control and the fix take 24 s; five folds 16 s, three 8 s."""
    budget = budget and budget / PLANNED
    plan = make_plan(overfitted, replace(ONLY, budget=budget))
    assert [t.fold for t in fold_trials(plan)] == [(k + 1, folds) for k in range(folds)]
    assert budget is None or plan.expected_seconds <= budget


def test_no_other_fix_is_left_out_for_it(overfitted: Patient) -> None:
    for budget in (24.0, 40.0, 60.0, 70.0, 80.0, 90.0, 100.0, 120.0):
        plan = make_plan(overfitted, replace(SECOND, budget=budget))
        without = make_plan(overfitted, replace(SECOND, budget=budget, skip=(NAME,)))
        assert [name for name in planned(plan) if name != NAME] == planned(without)
        assert plan.finalists == without.finalists or len(planned(without)) < 3
        assert plan.expected_seconds <= budget
    assert NAME in planned(plan)


def test_from_the_checkpoint_no_row_is_new(overfitted: Patient) -> None:
    plan = make_plan(overfitted, replace(SECOND, start="checkpoint"))
    (mine,) = [f for f in plan.fixes if f.id == NAME]
    assert mine.status == "not_applicable"
    assert "has seen every train row" in mine.reason
    assert not fold_trials(plan)
    assert {t.start for t in plan.trials} == {"checkpoint"}


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    budget=st.none() | st.floats(0.0, 500.0), seeds=st.integers(1, 4),
    start=st.sampled_from([None, "scratch", "checkpoint"]), cut=st.integers(2, 20),
    rows=st.sampled_from([1000, 70]), epochs=st.integers(1, 20),
)  # fmt: skip
def test_any_plan_keeps_its_budget_with_folds(
    sick: Callable[..., Patient], cut: int, rows: int, epochs: int, **asked: Any
) -> None:
    options = replace(SECOND, **asked)
    plan = make_plan(sick(epochs=cut, train_rows=rows), options)
    if options.budget is not None:
        assert plan.expected_seconds <= options.budget
    folds = fold_trials(plan)
    assert len(folds) in (0, 3, 5)
    assert {(t.start, t.seed) for t in folds} <= {("scratch", 0)}
    if folds:
        known = with_length(plan, NAME, min(epochs, cut))
        mine = [t for t in known.trials if t.fix == NAME and t.fold is None]
        assert [t.seed for t in mine] == list(range(options.seeds))
        order = [t.seed for t in known.trials if t.fix != WITHOUT_TEACHER]
        assert order == sorted(order)


# -- once its length is known --------------------------------------------------------------------


def test_it_trains_as_the_control_does_for_as_long_as_folds_tell(
    patient: Patients, cause: Causes
) -> None:
    told = patient(
        cause(Cause.OVERFITTING),
        recipe={"schedule": Schedule.STEP, "milestones": (10, 15), "gamma": 0.1},
    )
    before = make_plan(told, SECOND)
    plan = with_length(before, NAME, 8)
    assert plan.trials[-1].fix == WITHOUT_TEACHER
    assert set(before.trials) < set(plan.trials)
    mine = [t for t in plan.trials if t.fix == NAME and t.fold is None]
    assert [(t.seed, t.epochs, t.start, t.anneal) for t in mine] == [
        (seed, 8, "scratch", False) for seed in range(3)
    ]
    recipe = mine[0].recipe
    assert (recipe.epochs, recipe.milestones) == (8, (4, 6))
    assert replace(recipe, epochs=20, milestones=(10, 15)) == plan.recipe
    assert mine[0] in first_trials(plan)
    assert set(mine[1:]) <= set(later_trials(plan, [NAME]))


def test_with_another_fix(overfitted: Patient) -> None:
    plan = with_length(make_plan(overfitted, SECOND), NAME, 8)
    for order in ((NAME, "add_dropout"), ("add_dropout", NAME)):
        both = combined_trials(plan, *order)
        assert not isinstance(both, NotApplicable)
        assert [(t.seed, t.epochs, t.fold) for t in both] == [(k, 8, None) for k in range(3)]
        assert (both[0].recipe.dropout, both[0].recipe.epochs) == (0.3, 8)
