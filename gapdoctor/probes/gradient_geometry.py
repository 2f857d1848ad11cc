"""Gradient geometry: do both losses still want the same step?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Evidence, Finding, Side, Skipped
from gapdoctor.observe.measures import limit_now, measure_left
from gapdoctor.observe.observations import Need, Observations
from gapdoctor.observe.training_view import training_view
from gapdoctor.probes._base import Probe
from gapdoctor.stats.head import cosine


@dataclass(frozen=True)
class GradientGeometry(Probe):
    """Do task and distillation loss still want the same step, or pull against each other?

    A student that does not fit its train rows is either too small or not finished; every loss-based
    signal confuses the two. At the end of training a student that can do no better rests in a
    compromise: the gradients of both losses on its head point against each other. One that was
    stopped before, or whose learning rate was too low, has both pointing the same way (the sign is
    that of Yu et al. 2020, arXiv 2001.06782). Taken in training conditions: in eval mode the sign
    of a small student is that of an unfinished one.
    """

    name: ClassVar[str] = "gradient_geometry"
    order: ClassVar[int] = 86
    needs: ClassVar[frozenset[Need]] = frozenset({Need.TEACHER_MODEL, Need.STUDENT_FEATURES})

    neutral: float = 0.1
    """Cosine that speaks for neither (tuning part: −0.7 to 0.0 where the student is too small,
    0.3 to 1.0 where it is not finished)."""
    neutral_assumed: float = 0.5
    """The same where temperature, weights or augmentation are not known: without the augmentation
    that the student saw, both losses seem to agree more."""
    slope: float = 4.0
    """Log-odds a unit of cosine."""
    most: float = 2.5
    """Log-odds, at most."""
    usual_temperature: float = 4.0
    """Taken where the recipe does not say; the sign of the cosine hardly depends on it."""
    assumed: float = 0.7
    """Share of the log-odds where temperature, weights or augmentation are not known."""

    def examine(self, seen: Observations) -> Finding | Skipped:
        """Take both gradients of the head on train rows."""
        recipe = seen.recipe.recipe
        if recipe.task_weight in (0.0, 1.0):
            return Skipped(self.name, "only one of the two losses was used")
        if measure_left(seen).fit_deficit.value <= limit_now(seen):
            return Finding(self.name)
        view = training_view(seen, assume_none=True)
        if isinstance(view, str):
            return Skipped(self.name, view)
        gradients = view.gradients(
            recipe.temperature or self.usual_temperature, recipe.label_smoothing
        )
        angle = cosine(gradients.task, gradients.distillation)
        if not np.isfinite(angle):
            return Skipped(self.name, "one of the two gradients is zero")
        known = None not in (recipe.temperature, recipe.task_weight, recipe.augment)
        return Finding(self.name, self._claims(angle, known))

    def _claims(self, angle: float, known: bool) -> tuple[Claim, ...]:
        share = 1.0 if known else self.assumed
        neutral = self.neutral if known else self.neutral_assumed
        towards = min(self.most, max(-self.most, self.slope * (angle - neutral)))
        statement = (
            f"The gradients of task and distillation loss {_how(towards > 0)} (cosine {angle:.2f})."
        )
        found = []
        for cause, sign in ((Cause.OPTIMIZATION, 1.0), (Cause.CAPACITY_SHORTFALL, -1.0)):
            strength = share * sign * towards
            evidence = Evidence(
                self.name, statement, angle, neutral, "cosine",
                "for" if strength > 0 else "against",
            )  # fmt: skip
            found.append(
                Claim(
                    cause, strength, "gradients", (evidence,), side=Side.FIT_DEFICIT,
                    # Of another loss than is believed, or on another scale, the angle says nothing.
                    valid_unless=frozenset({Cause.LOSS_IMBALANCE}),
                )
            )  # fmt: skip
        return tuple(found)


def _how(same: bool) -> str:
    return "still point the same way" if same else "hold each other in a compromise"
