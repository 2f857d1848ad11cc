"""Schedule the learning rate: let it come down before the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.recipe import Recipe, Schedule
from gapdoctor.fixes._base import Fix, NotApplicable, Patient, Variant, varied
from gapdoctor.fixes._lengths import end_of_rate, of_length
from gapdoctor.fixes._signs import continued_at, logged_end_of_rate, unstable, usual_rate


@dataclass(frozen=True)
class ScheduleLearningRate(Fix):
    """Give the learning rate a schedule that comes down before the training ends.

    Which schedule follows from what ran:

    - a training that was cut off: its own schedule, over the epochs that it really had;
    - `constant`, or a `cosine` that ends high: `cosine` down to 0 (Loshchilov & Hutter 2017);
    - `step` whose drops lie too late: drops at half and three quarters (He et al. 2016);
    - `plateau` that waited too long: less patience;
    - a rate far below the usual one, or one that short continuations did better above: `onecycle`,
      whose peak lies above the usual rate (Smith & Topin 2019).

    When it helps
    -------------
    A rate that stays up leaves the student jumping about its minimum: in published distillation
    logs the train loss halves within two epochs of a drop, and accuracy goes from 58 to 74 % (log
    of Sun et al. 2024).

    When it does not
    ----------------
    It is not tried where the rate already comes down to a tenth of its highest value or less, where
    the schedule leaves nothing to change, and where only the BatchNorm statistics are stale: that
    is for `recalibrate_batchnorm`. Where the training was unstable the rate is not taken for too
    low.

    Sources
    -------
    - Sun, Ren, Li, Wang & Cao 2024, "Logit standardization in knowledge distillation", CVPR, arXiv
      2403.01427.
    - Loshchilov & Hutter 2017, "SGDR: stochastic gradient descent with warm restarts", ICLR, arXiv
      1608.03983.
    - He, Zhang, Ren & Sun 2016, "Deep residual learning for image recognition", CVPR, arXiv
      1512.03385.
    - Smith & Topin 2019, "Super-convergence: very fast training of neural networks using large
      learning rates", arXiv 1708.07120.
    """

    name: ClassVar[str] = "schedule_learning_rate"
    treats: ClassVar[tuple[Cause, ...]] = (Cause.OPTIMIZATION,)

    share: float = 0.5
    """Share of the cause's nats that is expected back (starting value)."""
    annealed: float = 0.1
    """Share of its highest value at or below which the rate has come down, as the learning curves
    are read."""
    low: float = 0.5
    """Times the optimizer's usual rate below which a rate is too low."""
    peak: float = 3.0
    """Times the usual rate: the peak of `onecycle` (Smith & Topin: 3 to 10 times)."""
    drops: tuple[float, float] = (0.5, 0.75)
    """Shares of the training at which `step` drops (He et al. 2016)."""
    waits: float = 0.1
    """Share of the training that `plateau` waits, at most."""

    def propose(self, patient: Patient) -> Variant | NotApplicable:
        """Look at where the rate ended, and whether it was too low throughout."""
        if patient.only_said_by(Cause.OPTIMIZATION, "batchnorm"):
            return NotApplicable("only the BatchNorm statistics are stale: recalibrate_batchnorm")
        recipe = patient.recipe
        assert recipe.lr is not None
        too_low = recipe.lr < self.low * usual_rate(recipe) and not unstable(patient)
        better_above = continued_at(patient, "Three times")
        if (too_low or better_above) and recipe.schedule is not Schedule.ONECYCLE:
            return self._cycle(patient)
        end = logged_end_of_rate(patient)
        end = end_of_rate(recipe, patient.epochs) if end is None else end
        if end is not None and end <= self.annealed:
            return NotApplicable(
                f"the learning rate already comes down to {end:.2g} of its highest value "
                f"({recipe.schedule})"
            )
        changed = self._lowered(patient)
        if changed == recipe:
            return NotApplicable(f"the schedule ({recipe.schedule}) leaves nothing to change")
        told = f"{changed.schedule} over {patient.epochs} epochs"
        ended = "an unknown share" if end is None else f"{end:.2g}"
        return Variant(
            changed,
            f"The learning rate ended at {ended} of its highest value; now it comes down: {told}.",
            self.share,
        )  # fmt: skip

    def _cycle(self, patient: Patient) -> Variant:
        recipe = patient.recipe
        assert recipe.lr is not None
        peak = float(f"{max(self.peak * usual_rate(recipe), self.peak * recipe.lr):.6g}")
        changed = varied(
            of_length(recipe, patient.epochs), schedule=Schedule.ONECYCLE, max_lr=peak,
            warmup_epochs=None,
        )  # fmt: skip
        return Variant(
            changed,
            f"The learning rate, {recipe.lr:g}, is low: one cycle up to {peak:g} and down to 0.",
            self.share,
        )

    def _lowered(self, patient: Patient) -> Recipe:
        """The recipe's own kind of schedule, made to come down within the epochs that ran."""
        recipe, epochs = of_length(patient.recipe, patient.epochs), patient.epochs
        end = end_of_rate(recipe, epochs)
        if end is not None and end <= self.annealed:
            return recipe  # it was only cut off
        if recipe.schedule is Schedule.STEP:
            drops = tuple(sorted({max(1, round(share * epochs)) for share in self.drops}))
            return varied(recipe, milestones=drops, step_size=None, gamma=0.1)
        if recipe.schedule is Schedule.PLATEAU:
            patience = max(1, round(self.waits * epochs))
            if patience < (recipe.patience or 0):
                return varied(recipe, patience=patience)
        return varied(recipe, schedule=Schedule.COSINE, min_lr=0.0)
