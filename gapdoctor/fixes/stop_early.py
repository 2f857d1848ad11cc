"""Stop early: keep the weights from before the student learned its rows by heart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gapdoctor.domain.causes import Cause
from gapdoctor.fixes._base import Fix, NotApplicable, Patient, Variant, varied
from gapdoctor.fixes._signs import rises


@dataclass(frozen=True)
class StopEarly(Fix):
    """Stop once the loss on half A has not fallen for some epochs, and keep the best weights.

    It is compared with a control that ran to its end, and that is said.

    When it helps
    -------------
    Where the held-out loss has risen since its minimum (Prechelt 1998).

    When it does not
    ----------------
    With a distillation loss that leaves the scale of the logits free it can stop far too early: in
    one published log the cross-entropy rises from 2.2 to 4.0 while accuracy goes from 63 to 76 %
    (Sun et al. 2024), so the result is compared at its own temperature and its accuracy counts too.

    It is not tried where the held-out loss ends near its minimum, where the recipe stops early
    already, and where the checkpoint is its own best epoch on held-out data.

    Sources
    -------
    - Prechelt 1998, "Early stopping – but when?", in Neural Networks: Tricks of the Trade.
    - Sun, Ren, Li, Wang & Cao 2024, "Logit standardization in knowledge distillation", CVPR, arXiv
      2403.01427.
    """

    name: ClassVar[str] = "stop_early"
    treats: ClassVar[tuple[Cause, ...]] = (Cause.OVERFITTING,)

    share: float = 0.4
    """Share of the overfitting's nats that is expected back where the curves show a rise
    (starting value)."""
    unsure: float = 0.15
    """The same where there are no curves."""
    patience: float = 0.1
    """Share of the epochs that is waited for a new minimum (slower criteria generalise better,
    Prechelt 1998)."""
    least: int = 3
    """Epochs that are waited at least."""

    def propose(self, patient: Patient) -> Variant | NotApplicable:
        """Only where the curves do not speak against it."""
        if patient.warns("heldout_chose_the_checkpoint"):
            return NotApplicable("the checkpoint is its own best epoch on held-out data already")
        already = patient.recipe.early_stopping
        if already:
            return NotApplicable(f"the recipe stops early already, with a patience of {already}")
        shown = rises(patient)
        if not shown and patient.history is not None:
            return NotApplicable("the held-out loss ends near its minimum: nothing is gained")
        patience = max(self.least, round(self.patience * patient.epochs))
        return Variant(
            varied(patient.recipe, early_stopping=patience),
            f"Training stops after {patience} epochs without a lower loss on half A; the best "
            "weights are kept.",
            self.share if shown else self.unsure,
        )
