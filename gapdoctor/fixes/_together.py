"""Fixes that are tried as one: which, why, and what their trials are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from gapdoctor.domain.recipe import Recipe
from gapdoctor.domain.trials import CONTROL, Plan, Together, TrialSpec
from gapdoctor.fixes._base import NotApplicable
from gapdoctor.fixes._lengths import of_length


def needing(needs: Mapping[str, Mapping[str, str]], planned: Collection[str]) -> list[Together]:
    """Return which of the planned fixes may need each other.

    Parameters
    ----------
    needs : mapping of str to mapping
        By fix id, the fixes that it may only work with, and why (`Fix.needs`).
    planned : collection of str
        Fix ids.
    """
    return [
        Together((fix, other), why)
        for fix, others in needs.items()
        for other, why in others.items()
        if fix in planned and other in planned
    ]


def to_combine(plan: Plan, best: Sequence[str], pointing: Sequence[str]) -> list[Together]:
    """Return which fixes are to be tried together after the first seed.

    The two best of one start; and those that may need each other, where each alone points the
    right way.

    Parameters
    ----------
    plan : Plan
        As run so far.
    best : sequence of str
        Single fixes of one start that are better than their control on half A, the best first.
    pointing : sequence of str
        All single fixes that are, whatever their start, the best first.
    """
    found: list[Together] = []
    if len(best) > 1:
        found.append(Together((best[0], best[1]), "the two that are best on half A"))
    for one in plan.together:
        if set(one.fixes) <= {*pointing} and all({*one.fixes} != {*t.fixes} for t in found):
            found.append(replace(one, fixes=_first_from_scratch(plan, one.fixes, pointing)))
    return found


def one_more(
    together: Sequence[str], losses: Mapping[str, float], pointing: Sequence[str]
) -> Together | None:
    """Return a combination with one fix more, where it was better than each of its parts.

    Parameters
    ----------
    together : sequence of str
        Ids of the fixes that were combined.
    losses : mapping of str to float
        On half A by fix id, nats.
    pointing : sequence of str
        As `to_combine` has it.
    """
    joined = "+".join(together)
    if any(losses[joined] >= losses.get(part, float("inf")) for part in together):
        return None
    third = next((name for name in pointing if name not in together), None)
    if third is None:
        return None
    return Together((*together, third), (
        f"{_spaced(joined)} is better than each of them alone, and {third} points the right way, "
        "too"
    ))  # fmt: skip


def combined_trials(plan: Plan, *names: str) -> tuple[TrialSpec, ...] | NotApplicable:
    """Return the trials, one a seed, of some fixes together; or why they do not go together.

    Parameters
    ----------
    plan : Plan
        All are planned in it.
    *names : str
        Fix ids. Where the first starts, all start; it stands first in the id of all together.
    """
    found = []
    for one in (t for t in plan.trials if t.fix == names[0] and t.fold is None):
        both = _combined(plan, one, names[1:])
        if isinstance(both, NotApplicable):
            return both
        found.append(both)
    return tuple(found) or NotApplicable(f"{names[0]} is not trained")


def _combined(plan: Plan, one: TrialSpec, names: Iterable[str]) -> TrialSpec | NotApplicable:
    control, found = _trial(plan, CONTROL, one), one
    for name in names:
        other = None if control is None else _trial(plan, name, one) or _moved(plan, name, one)
        if control is None or other is None:
            return NotApplicable(f"{one.fix} and {name} do not start from the same student")
        both = together(control, found, other)
        if isinstance(both, NotApplicable):
            return both
        found = both
    return found


def together(control: TrialSpec, first: TrialSpec, second: TrialSpec) -> TrialSpec | NotApplicable:
    """Return the trial that changes what either of two changes.

    Or why there is none: they contradict each other, or one changes all that the other does.

    Parameters
    ----------
    control : TrialSpec
        Against which both are changes; of their start and seed.
    first, second : TrialSpec
        Of one seed and one start.
    """
    both = f"{_spaced(first.fix)} and {second.fix}"
    recipe = _merged(control.recipe, first.recipe, second.recipe)
    epochs = _either(control.epochs, first.epochs, second.epochs)
    if isinstance(recipe, str) or epochs is None:
        what = recipe if isinstance(recipe, str) else "epochs"
        return NotApplicable(f"{both} both change {what}, to other values")
    if recipe.feature_loss is not None and recipe.taught_by != control.recipe.taught_by:
        return NotApplicable(
            f"{both} do not go together: the layers that are paired are the teacher's, and the "
            "assistant teaches"
        )
    found = replace(
        first,
        fix=f"{first.fix}+{second.fix}",
        recipe=recipe,
        epochs=epochs,
        larger=first.larger or second.larger,
    )
    for whole, part in ((first, second), (second, first)):
        if replace(found, fix=whole.fix) == whole:
            return NotApplicable(
                f"{_spaced(whole.fix)} does all that {_spaced(part.fix)} does already"
            )
    return found


def _spaced(fix: str) -> str:
    """Several fixes as one, for readers."""
    return fix.replace("+", " + ")


def _first_from_scratch(
    plan: Plan, names: Iterable[str], pointing: Sequence[str]
) -> tuple[str, ...]:
    """The better one first; but one that can only begin from scratch decides for all."""
    scratch = {t.fix for t in plan.trials if t.start == "scratch"}
    return tuple(sorted(names, key=lambda name: (name not in scratch, pointing.index(name))))


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


def _trial(plan: Plan, fix: str, like: TrialSpec) -> TrialSpec | None:
    """The trial of a fix that has the start and the seed of another one."""
    whole = (t for t in plan.trials if t.fold is None and t.start == like.start)
    return next((t for t in whole if t.fix == fix and t.seed == like.seed), None)


def _moved(plan: Plan, fix: str, to: TrialSpec) -> TrialSpec | None:
    """The trial that a fix, tried from the checkpoint, would have from scratch.

    Its control's recipe is changed as it changes that of its own control, length for length.
    """
    if to.start != "scratch":
        return None
    there = next((t for t in plan.trials if t.fix == fix and t.fold is None), None)
    beside = None if there is None else _trial(plan, CONTROL, there)
    here = _trial(plan, CONTROL, to)
    if there is None or beside is None or here is None:
        return None
    factor = here.epochs / beside.epochs
    whole = round(factor * (there.recipe.epochs or there.epochs))
    theirs = of_length(there.recipe, whole)
    old = of_length(beside.recipe, round(factor * (beside.recipe.epochs or beside.epochs)))
    changed = {
        f.name: getattr(theirs, f.name)
        for f in fields(Recipe)
        if getattr(theirs, f.name) != getattr(old, f.name)
    }
    return replace(
        here, fix=fix, recipe=replace(here.recipe, **changed), larger=there.larger,
        epochs=here.epochs if there.epochs == beside.epochs else round(factor * there.epochs),
    )  # fmt: skip
