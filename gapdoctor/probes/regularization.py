"""Regularization: what keeps the student from fitting noise?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Evidence, Finding, Floats, Side, Skipped
from gapdoctor.observe.augmentation import crop, noise
from gapdoctor.observe.borrow import own_random_state
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.measures import limit_now, measure_left
from gapdoctor.observe.observations import Need, Observations
from gapdoctor.probes._base import Probe
from gapdoctor.stats.intervals import mean_interval


@dataclass(frozen=True)
class Regularization(Probe):
    """Is there nothing in recipe and model that keeps the student from fitting noise?

    A reason for overfitting rather than a second gap, and never surer than it. Asked only where the
    excess gap is above 0: does the recipe name weight decay or augmentation, do the modules hold
    dropout? And is the student brittle: does its loss rise more than the teacher's under mild noise
    and shifts of the train rows? One that knows its rows by heart, wrong labels too, is sure of
    something else right beside them.
    """

    name: ClassVar[str] = "regularization"
    order: ClassVar[int] = 82

    lacking: int = 3
    """Of weight decay, dropout, augmentation: how many must be known to be missing."""
    rows: int = 400
    """Train rows that are shaken."""
    brittle: float = 0.05
    """Nats by which the student's loss rises more than the teacher's on the shaken rows."""
    strength: float = 1.0
    """Log-odds where all of them are missing: overfitting that shows goes before its reason."""
    against: float = -1.0
    """Log-odds where one of them is there: more of it may help all the same."""
    brittle_strength: float = 0.5
    """Log-odds of a brittle student."""
    sturdy_strength: float = -0.5
    """Log-odds of one that is not."""

    def examine(self, seen: Observations) -> Finding | Skipped:
        """List what is missing, and shake the train rows."""
        left = measure_left(seen).excess_gap
        if left.low <= 0 or left.high < limit_now(seen):
            return Finding(self.name)
        claims = (*self._missing(seen), *self._shaken(seen))
        if claims:
            return Finding(self.name, claims)
        return Skipped(
            self.name, "weight decay and augmentation are not known, and the two models cannot be "
            "shown the same shaken rows; give [recipe] weight_decay and augment",
        )  # fmt: skip

    def _missing(self, seen: Observations) -> tuple[Claim, ...]:
        recipe = seen.recipe.recipe
        active = any(
            isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0
            for m in seen.case.student.modules()
        )
        lacks = {
            "weight decay": recipe.weight_decay == 0,
            "dropout": not active and not recipe.dropout,
            "augmentation": recipe.augment == () and seen.case.augment is None,
        }
        count = sum(lacks.values())
        own = recipe.augment is not None or seen.case.augment is not None
        known = recipe.weight_decay is not None and own
        if not known:
            return ()
        names = [name for name, missing in lacks.items() if missing]
        statement = (
            f"Recipe and modules lack {', '.join(names)}." if names else "Nothing is lacking."
        )
        shown = count >= self.lacking
        evidence = Evidence(
            self.name, statement, float(count), float(self.lacking), "of 3",
            "for" if shown else "against",
        )  # fmt: skip
        strength = self.strength if shown else self.against
        return (self._claim(strength, "what is lacking", evidence),)

    def _shaken(self, seen: Observations) -> tuple[Claim, ...]:
        if seen.missing(frozenset({Need.TEACHER_MODEL})) is not None or not seen.same_pipeline(
            "train", "teacher"
        ):
            return ()
        rows = seen.rows(Split.TRAIN)
        some = seen.some(Split.TRAIN, rows.choosing, self.rows)
        batch = seen.inputs(Split.TRAIN, some, "train")
        if not batch.is_floating_point() or not batch.isfinite().all():
            return ()
        with own_random_state(seen.settings.seed):
            shaken = crop(noise(batch))
        rises = [self._rise(seen, model, batch, shaken, some) for model in Model]
        rise = mean_interval(rises[0] - rises[1], seen.rng(self.name))
        evidence = Evidence(
            self.name,
            f"Under mild noise and shifts of the train rows the student's loss rises by "
            f"{rises[0].mean():.3g} nats, the teacher's by {rises[1].mean():.3g}: a difference of "
            f"{rise.value:.3g} ({rise.low:.3g} to {rise.high:.3g}).",
            rise.value, self.brittle, "nats", "for" if rise.low > self.brittle else "against",
        )  # fmt: skip
        if rise.low > self.brittle:
            return (self._claim(self.brittle_strength, "brittle", evidence),)
        return (self._claim(self.sturdy_strength, "brittle", evidence),)

    @staticmethod
    def _rise(
        seen: Observations, model: Model, before: Tensor, after: Tensor, some: NDArray[np.int64]
    ) -> Floats:
        """What shaking each row adds to a model's loss, (n,) nats."""
        labels = seen.rows(Split.TRAIN).labels[some]
        return seen.score(model, after, labels).loss - seen.score(model, before, labels).loss

    def _claim(self, strength: float, topic: str, evidence: Evidence) -> Claim:
        return Claim(
            Cause.LACK_OF_REGULARIZATION, strength, topic, (evidence,), side=Side.EXCESS_GAP,
            needs_cause=Cause.OVERFITTING,
        )  # fmt: skip
