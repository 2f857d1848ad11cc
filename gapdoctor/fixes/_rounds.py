"""A plan as it is run: every arm on one seed, then the best ones, and two of them together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from typing import Any

from gapdoctor.domain.recipe import Recipe
from gapdoctor.domain.trials import CONTROL, WITHOUT_TEACHER, Plan, Start, TrialSpec
from gapdoctor.fixes._base import NotApplicable
from gapdoctor.fixes._lengths import of_length


def first_trials(plan: Plan) -> tuple[TrialSpec, ...]:
    """Return the trials of the first seed: every control and every fix."""
    return tuple(t for t in plan.trials if t.seed == plan.seed and t.fix != WITHOUT_TEACHER)


def later_trials(
    plan: Plan, best: Sequence[str], controls: Collection[Start] = ()
) -> tuple[TrialSpec, ...]:
    """Return those of the other seeds: of the controls and of the best fixes.

    Parameters
    ----------
    plan : Plan
        As made.
    best : sequence of str
        Fix ids, the best on half A first; those beyond `plan.finalists` are left out.
    controls : collection of Start
        Starts whose control gets all seeds in any case.
    """
    going = set(best[: plan.finalists])
    starts = {*controls, *(t.start for t in plan.trials if t.fix in going)}
    return tuple(
        t
        for t in plan.trials
        if t.seed != plan.seed and (t.fix in going or (t.fix == CONTROL and t.start in starts))
    )


def last_trials(plan: Plan) -> tuple[TrialSpec, ...]:
    """Return the trials that answer a question beside: without a teacher."""
    return tuple(t for t in plan.trials if t.fix == WITHOUT_TEACHER)


def fold_trials(plan: Plan) -> tuple[TrialSpec, ...]:
    """Return the trials that leave a fold of the train rows out: they tell how long others are."""
    return tuple(t for t in plan.trials if t.fold is not None)


def with_length(plan: Plan, fix: str, epochs: int) -> Plan:
    """Return a plan with the trials of a fix whose folds have told its length, one a seed.

    Parameters
    ----------
    plan : Plan
        With the folds of the fix.
    fix : str
        Its id.
    epochs : int
        That it takes; the control's schedule is shortened to them.
    """
    starts = {t.start for t in fold_trials(plan) if t.fix == fix}
    trials: list[TrialSpec] = []
    for seed in dict.fromkeys(t.seed for t in plan.trials):
        mine = [t for t in plan.trials if t.seed == seed and t.fix != WITHOUT_TEACHER]
        controls = [t for t in mine if t.fix == CONTROL and t.start in starts]
        trials += mine
        trials += [
            replace(t, fix=fix, recipe=of_length(t.recipe, epochs), epochs=epochs) for t in controls
        ]
    return replace(plan, trials=(*trials, *last_trials(plan)))


def pair_trials(plan: Plan, first: str, second: str) -> tuple[TrialSpec, ...] | NotApplicable:
    """Return the trials, one a seed, of two fixes together; or why they do not go together.

    Parameters
    ----------
    plan : Plan
        Both are planned in it.
    first, second : str
        Fix ids; the better one first. It stands first in the pair's id.
    """
    found = []
    for one in (t for t in plan.trials if t.fix == first and t.fold is None):
        other = _trial(plan, second, one.seed, {one.start})
        control = _trial(plan, CONTROL, one.seed, {one.start})
        if other is None or control is None:
            return NotApplicable(f"{first} and {second} do not start from the same student")
        both = together(control, one, other)
        if isinstance(both, NotApplicable):
            return both
        found.append(both)
    return tuple(found) or NotApplicable(f"{first} is not trained")


def together(control: TrialSpec, first: TrialSpec, second: TrialSpec) -> TrialSpec | NotApplicable:
    """Return the trial that changes what either of two changes, or where they contradict.

    Parameters
    ----------
    control : TrialSpec
        Against which both are changes; of their start and seed.
    first, second : TrialSpec
        Of one seed and one start.
    """
    recipe = _merged(control.recipe, first.recipe, second.recipe)
    epochs = _either(control.epochs, first.epochs, second.epochs)
    if isinstance(recipe, str) or epochs is None:
        what = recipe if isinstance(recipe, str) else "epochs"
        return NotApplicable(f"{first.fix} and {second.fix} both change {what}, to other values")
    return replace(
        first,
        fix=f"{first.fix}+{second.fix}",
        recipe=recipe,
        epochs=epochs,
        larger=first.larger or second.larger,
    )


def _merged(before: Recipe, one: Recipe, other: Recipe) -> Recipe | str:
    """The recipe with both sets of changes, or the field that they contradict each other in."""
    values: dict[str, Any] = {}
    for name in (f.name for f in fields(Recipe)):
        old, mine, theirs = (getattr(recipe, name) for recipe in (before, one, other))
        if mine != old and theirs != old and mine != theirs:
            return name
        values[name] = theirs if mine == old else mine
    return Recipe(**values)


def _either(before: int, one: int, other: int) -> int | None:
    if one != before and other != before and one != other:
        return None
    return other if one == before else one


def _trial(plan: Plan, fix: str, seed: int, starts: Collection[Start]) -> TrialSpec | None:
    whole = (t for t in plan.trials if t.fold is None and t.start in starts)
    return next((t for t in whole if t.fix == fix and t.seed == seed), None)
