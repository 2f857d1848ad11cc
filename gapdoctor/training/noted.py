"""A recipe that notes which of its fields were looked at."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from gapdoctor.domain.recipe import Recipe
from gapdoctor.domain.trials import WITHOUT_TEACHER, TrialSpec

FIELDS = tuple(f.name for f in fields(Recipe))


class NotedRecipe(Recipe):
    """Read-only; a field counts as read once its value was asked for.

    A copy is a plain recipe, of which all fields count as read. Printing reads nothing.
    """

    __slots__ = ("_read",)
    _read: set[str]

    def __new__(cls, *args: Any, **kwargs: Any) -> NotedRecipe:  # noqa: D102
        made = super().__new__(cls)
        object.__setattr__(made, "_read", set())
        return made

    def __getattribute__(self, name: str) -> Any:
        if name in FIELDS:
            object.__getattribute__(self, "_read").add(name)
        return object.__getattribute__(self, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return Recipe, tuple(getattr(self, name) for name in FIELDS)

    def __repr__(self) -> str:
        return repr(Recipe(*(object.__getattribute__(self, name) for name in FIELDS)))


def noted(recipe: Recipe) -> NotedRecipe:
    """Return a recipe of the same values that notes what is read."""
    return NotedRecipe(*(getattr(recipe, name) for name in FIELDS))


def fields_read(recipe: NotedRecipe) -> tuple[str, ...]:
    """Return the names of the fields that were read, in order."""
    read = object.__getattribute__(recipe, "_read")
    return tuple(name for name in FIELDS if name in read)


def trained_recipe(spec: TrialSpec) -> Recipe:
    """Return the recipe that a trial trains with, seen by itself: its own epochs, no teacher."""
    alone = {"task_weight": 1.0, "feature_loss": None} if spec.fix == WITHOUT_TEACHER else {}
    return replace(spec.recipe, epochs=spec.epochs, **alone)  # type: ignore[arg-type]


def has_effect(variant: TrialSpec, control: TrialSpec, read: tuple[str, ...] | None) -> bool:
    """Tell whether a variant can differ from its control.

    It cannot where all that it changes are fields that the user's trainer never looks at; by whom
    the student is taught it is handed.

    Parameters
    ----------
    variant, control : TrialSpec
        Of one seed and start.
    read : tuple of str or None
        `TrialRecord.fields_read` of the control; None: every field counts.
    """
    if read is None or variant.larger != control.larger:
        return True
    one, other = trained_recipe(variant), trained_recipe(control)
    if one.taught_by != other.taught_by:
        return True
    return any(getattr(one, name) != getattr(other, name) for name in read)
