"""Trainings of another length, and where a learning rate ends."""

from __future__ import annotations

from dataclasses import replace

from gapdoctor.domain.recipe import Recipe, Schedule
from gapdoctor.training.schedules import LearningRate

FINE = 20
"""Steps an epoch at which a schedule is looked at."""


def of_length(recipe: Recipe, epochs: int) -> Recipe:
    """Return a recipe stretched or shortened to so many epochs: its schedule keeps its shape."""
    if recipe.epochs is None or recipe.epochs == epochs:
        return replace(recipe, epochs=epochs)
    factor = epochs / recipe.epochs

    def scaled(count: int | None, least: int) -> int | None:
        return count and max(least, round(count * factor))

    hints = scaled(recipe.hint_epochs, 1)
    drops = recipe.milestones
    if drops is not None:
        drops = tuple(sorted({max(1, round(drop * factor)) for drop in drops}))
    return replace(
        recipe,
        epochs=epochs,
        step_size=scaled(recipe.step_size, 1),
        milestones=drops,
        patience=scaled(recipe.patience, 1),
        warmup_epochs=scaled(recipe.warmup_epochs, 0),
        hint_epochs=hints if hints is None else min(hints, epochs - 1),
    )


def end_of_rate(recipe: Recipe, epochs: int) -> float | None:
    """Return the last learning rate over the highest one, where so many epochs are trained.

    None for `plateau`, which the held-out loss decides on.
    """
    if recipe.schedule is Schedule.PLATEAU:
        return None
    planned = max(epochs, recipe.epochs or epochs)
    rate = LearningRate(recipe, planned * FINE, planned)
    rates = [rate.at(step) for step in range(epochs * FINE)]
    return rates[-1] / max(rates)
