"""What trainings cost, and which of them a budget pays for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.trials import Start, TrialSpec
from gapdoctor.fixes._base import Patient, Variant

FINALISTS = 3
"""Fixes that get all seeds, at most: each one more widens the simultaneous intervals."""
FEWEST_FINALISTS = 2
"""What a budget is kept for before one more fix is tried: a fix that has one seed can be no more
than promising."""
FAINT = 0.3
"""Share of the best fix's expected nats below which a fix is not tried where the budget does not
pay for all (starting value)."""
MORE = 1.25
"""Times as much as the fixes with the most nats a second a dearer choice has to promise before it
is made instead (starting value)."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Measured seconds; where nothing was measured, a step counts one."""

    step: float = 0.0
    """Of one optimizer step of the student, the teacher's outputs at hand."""
    view: float = 0.0
    """More, where the teacher is asked anew at each step."""
    trial: float = 0.0
    """Of each trial, whatever its length: to begin, and to score held-out rows."""
    larger: float = 1.0
    """Times as long as the student's a step of the larger student takes."""

    def of(self, patient: Patient, spec: TrialSpec) -> float:
        """Return the seconds of a trial."""
        size = self.larger if spec.larger else 1.0
        rows = 1.0 if spec.fold is None else 1 - 1 / spec.fold[1]
        an_epoch = rows * patient.steps
        asked = an_epoch * epochs_asked(spec)
        return self.trial + an_epoch * spec.epochs * (self.step or 1.0) * size + asked * self.view

    def times(self, factor: float) -> Pace:
        """Return the pace at which everything takes `factor` times as long."""
        return replace(
            self, step=factor * self.step, view=factor * self.view, trial=factor * self.trial
        )


def epochs_asked(spec: TrialSpec) -> int:
    """Return the epochs in which the teacher is asked anew: about new views, or its features."""
    recipe = spec.recipe
    if bool(recipe.augment) and (recipe.task_weight or 0.0) < 1:
        return spec.epochs
    if recipe.feature_loss is None:
        return 0
    return min(spec.epochs, recipe.hint_epochs or spec.epochs)  # hints are a first stage


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
    folds: tuple[TrialSpec, ...] = ()
    """Trained on the first seed alone: they tell how long the arm is, at most as its `spec`."""
    once: float = 0.0
    """Seconds of these."""
    instead: Arm | None = None
    """What may be paid for where this may not: fewer folds."""

    @property
    def promise(self) -> tuple[float, str]:
        """What arms are sorted by: the most expected nats a second first."""
        return (-(self.gain or 0.0) / max(self.seconds + self.once, 1e-9), self.fix)


@dataclass(frozen=True, slots=True)
class Kept:
    """The arms that a budget pays for."""

    arms: list[Arm]
    """In their order."""
    finalists: int
    """How many get all seeds."""
    joined: bool
    """Whether two of them together are paid for, too; else they are tried if budget is left."""

    @property
    def promise(self) -> float:
        """Nats: alternatives are not summed, so the second best counts half, the third a quarter.

        One of them may fail, and then the next one is there.
        """
        gains = sorted((arm.gain or 0.0 for arm in self.arms), reverse=True)
        return sum(gain * 0.5**place for place, gain in enumerate(gains))


@dataclass(frozen=True, slots=True)
class Bill:
    """What a choice of arms costs."""

    controls: Mapping[Start, float]
    """Seconds of one control, by start."""
    seeds: int
    budget: float | None

    def total(self, arms: Sequence[Arm], finalists: int, *, joined: bool = True) -> float:
        """Return the seconds of all trials: one seed each, then all seeds of the finalists.

        Which arms will be finalists is not known: the dearest are counted. So is one trial of two
        fixes together, which may be a finalist itself, unless that is left to what remains.
        """
        if not arms:
            return 0.0
        dearest = sorted(arms, key=lambda arm: -arm.seconds)[:finalists]
        pair = dearest[0].seconds if joined and len(arms) > 1 else 0.0
        once = pair + sum(arm.once for arm in arms)
        return self._with_controls(arms) + once + (self.seeds - 1) * self._with_controls(dearest)

    def _with_controls(self, arms: Sequence[Arm]) -> float:
        starts = {arm.spec.start for arm in arms}
        return sum(self.controls[start] for start in sorted(starts)) + sum(a.seconds for a in arms)

    def pays(self, seconds: float) -> bool:
        """Tell whether the budget covers that."""
        return self.budget is None or seconds <= self.budget

    def kept(self, arms: Sequence[Arm]) -> Kept:
        """Return the arms that the budget pays for.

        Where it does not pay for all, it is spent on those with the most nats a second, unless the
        one that promises most of all is then left out and the whole promises clearly less for it;
        folds are the last for which it is spent.
        """
        dearer = sorted(arms, key=lambda arm: -(arm.gain or 0.0))
        best = self._paid(arms, arms, joined=True)
        for joined, order in ((True, dearer), (False, arms), (False, dearer)):
            found = self._paid(arms, order, joined=joined)
            if found.promise > (MORE if len(best.arms) > 1 else 1.0) * best.promise:
                best = found
        return best

    def _paid(self, arms: Sequence[Arm], order: Sequence[Arm], *, joined: bool) -> Kept:
        """One after another, as long as the budget lasts."""
        plain, folded = ([a for a in order if bool(a.folds) is f] for f in (False, True))
        everyone = self.pays(self.total(plain, min(FINALISTS, len(plain)), joined=joined))
        found: list[Arm] = []
        for arm in [*plain, *folded] if everyone else hopeful(plain):
            least = FINALISTS if arm.folds else FEWEST_FINALISTS
            for one in (one for one in (arm, arm.instead) if one is not None):
                more = [*found, one]
                if self.pays(self.total(more, min(least, len(more)), joined=joined)):
                    found = more
                    break
        finalists = min(FINALISTS, len(found))
        while finalists > 1 and not self.pays(self.total(found, finalists, joined=joined)):
            finalists -= 1
        place = {arm.fix: at for at, arm in enumerate(arms)}
        found.sort(key=lambda arm: place[arm.fix])
        return Kept(found, finalists, joined)


def hopeful(arms: Sequence[Arm]) -> list[Arm]:
    """Return the arms that promise about as much as the best, in their order."""
    most = max((arm.gain or 0.0 for arm in arms), default=0.0)
    return [arm for arm in arms if (arm.gain or 0.0) >= FAINT * most and not arm.folds]


def all_hopeful(arms: Sequence[Arm], kept: Sequence[Arm]) -> bool:
    """Tell whether none of those was left out."""
    names = {arm.fix for arm in kept}
    return all(arm.fix in names for arm in hopeful(arms))
