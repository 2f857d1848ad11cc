"""Head refit: would a better head on the same features win back the loss?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Evidence, Finding, Side, Skipped
from gapdoctor.observe.case import Split
from gapdoctor.observe.measures import limit_now, measure_left
from gapdoctor.observe.observations import Need, Observations
from gapdoctor.observe.training_view import TrainingView, training_view
from gapdoctor.probes._base import Probe
from gapdoctor.stats.head import dead_share
from gapdoctor.stats.refit import HeadLoss, refit_share


@dataclass(frozen=True)
class HeadRefit(Probe):
    """Is the student's head the best one on the features that it is fed, or is it still on its way?

    A student that does not fit its train rows is either too small or not finished. Given its
    features, the best head is the solution of a convex problem: it is solved on half of the
    train rows and asked of the other half, with the loss in force, in training conditions. A
    training that came to its end leaves next to nothing for it, however small the student; one that
    was stopped, or whose steps were too short, leaves a good share of its loss (linear probes:
    Alain & Bengio 2016, arXiv 1610.01644). The sign of the angle between the two losses does not
    tell how far the head is from rest; this does.

    Nothing of the student is trained, and nothing is said of one whose features are mostly dead:
    no head can use them.
    """

    name: ClassVar[str] = "head_refit"
    order: ClassVar[int] = 85
    needs: ClassVar[frozenset[Need]] = frozenset({Need.TEACHER_MODEL, Need.STUDENT_FEATURES})

    neutral: float = 0.15
    """Share of the loss that speaks for neither (tuning part: 0.01 to 0.07 where the student is too
    small, 0.23 to 0.8 where it is not finished)."""
    neutral_assumed: float = 0.27
    """The same where the loss or the augmentation is not known: a head at rest under another loss
    has something to win under the assumed one."""
    slope: float = 8.0
    """Log-odds a unit of that share."""
    most: float = 2.5
    """Log-odds of a head on its way, at most."""
    most_at_rest: float = 1.0
    """Log-odds of a head at rest, at most: features may be unfinished where the head is done."""
    assumed: float = 0.7
    """Share of the log-odds where the loss or the augmentation is not known."""
    usual_weight: float = 0.3
    """Task weight taken where the recipe does not say."""
    usual_temperature: float = 4.0
    """Temperature taken where the recipe does not say."""
    dead: float = 0.5
    """Share of features that are the same on all rows, above which a head tells nothing."""
    work: float = 1e9
    """Rows · classes · features of one pass, at most; fewer rows where it would be more."""

    def examine(self, seen: Observations) -> Finding | Skipped:
        """Solve the head anew, and see what the other rows get back."""
        if measure_left(seen).fit_deficit.value <= limit_now(seen):
            return Finding(self.name)
        view = training_view(seen, assume_none=True)
        if isinstance(view, str):
            return Skipped(self.name, view)
        if dead_share(view.features) > self.dead:
            return Finding(self.name)
        rows = self._rows(seen, view)
        if len(rows) < 4 * view.features.shape[1]:
            return Skipped(
                self.name, f"{len(rows)} train rows for {view.features.shape[1]} features: a head "
                "solved on half of them tells nothing; give four times as many rows",
            )  # fmt: skip
        share = self._share(seen, view, rows)
        if not np.isfinite(share):
            return Skipped(self.name, "no loss is left that a head could win back")
        return Finding(self.name, self._claims(share, self._is_known(seen)))

    def _rows(self, seen: Observations, view: TrainingView) -> NDArray[np.int64]:
        """Row-views that are used: whole passes over the rows come first."""
        each = view.head.shape[0] * view.features.shape[1]
        return np.arange(min(len(view.labels), int(self.work / each)))

    def _share(self, seen: Observations, view: TrainingView, rows: NDArray[np.int64]) -> float:
        recipe = seen.recipe.recipe
        weight = self.usual_weight if recipe.task_weight is None else recipe.task_weight
        temperature = recipe.temperature or self.usual_temperature
        if recipe.scale_by_t2 is False:  # then the task loss weighs T² more than it says
            weight = weight / (weight + (1 - weight) / temperature**2)
        loss = HeadLoss(
            view.features[rows], view.teacher[rows], view.labels[rows],
            weight, temperature, recipe.label_smoothing or 0.0, view.biased,
        )  # fmt: skip
        # Several views of one row are on the same side.
        row = rows % min(len(seen.rows(Split.TRAIN).labels), len(view.labels))
        return refit_share(loss, view.head, row % 2 == 0)

    @staticmethod
    def _is_known(seen: Observations) -> bool:
        recipe = seen.recipe.recipe
        return None not in (recipe.temperature, recipe.task_weight, recipe.augment)

    def _claims(self, share: float, known: bool) -> tuple[Claim, ...]:
        neutral = self.neutral if known else self.neutral_assumed
        towards = self.slope * (share - neutral) * (1.0 if known else self.assumed)
        towards = min(self.most, max(-self.most_at_rest, towards))
        evidence = Evidence(
            self.name,
            f"The best head on the student's features wins back {share:.0%} of the loss in force "
            f"on train rows that it was not solved on: the head "
            f"{'is still on its way' if towards > 0 else 'has come to rest'}.",
            share, neutral, "share", "for" if towards > 0 else "against",
        )  # fmt: skip
        other = replace(evidence, speaks="against" if towards > 0 else "for")
        # Under another loss than is believed, or on another scale, a sound head has much to win.
        void, side = frozenset({Cause.LOSS_IMBALANCE}), Side.FIT_DEFICIT
        return tuple(
            Claim(cause, strength, "head", (said,), side=side, valid_unless=void)
            for cause, strength, said in (
                (Cause.OPTIMIZATION, towards, evidence),
                (Cause.CAPACITY_SHORTFALL, -towards, other),
            )
        )
