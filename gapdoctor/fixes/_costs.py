"""What trainings cost, and which of them a budget pays for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.recipe import Recipe
from gapdoctor.domain.trials import Start, TrialSpec
from gapdoctor.fixes._base import Patient, Variant

FINALISTS = 3
"""Fixes that get all seeds, at most: each one more widens the simultaneous intervals."""
FEWEST_FINALISTS = 2
"""What a budget is kept for before one more fix is tried: a fix that has one seed can be no more
than promising."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Measured seconds."""

    step: float
    """Of one optimizer step, the teacher's outputs at hand."""
    view: float
    """More, where the teacher is asked anew at each step."""
    trial: float
    """Of each trial, whatever its length: to begin, and to score held-out rows."""

    def of(self, patient: Patient, spec: TrialSpec) -> float:
        """Return the seconds of a trial."""
        size = patient.size_ratio if spec.larger else 1.0
        view = self.view if asks_anew(spec.recipe) else 0.0
        return self.trial + spec.epochs * patient.steps * (self.step * size + view)


def asks_anew(recipe: Recipe) -> bool:
    """Tell whether the teacher is asked anew at each step: about views that are new."""
    return bool(recipe.augment) and (recipe.task_weight or 0.0) < 1


@dataclass(frozen=True, slots=True)
class Arm:
    """A fix that would be trained."""

    fix: str
    treats: tuple[Cause, ...]
    variant: Variant
    spec: TrialSpec
    """Of the first seed."""
    seconds: float
    """Of one trial."""
    gain: float | None
    """Expected nats; None: nothing is known."""

    @property
    def promise(self) -> tuple[float, str]:
        """What arms are sorted by: the most expected nats a second first."""
        return (-(self.gain or 0.0) / max(self.seconds, 1e-9), self.fix)


@dataclass(frozen=True, slots=True)
class Bill:
    """What a choice of arms costs."""

    controls: Mapping[Start, float]
    """Seconds of one control, by start."""
    seeds: int
    budget: float | None

    def total(self, arms: Sequence[Arm], finalists: int) -> float:
        """Return the seconds of all trials: one seed each, then all seeds of the finalists.

        Which arms will be finalists is not known: the dearest are counted.
        """
        if not arms:
            return 0.0
        dearest = sorted(arms, key=lambda arm: -arm.seconds)[:finalists]
        return self._with_controls(arms) + (self.seeds - 1) * self._with_controls(dearest)

    def _with_controls(self, arms: Sequence[Arm]) -> float:
        starts = {arm.spec.start for arm in arms}
        return sum(self.controls[start] for start in sorted(starts)) + sum(a.seconds for a in arms)

    def pays(self, seconds: float) -> bool:
        """Tell whether the budget covers that."""
        return self.budget is None or seconds <= self.budget

    def kept(self, arms: Sequence[Arm]) -> tuple[list[Arm], int]:
        """Return the arms that the budget pays for, in their order, and how many get all seeds."""
        found: list[Arm] = []
        for arm in arms:
            more = [*found, arm]
            if self.pays(self.total(more, min(FEWEST_FINALISTS, len(more)))):
                found = more
        finalists = min(FINALISTS, len(found))
        while finalists > 1 and not self.pays(self.total(found, finalists)):
            finalists -= 1
        return found, finalists
