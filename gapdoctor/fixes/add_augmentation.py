"""Add augmentation: more views of the train rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from gapdoctor.domain.causes import Cause
from gapdoctor.fixes._base import Fix, NotApplicable, Patient, Variant, varied
from gapdoctor.fixes._signs import labels_weight
from gapdoctor.fixes._views import new_views, why_no_views


@dataclass(frozen=True)
class AddAugmentation(Fix):
    """Show teacher and student new views of the train rows, the same view to both.

    A teacher labels any view, so augmentation gives a student rows that nobody had to collect.
    Mixup is tried first: it trains on λ·row + (1 − λ)·another (Zhang et al. 2018). Beside it only
    what leaves every label as it is, whatever the classes: nothing is mirrored, for a mirrored
    digit is another thing. An augmentation of the user's own stays, and mixup comes to it.

    When it helps
    -------------
    Where the teacher is heard: measured on small digits, it gave back a third of what is left
    beside a loss that was set right. The same view for both, aggressive mixup and a long schedule
    are what helps most (Beyer et al. 2022). Good augmentation in distillation is what lowers the
    spread of the teacher's mean output (Wang et al. 2022).

    When it does not
    ----------------
    Where the labels outweigh the teacher: measured on small digits, no better than none in a
    training of the same length.

    It is not tried where the recipe augments by all that suits the inputs, where these are whole
    numbers instead of measurements, and where teacher and student cannot share a view: the teacher
    is a file of logits, or has a pipeline of its own. It is asked anew at each step, which costs
    time.

    Sources
    -------
    - Beyer, Zhai, Royer, Markeeva, Anil & Kolesnikov 2022, "Knowledge distillation: a good teacher
      is patient and consistent", CVPR, arXiv 2106.05237.
    - Zhang, Cisse, Dauphin & Lopez-Paz 2018, "mixup: beyond empirical risk minimization", ICLR,
      arXiv 1710.09412.
    - Wang, Lohit, Jones & Fu 2022, "What makes a 'good' data augmentation in knowledge
      distillation", NeurIPS, arXiv 2012.02909.
    """

    name: ClassVar[str] = "add_augmentation"
    treats: ClassVar[tuple[Cause, ...]] = (
        Cause.OVERFITTING, Cause.LACK_OF_REGULARIZATION, Cause.DISTRIBUTION_SHIFT,
    )  # fmt: skip
    needs: ClassVar[Mapping[str, str]] = MappingProxyType({
        "train_longer": "New views are rows that a student has not seen: it goes on learning from "
        "them long after it would have known its own by heart (Beyer et al. 2022, arXiv "
        "2106.05237: what helps is augmentation with a long schedule).",
    })  # fmt: skip

    share: float = 0.5
    """Share of the cause's nats that is expected back where the teacher is heard (measured on
    small digits: a third of what is left beside a loss that was set right)."""
    by_labels: float = 0.15
    """The same where the labels outweigh the teacher (measured on small digits: no better than
    none in a training of the same length)."""
    most: int = 2
    """Augmentations that are added at once; one where the labels outweigh the teacher."""

    def propose(self, patient: Patient) -> Variant | NotApplicable:
        """Add what suits the inputs and is not there yet."""
        why_not = why_no_views(patient, patient.recipe)
        if why_not is not None:
            return NotApplicable(why_not)
        there = patient.augmentation
        heard = labels_weight(patient.recipe) <= 0.5
        new = new_views(patient)[: self.most if heard else 1]
        if not new:
            return NotApplicable(f"the recipe augments by {', '.join(there)} already")
        beside = f" beside {', '.join(there)}" if there else ""
        unknown = "; whether there was any is not known" if "augment" in patient.assumed else ""
        return Variant(
            varied(patient.recipe, augment=(*there, *new)),
            f"Teacher and student see new views of the train rows: {', '.join(new)}{beside}"
            f"{unknown}.",
            self.share if heard else self.by_labels,
        )
