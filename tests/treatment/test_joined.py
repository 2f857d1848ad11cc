"""Two fixes as one arm."""

from __future__ import annotations

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.recipe import Recipe
from gapdoctor.domain.trials import Change, Plan, PlannedFix
from gapdoctor.treatment._arms import joined


def test_changes_to_lists_and_tables_are_told_once() -> None:
    """A list, such as that of the augmentations, cannot be hashed."""
    views = Change("recipe.augment", [], ["mixup"])
    layers = Change("recipe.feature_layers", None, [["0", "1"]])
    decay = Change("recipe.weight_decay", 0.0, 0.01)
    first = PlannedFix("add_augmentation", (Cause.OVERFITTING,), "One.", (views, layers))
    second = PlannedFix("add_weight_decay", (Cause.OVERFITTING,), "Other.", (views, decay))
    plan = Plan("ab", 0, "scratch", "", None, Recipe(), (), (first, second), ())
    both = joined(plan, first.id, second.id)
    assert both.changes == (views, layers, decay)
    assert (both.id, both.treats) == ("add_augmentation+add_weight_decay", (Cause.OVERFITTING,))
