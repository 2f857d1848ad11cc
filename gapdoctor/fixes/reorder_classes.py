"""Reorder classes: the logits in the order of the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gapdoctor.domain.causes import Cause
from gapdoctor.fixes._base import Fix, Free, NotApplicable, Patient


@dataclass(frozen=True)
class ReorderClasses(Fix):
    """Put the student's logits into the order of the held-out labels; nothing is trained.

    The order is the best one-to-one assignment on half A (Kuhn 1955), and is folded into a linear
    head.

    When it helps
    -------------
    Class folders sorted as text ('1', '10', '2'), a background class more or less (1001 instead of
    1000), another list of names: the features are fine and nearly every label is wrong
    (facebookresearch/deit#130: 60 % become 27 of 7000). Measured on planted orders, 0.99 of what
    they cost came back.

    When it does not
    ----------------
    It moves classes and mends no features: what the student confuses it goes on confusing.

    It is not tried where the diagnosis shows that the classes are numbered as the held-out labels
    are.

    Sources
    -------
    - Kuhn 1955, "The Hungarian method for the assignment problem", Naval Research Logistics
      Quarterly 2.
    - facebookresearch/deit#130: labels in another order than the classes of the model.
    """

    name: ClassVar[str] = "reorder_classes"
    treats: ClassVar[tuple[Cause, ...]] = (Cause.PREPROCESSING_MISMATCH,)

    share: float = 0.96
    """Share of the nats of a wrong class order that is expected back (measured on planted orders:
    0.99)."""

    def propose(self, patient: Patient) -> Free | NotApplicable:
        """Only where the diagnosis has shown another order."""
        if not patient.says(Cause.PREPROCESSING_MISMATCH, "class_order"):
            return NotApplicable("the classes are numbered as the held-out labels are")
        return Free(
            "class_order", "",
            "The student's logits are put into the order of the held-out labels.", self.share,
        )  # fmt: skip
