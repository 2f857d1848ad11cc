"""The learning rate of each step, by the schedule of a recipe."""

from __future__ import annotations

import math
from typing import Any

from gapdoctor.domain.recipe import Recipe, Schedule

DIV_FACTOR, FINAL_DIV_FACTOR, RISING = 25.0, 1e4, 0.3
"""`onecycle`: torch's start, end and share of rising steps (Smith & Topin 2019)."""
BETTER = 1e-4
"""`plateau`: relative fall of the loss that counts as an improvement, torch's."""


class LearningRate:
    """The learning rate at each step of a training.

    Within an epoch `cosine`, `onecycle` and the warm-up move with every step; `step` and `plateau`
    drop between epochs. A schedule that is stretched or shortened keeps its shape.

    Parameters
    ----------
    recipe : Recipe
        Completed (`gapdoctor.training.defaults`).
    steps : int
        That the schedule spans; beyond them it stays where it ended.
    epochs : float
        Of the recipe, that these steps stand for.
    anneal : bool
        Also bring the rate down to 0 over the steps, where the schedule itself does not.
    """

    def __init__(self, recipe: Recipe, steps: int, epochs: float, *, anneal: bool = False) -> None:
        self._recipe = recipe
        self._steps = max(1, steps)
        self._epochs = epochs
        self._anneal = anneal and not ends_at_zero(recipe)
        self._factor, self._best, self._worse = 1.0, math.inf, 0

    def at(self, step: int) -> float:
        """Return the rate of a step, counted from 0."""
        done = min(step / self._steps, 1.0)
        lr = self._scheduled(step, done) * self._warmed(step)
        return lr * (1.0 - done) if self._anneal else lr

    def epoch_ended(self, loss: float) -> None:
        """Tell `plateau` the loss of an epoch (held-out where there is one, else train).

        After `patience` epochs without an improvement the next one without drops the rate.
        """
        recipe = self._recipe
        if recipe.schedule is not Schedule.PLATEAU:
            return
        assert recipe.patience is not None
        assert recipe.factor is not None
        if loss < self._best * (1 - BETTER):
            self._best, self._worse = loss, 0
            return
        self._worse += 1
        if self._worse > recipe.patience:
            self._factor, self._worse = self._factor * recipe.factor, 0

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs to go on from here."""
        return {"factor": self._factor, "best": self._best, "worse": self._worse}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was taken."""
        self._factor, self._best, self._worse = state["factor"], state["best"], state["worse"]

    def _scheduled(self, step: int, done: float) -> float:
        recipe = self._recipe
        assert recipe.lr is not None
        match recipe.schedule:
            case Schedule.COSINE:
                floor = recipe.min_lr or 0.0
                return floor + (recipe.lr - floor) * (1 + math.cos(math.pi * done)) / 2
            case Schedule.STEP:
                return recipe.lr * (recipe.gamma or 0.0) ** self._drops(step)
            case Schedule.PLATEAU:
                return max(recipe.lr * self._factor, min(recipe.min_lr or 0.0, recipe.lr))
            case Schedule.ONECYCLE:
                return one_cycle(recipe.max_lr or recipe.lr, step, self._steps)
            case _:
                return recipe.lr

    def _drops(self, step: int) -> int:
        # a tolerance, since 3 · (1/3) of an epoch may come out just below 1
        epoch = math.floor(step * self._epochs / self._steps + 1e-9)
        if self._recipe.milestones is not None:
            return sum(epoch >= m for m in self._recipe.milestones)
        return epoch // max(1, self._recipe.step_size or 1)

    def _warmed(self, step: int) -> float:
        warm = (self._recipe.warmup_epochs or 0) * self._steps / max(self._epochs, 1e-9)
        return min(1.0, (step + 1) / warm) if warm >= 1 else 1.0


def ends_at_zero(recipe: Recipe) -> bool:
    """Tell whether a schedule anneals the learning rate to 0 by itself."""
    if recipe.schedule is Schedule.COSINE:
        return not recipe.min_lr
    return recipe.schedule is Schedule.ONECYCLE


def one_cycle(peak: float, step: int, steps: int) -> float:
    """Return the rate of the 1cycle policy, cosine up and down (torch's `OneCycleLR`).

    Smith & Topin 2019, arXiv 1708.07120.
    """
    start, last = peak / DIV_FACTOR, peak / DIV_FACTOR / FINAL_DIV_FACTOR
    turn = RISING * steps - 1
    if step <= turn:
        return _between(start, peak, step / turn if turn else 1.0)
    return _between(peak, last, min(1.0, (step - turn) / max(1e-9, steps - 1 - turn)))


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
