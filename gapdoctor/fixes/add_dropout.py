"""Add dropout: features that must not rely on each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gapdoctor.domain.causes import Cause
from gapdoctor.fixes._base import Fix, NotApplicable, Patient, Variant, varied


@dataclass(frozen=True)
class AddDropout(Fix):
    """Drop some features at random in training, so that none of them relies on the others.

    Each dropout module of the student drops that share; a student without any drops what its linear
    head is fed (Srivastava et al. 2014). Dropout holds no weights, so the checkpoint keeps its
    layout.

    When it helps
    -------------
    Where the student has learned its train rows by heart, or nothing keeps it from that, and it
    drops few of its features yet: the usual share is 0.2 to 0.5 (Srivastava et al. 2014).

    When it does not
    ----------------
    Dropout before BatchNorm spoils its statistics (Li et al. 2019), so it is added before the head
    and nowhere deeper.

    It is not tried where the student drops half of its features already, and where it has neither
    dropout modules nor a linear head.

    Sources
    -------
    - Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov 2014, "Dropout: a simple way to
      prevent neural networks from overfitting", JMLR 15.
    - Li, Chen, Hu & Yang 2019, "Understanding the disharmony between dropout and batch
      normalization by variance shift", CVPR, arXiv 1801.05134.
    """

    name: ClassVar[str] = "add_dropout"
    treats: ClassVar[tuple[Cause, ...]] = (Cause.OVERFITTING, Cause.LACK_OF_REGULARIZATION)

    share: float = 0.25
    """Share of the cause's nats that is expected back (starting value)."""
    rate: float = 0.3
    """Share of the features that is dropped (Srivastava et al.: 0.2 to 0.5)."""
    step: float = 0.2
    """What is added where the student drops some already."""
    most: float = 0.5
    """Beyond it nothing is proposed (Srivastava et al.)."""

    def propose(self, patient: Patient) -> Variant | NotApplicable:
        """Raise the rate, where there is a place for it."""
        now = max([patient.recipe.dropout or 0.0, *patient.dropouts])
        if not patient.dropouts and not patient.has_head:
            return NotApplicable("the student has neither dropout modules nor a linear head")
        if now >= self.most:
            return NotApplicable(f"the student drops {now:g} of its features already")
        rate = self.rate if now < self.rate else min(self.most, now + self.step)
        where = "in its dropout modules" if patient.dropouts else "before its head"
        return Variant(
            varied(patient.recipe, dropout=round(rate, 3)),
            f"The student drops {rate:.2g} of the features {where} in training; now {now:.2g}.",
            self.share,
        )
