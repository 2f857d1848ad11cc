"""Add weight decay: weights that are not needed shrink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.recipe import Optimizer, Recipe
from gapdoctor.fixes._base import Fix, NotApplicable, Patient, Variant, varied
from gapdoctor.fixes._signs import effective_rate


@dataclass(frozen=True)
class AddWeightDecay(Fix):
    """Let weights shrink that the loss does not hold up.

    Under decay weights are a running mean over their last 1 / (rate · decay) updates; that memory
    should be longer than an epoch and not much longer than the training (Wang & Aitchison 2024, for
    AdamW; with SGD the same holds of the rate that momentum makes). The decay is set by that
    memory, and is never below the usual one: 5e-4 for SGD (Tian et al. 2020), 0.05 for AdamW
    (Touvron et al. 2021).

    When it helps
    -------------
    Where the student has learned its train rows by heart, or nothing keeps it from that, and above
    all in a short training at a low rate: a usual decay of 5e-4 does nothing there.

    When it does not
    ----------------
    For the adaptive optimizers that add decay to the gradients (Adam) the usual one is taken,
    whatever the length of the training.

    It is not tried where the recipe has about as much already as its optimizer bears: there must be
    room for twice its own.

    Sources
    -------
    - Wang & Aitchison 2024, "How to set AdamW's weight decay as you scale model and dataset size",
      arXiv 2405.13698.
    - Tian, Krishnan & Isola 2020, "Contrastive representation distillation" (RepDistiller), ICLR,
      arXiv 1910.10699.
    - Touvron, Cord, Douze, Massa, Sablayrolles & Jégou 2021, "Training data-efficient image
      transformers & distillation through attention" (DeiT), ICML, arXiv 2012.12877.
    """

    name: ClassVar[str] = "add_weight_decay"
    treats: ClassVar[tuple[Cause, ...]] = (Cause.OVERFITTING, Cause.LACK_OF_REGULARIZATION)

    share: float = 0.3
    """Share of the cause's nats that is expected back (starting value)."""
    memory: float = 0.33
    """Share of the training's steps over which the weights forget (Wang & Aitchison: below 1)."""
    factor: float = 2.0
    """Times the recipe's own decay, at least."""
    sgd: float = 5e-4
    """Usual for SGD (RepDistiller, Tian et al. 2020, arXiv 1910.10699)."""
    adamw: float = 0.05
    """Usual for AdamW (DeiT, Touvron et al. 2021, arXiv 2012.12877)."""
    coupled: float = 5e-4
    """Usual for the other adaptive optimizers (starting value)."""
    most: tuple[float, float, float] = (0.02, 0.5, 0.01)
    """Beyond these nothing is proposed: SGD, AdamW, others (starting values)."""

    def propose(self, patient: Patient) -> Variant | NotApplicable:
        """Raise the decay to what its memory asks for."""
        recipe = patient.recipe
        now = recipe.weight_decay or 0.0
        wanted = float(f"{max(self._wanted(patient), self.factor * now):.1g}")
        wanted = min(wanted, self._most(recipe))
        if wanted < self.factor * now or wanted <= now:
            return NotApplicable(
                f"the recipe has weight decay {now:g} already, about the most for "
                f"{recipe.optimizer}"
            )
        if "weight_decay" in patient.assumed:
            had = "that of the recipe is not known"
        else:
            had = f"the recipe already has {now:g}" if now else "the recipe has none"
        return Variant(
            varied(recipe, weight_decay=wanted), f"Weight decay {wanted:g}; {had}.", self.share
        )

    def _wanted(self, patient: Patient) -> float:
        recipe = patient.recipe
        if recipe.optimizer not in (Optimizer.SGD, Optimizer.ADAMW):
            return self.coupled
        steps = max(1, patient.epochs * patient.steps)
        usual = self.sgd if recipe.optimizer is Optimizer.SGD else self.adamw
        return max(usual, 1 / (self.memory * steps * effective_rate(recipe)))

    def _most(self, recipe: Recipe) -> float:
        place = {Optimizer.SGD: 0, Optimizer.ADAMW: 1}
        return self.most[place.get(recipe.optimizer or Optimizer.ADAM, 2)]
