"""Scale temperature: one number for all logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gapdoctor.domain.causes import Cause
from gapdoctor.fixes._base import Fix, Free, NotApplicable, Patient


@dataclass(frozen=True)
class ScaleTemperature(Fix):
    """Divide the student's logits by one temperature, fitted on half A; nothing is trained.

    It changes no prediction, only how sure the student is (Guo et al. 2017).

    When it helps
    -------------
    Distillation losses that leave the scale of the logits free end with a held-out loss of 1.8 to
    4.0 at a usual accuracy (audit of 14 published logs of logit standardisation, Sun et al. 2024);
    there it is the whole cure.

    When it does not
    ----------------
    Elsewhere it gives back about half of most faults and heals none (measured on eight planted
    faults of the loss: 0.5 to 0.96), so every other fix is compared with a control that has its own
    temperature too.

    It is not tried where the diagnosis shows that one temperature gives the student back less than
    is worth treating.

    Sources
    -------
    - Guo, Pleiss, Sun & Weinberger 2017, "On calibration of modern neural networks", ICML, arXiv
      1706.04599.
    - Sun, Ren, Li, Wang & Cao 2024, "Logit standardization in knowledge distillation", CVPR, arXiv
      2403.01427.
    """

    name: ClassVar[str] = "scale_temperature"
    treats: ClassVar[tuple[Cause, ...]] = (Cause.LOSS_IMBALANCE,)

    share: float = 0.9
    """Share of the nats of an output scale alone that is expected back: the diagnosis measured
    them on half B."""
    beside: float = 0.5
    """The same of another loss imbalance (measured: 0.5 to 0.96 of eight planted faults, none of
    them healed)."""

    def propose(self, patient: Patient) -> Free | NotApplicable:
        """Wherever one temperature gives back more than the limit h."""
        asked = patient.asked("temperature")
        if asked and not patient.warns("miscalibrated"):
            return NotApplicable(
                "one temperature gives the student back less than is worth treating; all are "
                "compared at a temperature of their own anyway"
            )
        alone = patient.only_said_by(Cause.LOSS_IMBALANCE, "temperature")
        return Free(
            "temperature", "",
            "The student's logits are divided by one temperature, fitted on half A.",
            self.share if alone else self.beside,
        )  # fmt: skip
