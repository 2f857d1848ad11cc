"""Train longer: the same recipe, stretched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gapdoctor.domain.causes import Cause
from gapdoctor.fixes._base import Fix, NotApplicable, Patient, Variant
from gapdoctor.fixes._lengths import of_length
from gapdoctor.fixes._signs import rises, unstable


@dataclass(frozen=True)
class TrainLonger(Fix):
    """Train for more epochs; the schedule is stretched and keeps its shape.

    It is compared with a control that ran its own, shorter time, and that is said.

    When it helps
    -------------
    Distillation wants patience: its task is to match a function, which goes on improving long after
    a classification has settled (Beyer et al. 2022: 1,200 epochs are a "good middle ground" on
    ImageNet).

    When it does not
    ----------------
    Of no use where the held-out loss rises already before the end, or where the rate is too high:
    more of an unstable training is no help. Then it is not tried, nor where only the BatchNorm
    statistics are stale: that is for `recalibrate_batchnorm`.

    Sources
    -------
    - Beyer, Zhai, Royer, Markeeva, Anil & Kolesnikov 2022, "Knowledge distillation: a good teacher
      is patient and consistent", CVPR, arXiv 2106.05237.
    """

    name: ClassVar[str] = "train_longer"
    treats: ClassVar[tuple[Cause, ...]] = (Cause.OPTIMIZATION,)

    share: float = 0.6
    """Share of the cause's nats that is expected back (starting value)."""
    factor: float = 2.0
    """Times the epochs: what a budget can bear (Beyer et al. see no end of the gain)."""

    def propose(self, patient: Patient) -> Variant | NotApplicable:
        """Stretch the recipe, unless the curves speak against it."""
        if patient.only_said_by(Cause.OPTIMIZATION, "batchnorm"):
            return NotApplicable("only the BatchNorm statistics are stale: recalibrate_batchnorm")
        if unstable(patient):
            return NotApplicable("the training was unstable: more of it at that rate is no help")
        if rises(patient):
            return NotApplicable("the held-out loss rises already before the end")
        before = max(patient.epochs, patient.declared.epochs or 0)
        epochs = round(self.factor * before)
        return Variant(
            of_length(patient.recipe, epochs),
            f"{epochs} epochs instead of {patient.epochs}, the schedule stretched over them.",
            self.share, epochs=epochs,
        )  # fmt: skip
