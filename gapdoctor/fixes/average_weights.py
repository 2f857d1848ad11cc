"""Average weights: the mean of many steps instead of the last one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.recipe import Average
from gapdoctor.fixes._base import Fix, NotApplicable, Patient, Variant, varied
from gapdoctor.fixes._lengths import end_of_rate
from gapdoctor.fixes._signs import logged_end_of_rate


@dataclass(frozen=True)
class AverageWeights(Fix):
    """Keep the mean of the student's weights over many steps instead of the last ones.

    Steps of a noisy gradient jump about a minimum; their mean lies nearer to it (Polyak & Juditsky
    1992), in a flatter place that generalises better (Izmailov et al. 2018). Where the learning
    rate stays up the plain mean of the last quarter of the training is taken (`swa`); where it
    comes down, or the training may stop early, a moving average (`ema`, Morales-Brotons et al.
    2024).

    BatchNorm statistics are estimated afresh on train rows, as they would be for the weights that
    are written. What is watched on half A is the average. It costs next to nothing and leaves
    nothing in the student.

    When it helps
    -------------
    Where the rate stays up to the end: measured on small digits at a rate that was far too high,
    0.2 to 0.5 of the cause's nats came back.

    When it does not
    ----------------
    Where the rate comes down: a falling rate averages, too. Measured on small digits, nothing came
    back.

    It is not tried where the recipe averages its weights already, and where only the BatchNorm
    statistics are stale: that is for `recalibrate_batchnorm`.

    Sources
    -------
    - Polyak & Juditsky 1992, "Acceleration of stochastic approximation by averaging", SIAM Journal
      on Control and Optimization 30.
    - Izmailov, Podoprikhin, Garipov, Vetrov & Wilson 2018, "Averaging weights leads to wider optima
      and better generalization", UAI, arXiv 1803.05407.
    - Morales-Brotons, Vogels & Hendrikx 2024, "Exponential moving average of weights in deep
      learning: dynamics and benefits", TMLR, arXiv 2411.18704.
    """

    name: ClassVar[str] = "average_weights"
    treats: ClassVar[tuple[Cause, ...]] = (Cause.OVERFITTING, Cause.OPTIMIZATION)

    share: float = 0.3
    """Share of the cause's nats that is expected back where the rate stays up (measured on small
    digits at a rate that was far too high: 0.2 to 0.5)."""
    lowered: float = 0.02
    """The same where it comes down (measured on small digits: none)."""
    up: float = 0.5
    """Share of its highest value at or above which the rate has stayed up."""

    def propose(self, patient: Patient) -> Variant | NotApplicable:
        """Choose by where the learning rate ended, unless the recipe averages already."""
        recipe = patient.recipe
        if recipe.average not in (None, Average.NONE):
            return NotApplicable(f"the recipe averages its weights already ({recipe.average})")
        if patient.only_said_by(Cause.OPTIMIZATION, "batchnorm") and (
            Cause.OVERFITTING not in patient.causes
        ):
            return NotApplicable("only the BatchNorm statistics are stale: recalibrate_batchnorm")
        end = logged_end_of_rate(patient)
        end = end_of_rate(recipe, patient.epochs) if end is None else end
        stays_up = end is not None and end >= self.up
        if stays_up and not recipe.early_stopping:
            changed = varied(recipe, average=Average.SWA)
            last = 1 - (changed.average_from or 0.0)
            told = f"the plain mean of the last {last:.0%} of the training's steps (swa)"
        else:
            changed = varied(recipe, average=Average.EMA)
            told = "a moving average over a tenth of the training's steps (ema)"
        return Variant(
            changed, f"The student keeps the mean of its weights: {told}.",
            self.share if stays_up else self.lowered,
        )  # fmt: skip
