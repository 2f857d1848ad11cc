"""Lower the learning rate: smaller steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.recipe import Recipe
from gapdoctor.fixes._base import Fix, NotApplicable, Patient, Variant, varied
from gapdoctor.fixes._signs import continued_at, unfinished, unstable, usual_rate


@dataclass(frozen=True)
class LowerLearningRate(Fix):
    """Train with smaller steps, where the rate was too high.

    All rates of the recipe are divided by the same number, the peak and the end of a schedule
    included: by 3, or by more where the optimizer's usual rate is lower still. A wrong learning
    rate is among the commonest real faults (17 of the 52 programs of DeepFD, Cao et al. 2022).

    When it helps
    -------------
    Signs of it are a held-out loss that scatters or diverges, short continuations that do better at
    a third of the rate, or a rate far above the optimizer's usual one.

    When it does not
    ----------------
    A rate that is too low looks alike in the losses; `schedule_learning_rate` then goes up first.

    It is not tried where the learning curves show no instability and the rate is at most three
    times the usual one, where there are no curves and the rate is not above the usual one, and
    where only the BatchNorm statistics are stale: that is for `recalibrate_batchnorm`.

    Sources
    -------
    - Cao, Li, Chen, Wen, Tian, Wu & Cheung 2022, "DeepFD: automated fault diagnosis and
      localization for deep learning programs", ICSE, arXiv 2205.01938.
    """

    name: ClassVar[str] = "lower_learning_rate"
    treats: ClassVar[tuple[Cause, ...]] = (Cause.OPTIMIZATION,)

    share: float = 0.5
    """Share of the cause's nats that is expected back where the rate shows to be too high
    (starting value)."""
    unsure: float = 0.2
    """The same where nothing but the number speaks for it, or where the training is unfinished
    (measured: a training that was cut off loses 1.3 nats more by a lower rate)."""
    factor: float = 3.0
    """The rate is divided by it, and goes down to the optimizer's usual one where that is lower
    still."""
    high: float = 3.0
    """Times the usual rate above which a rate is too high on the face of it."""

    def propose(self, patient: Patient) -> Variant | NotApplicable:
        """Lower the rate where it shows, or looks, to be too high."""
        if patient.only_said_by(Cause.OPTIMIZATION, "batchnorm"):
            return NotApplicable("only the BatchNorm statistics are stale: recalibrate_batchnorm")
        recipe = patient.recipe
        rate, usual = _highest(recipe), usual_rate(recipe)
        shown = unstable(patient) or continued_at(patient, "A third of")
        if not shown:
            if unfinished(patient) or patient.history is not None:
                if rate <= self.high * usual:
                    return NotApplicable(
                        f"the learning curves show no instability, and {rate:g} is near the usual "
                        f"rate of {recipe.optimizer} ({usual:g})"
                    )
            elif rate <= usual:
                return NotApplicable(
                    f"{rate:g} is not above the usual rate of {recipe.optimizer} ({usual:g}), and "
                    "nothing shows that it is too high"
                )
        lowered = min(rate / self.factor, usual)
        sure = shown or (rate > self.high * usual and not unfinished(patient))
        return Variant(
            _at(recipe, lowered / rate),
            f"The learning rate {lowered:.3g} instead of {rate:.3g}.",
            self.share if sure else self.unsure,
        )


def _highest(recipe: Recipe) -> float:
    assert recipe.lr is not None
    return recipe.max_lr or recipe.lr


def _at(recipe: Recipe, factor: float) -> Recipe:
    """All rates of a recipe times a factor, to 6 significant digits."""
    rates = {name: getattr(recipe, name) for name in ("lr", "max_lr", "min_lr")}
    return varied(recipe, **{k: float(f"{rate * factor:.6g}") for k, rate in rates.items() if rate})
