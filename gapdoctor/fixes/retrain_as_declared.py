"""Retrain as declared: what was meant instead of what ran."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gapdoctor.domain.causes import Cause
from gapdoctor.fixes._base import Fix, NotApplicable, Patient, Variant


@dataclass(frozen=True)
class RetrainAsDeclared(Fix):
    """Train by the recipe that is declared, where something else ran.

    The control is then the recipe that ran, and this is the recipe as it stands in the config,
    trained by a sound loop.

    When it helps
    -------------
    A missing factor T² (keras-team/keras-io#869) or a `reduction="mean"`
    (haitongli/knowledge-distillation-pytorch#48) leaves the distillation loss T² or C times weaker
    than its weight says; the checkpoint's own gradients tell it (`effective_weight`). Learning
    curves tell a training that ended before its recipe. Measured, the same student with the loss as
    declared has no excess, against 0.62 nats without T² and 0.56 with a mean over classes.

    When it does not
    ----------------
    What the declared recipe itself lacks, training by it does not add: that is for the other fixes.

    It is not tried where nothing shows that another recipe ran than the declared one.

    Sources
    -------
    - keras-team/keras-io#869: a distillation loss without the factor T².
    - haitongli/knowledge-distillation-pytorch#48: a mean over rows and classes for one over rows.
    """

    name: ClassVar[str] = "retrain_as_declared"
    treats: ClassVar[tuple[Cause, ...]] = (Cause.LOSS_IMBALANCE, Cause.OPTIMIZATION)

    share: float = 0.85
    """Share of the cause's nats that is expected back (measured: the same student with the loss
    as declared has no excess, against 0.62 nats without T² and 0.56 with a mean over classes)."""

    def propose(self, patient: Patient) -> Variant | NotApplicable:
        """Only where the diagnosis shows that another recipe ran."""
        if not patient.departures:
            return NotApplicable("nothing shows that another recipe ran than the declared one")
        return Variant(
            patient.declared,
            f"The recipe as declared instead of what ran. {' '.join(patient.departures)}",
            self.share, epochs=patient.declared.epochs,
        )  # fmt: skip
