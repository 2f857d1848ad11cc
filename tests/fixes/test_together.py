"""Which fixes are tried as one, and what that trains."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.trials import CONTROL, Plan, Together
from gapdoctor.fixes._base import Fix, NotApplicable, Patient
from gapdoctor.fixes._costs import Pace
from gapdoctor.fixes._planning import PlanOptions, make_plan
from gapdoctor.fixes._together import combined_trials, needing, one_more, to_combine, together
from tests.fixes.conftest import Causes, Patients

OPTIONS = PlanOptions(pace=Pace(step=0.01))
VIEWS, LONGER = "add_augmentation", "train_longer"
LARGER, DECAY = "increase_capacity", "add_weight_decay"


@pytest.fixture
def plan(patient: Patients, cause: Causes) -> Plan:
    told = patient(cause(Cause.OVERFITTING), cause(Cause.OPTIMIZATION))
    return make_plan(told, OPTIONS)


def names(found: list[Together]) -> list[tuple[str, ...]]:
    return [one.fixes for one in found]


def test_what_fixes_say_they_need_are_fixes_with_a_reason(fixes: dict[str, Fix]) -> None:
    said = {fix.name: dict(fix.needs) for fix in fixes.values() if fix.needs}
    assert {VIEWS, LARGER} <= {*said}
    for name, needs in said.items():
        assert set(needs) <= {*fixes} - {name}
        assert all(why.endswith(".") for why in needs.values())


def test_only_planned_fixes_need_each_other() -> None:
    needs = {"a": {"b": "Why.", "c": "Too."}, "b": {}}
    assert needing(needs, {"a", "b"}) == [Together(("a", "b"), "Why.")]
    assert needing(needs, {"b", "c"}) == []


def test_a_plan_tells_which_of_its_fixes_need_each_other(plan: Plan, overfitted: Patient) -> None:
    assert (VIEWS, LONGER) in names(list(plan.together))
    assert make_plan(overfitted, OPTIONS).together == ()  # nothing asks for a longer training


def test_the_two_best_and_those_that_need_each_other(plan: Plan) -> None:
    best = [DECAY, "add_dropout", LONGER]
    assert names(to_combine(plan, best, best)) == [(DECAY, "add_dropout")]
    with_views = [*best, VIEWS]
    assert names(to_combine(plan, best, with_views)) == [(DECAY, "add_dropout"), (LONGER, VIEWS)]
    assert names(to_combine(plan, [VIEWS, LONGER], [VIEWS, LONGER])) == [(VIEWS, LONGER)]
    assert to_combine(plan, [DECAY], [DECAY, VIEWS]) == []


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ({"a": 0.5, "b": 0.6, "a+b": 0.4, "c": 0.7}, ("a", "b", "c")),
        ({"a": 0.5, "b": 0.6, "a+b": 0.55, "c": 0.7}, None),  # one alone is as good
        ({"a": 0.5, "b": 0.3, "a+b": 0.4, "c": 0.7}, None),
    ],
)
def test_one_more_only_where_together_was_better_than_each(
    losses: dict[str, float], expected: tuple[str, ...] | None
) -> None:
    found = one_more(("a", "b"), losses, ["a", "b", "c"])
    assert (found and found.fixes) == expected
    assert one_more(("a", "b"), losses, ["a", "b"]) is None  # nothing else points the right way


def test_three_fixes_change_what_each_of_them_does(overfitted: Patient) -> None:
    three = combined_trials(
        make_plan(overfitted, OPTIONS), "stop_early", "add_dropout", "add_weight_decay"
    )
    assert not isinstance(three, NotApplicable)
    recipe = three[0].recipe
    assert recipe.dropout == 0.3
    assert recipe.early_stopping
    assert recipe.weight_decay
    assert [t.seed for t in three] == [0, 1, 2]
    assert three[0].name == "stop_early_and_add_dropout_and_add_weight_decay-scratch-0"


def test_a_larger_student_takes_a_decay_along_that_was_tried_from_the_checkpoint(
    patient: Patients, cause: Causes
) -> None:
    """It is built anew, where the decay was tried on the one that is there, for half as long."""
    told = patient(cause(Cause.CAPACITY_SHORTFALL), cause(Cause.OVERFITTING))
    plan = make_plan(told, replace(OPTIONS, start="checkpoint"))
    alone = next(t for t in plan.trials if t.fix == DECAY)
    assert (alone.start, alone.epochs, alone.anneal) == ("checkpoint", 10, True)
    (one,) = [t for t in to_combine(plan, [], [DECAY, LARGER]) if LARGER in t.fixes]
    assert one.fixes == (LARGER, DECAY)
    assert "Krogh" in one.reason
    both = combined_trials(plan, *one.fixes)
    assert not isinstance(both, NotApplicable)
    control = next(t for t in plan.trials if (t.fix, t.start) == (CONTROL, "scratch"))
    assert both[0] == replace(
        control, fix=f"{LARGER}+{DECAY}", larger=True,
        recipe=replace(control.recipe, weight_decay=alone.recipe.weight_decay),
    )  # fmt: skip


def test_lengths_are_taken_along_as_multiples(patient: Patients, cause: Causes) -> None:
    told = patient(cause(Cause.CAPACITY_SHORTFALL), cause(Cause.OPTIMIZATION))
    plan = make_plan(told, replace(OPTIONS, start="checkpoint"))
    both = combined_trials(plan, LARGER, LONGER)
    assert not isinstance(both, NotApplicable)
    assert (both[0].larger, both[0].epochs, both[0].recipe.epochs) == (True, 40, 40)
    back = combined_trials(plan, LONGER, LARGER)
    assert isinstance(back, NotApplicable)  # a checkpoint of the small one makes no larger one
    assert "same student" in back.reason


def test_an_assistant_has_no_layers_of_the_teachers(patient: Patients, cause: Causes) -> None:
    told = patient(
        cause(Cause.CAPACITY_SHORTFALL), assistant_parameters=4000, layer_pairs=(("1", "layer1"),)
    )
    both = ("distill_features", "distill_from_assistant")
    plan = make_plan(told, replace(OPTIONS, only=both))
    for order in (both, both[::-1]):
        found = combined_trials(plan, *order)
        assert isinstance(found, NotApplicable)
        assert "the assistant teaches" in found.reason


def test_one_that_does_all_that_the_other_does_is_not_joined_with_it(plan: Plan) -> None:
    control = plan.trials[0]
    less = replace(control, fix="less", recipe=replace(control.recipe, dropout=0.3))
    more = replace(control, fix="more", recipe=replace(less.recipe, weight_decay=0.01))
    for pair in ((less, more), (more, less)):
        found = together(control, *pair)
        assert isinstance(found, NotApplicable)
        assert found.reason == "more does all that less does already"
