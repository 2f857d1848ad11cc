"""Match views: the student copies the teacher's function, not its answers to a few rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gapdoctor.domain.causes import Cause
from gapdoctor.fixes._base import Fix, NotApplicable, Patient, Variant, varied
from gapdoctor.fixes._lengths import of_length
from gapdoctor.fixes._signs import unstable
from gapdoctor.fixes._views import new_views, why_no_views


@dataclass(frozen=True)
class MatchViews(Fix):
    """Let the student match the teacher on the same new views, without labels, for a long time.

    Distillation as function matching: teacher and student see the very same augmented and mixed-up
    view, the labels weigh nothing, and the training is long ("consistent and patient", Beyer et al.
    2022, who bring a ResNet-50 to 82.8 % on ImageNet, its teacher to 83.0 %). Each of the three
    alone is less: views that only one of them sees, or answers stored once, spoil it, labels say
    nothing of a mixed row that the teacher does not say better, and new views take long to be
    learned. `add_augmentation` keeps length and labels, `train_longer` the rows and the labels.

    When it helps
    -------------
    Where the student has learned its rows by heart: measured on small digits, 0.35 and 0.44 of the
    cause's nats came back, where the views alone gave nothing.

    When it does not
    ----------------
    It copies the teacher's mistakes too: where labels are what the student lacks, it is no help. It
    costs the longer training and a teacher that is asked anew at each step.

    It is not tried where a view cannot be shared (the inputs are whole numbers, the teacher is a
    file of logits or has a pipeline of its own), where the training was unstable (more of it at
    that rate is no help), where only the BatchNorm statistics are stale, and where the student
    matches the teacher on such views already.

    Sources
    -------
    - Beyer, Zhai, Royer, Markeeva, Anil & Kolesnikov 2022, "Knowledge distillation: a good teacher
      is patient and consistent", CVPR, arXiv 2106.05237.
    """

    name: ClassVar[str] = "match_views"
    treats: ClassVar[tuple[Cause, ...]] = (
        Cause.OVERFITTING, Cause.LACK_OF_REGULARIZATION, Cause.DISTRIBUTION_SHIFT,
        Cause.OPTIMIZATION,
    )  # fmt: skip

    share: float = 0.4
    """Share of the cause's nats that is expected back (measured on small digits that were learned
    by heart: 0.35 and 0.44, where the views alone gave nothing)."""
    factor: float = 2.0
    """Times the epochs (Beyer et al. see no end of the gain; a budget does)."""
    most: int = 3
    """Augmentations that are added at once, mixup among them."""

    def propose(self, patient: Patient) -> Variant | NotApplicable:
        """Set views, length and labels together, where a view can be shared."""
        if patient.only_said_by(Cause.OPTIMIZATION, "batchnorm") and not any(
            cause in patient.causes for cause in self.treats if cause is not Cause.OPTIMIZATION
        ):
            return NotApplicable("only the BatchNorm statistics are stale: recalibrate_batchnorm")
        if unstable(patient):
            return NotApplicable("the training was unstable: more of it at that rate is no help")
        recipe = varied(patient.recipe, task_weight=0.0, scale_by_t2=True)
        why_not = why_no_views(patient, recipe)
        if why_not is not None:
            return NotApplicable(why_not)
        new = new_views(patient)[: self.most]
        if not new and patient.recipe.task_weight == 0:
            return NotApplicable(
                f"the student matches the teacher on {', '.join(patient.augmentation)} already, "
                "without labels"
            )
        epochs = round(self.factor * max(patient.epochs, patient.declared.epochs or 0))
        views = (*patient.augmentation, *new)
        return Variant(
            of_length(varied(recipe, augment=views), epochs),
            f"The student matches the teacher alone, on the same new views ({', '.join(views)}), "
            f"for {epochs} epochs instead of {patient.epochs}.",
            self.share, epochs=epochs,
        )  # fmt: skip
