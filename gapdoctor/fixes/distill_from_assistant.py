"""Distill from an assistant: a model of a size in between teaches the student."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.recipe import TaughtBy
from gapdoctor.fixes._base import Fix, NotApplicable, Patient, Variant, varied


@dataclass(frozen=True)
class DistillFromAssistant(Fix):
    """Let the student learn from the model of `[assistant]` instead of the teacher.

    The assistant is one that you trained, from the teacher as a rule; it is named by `[assistant]
    model` and `checkpoint` and eats what the student eats.

    When it helps
    -------------
    A student far smaller than its teacher may copy a model of a size in between better (Mirzadeh et
    al. 2020, whose best assistant is as good as the mean of both).

    When it does not
    ----------------
    Where a step in between was tried on larger data it did not help (Cho & Hariharan 2019), so
    little is expected. Measured on small digits nothing came back, with students of 300 and 900
    parameters beside a teacher of 51,000. Less still is expected of an assistant whose size is not
    between the two.

    It is not tried where no assistant is named, where the student learns from it already, and where
    the recipe learns from the labels alone.

    Sources
    -------
    - Mirzadeh, Farajtabar, Li, Levine, Matsukawa & Ghasemzadeh 2020, "Improved knowledge
      distillation via teacher assistant", AAAI, arXiv 1902.03393.
    - Cho & Hariharan 2019, "On the efficacy of knowledge distillation", ICCV, arXiv 1910.01348.
    """

    name: ClassVar[str] = "distill_from_assistant"
    treats: ClassVar[tuple[Cause, ...]] = (Cause.CAPACITY_SHORTFALL,)

    share: float = 0.1
    """Share of the shortfall that is expected back (measured on small digits: none of it, with
    students of 300 and 900 parameters beside a teacher of 51,000)."""
    unusual: float = 0.05
    """The same where the assistant's size is not between student and teacher, or the teacher's is
    not known (starting value)."""

    def propose(self, patient: Patient) -> Variant | NotApplicable:
        """Only where an assistant is named, and its like is listened to."""
        recipe, size = patient.recipe, patient.assistant_parameters
        if size is None:
            return NotApplicable("no assistant is named; give [assistant]")
        if recipe.taught_by == TaughtBy.ASSISTANT:
            return NotApplicable("the student learns from the assistant already")
        if recipe.task_weight == 1:
            return NotApplicable("the recipe learns from the labels alone: rebalance_losses")
        if recipe.feature_loss is not None:  # whose names of layers the assistant need not have
            return NotApplicable(
                f"the recipe learns features of the teacher's layers ({recipe.feature_loss})"
            )
        teacher = patient.teacher_parameters
        between = teacher is not None and patient.student_parameters < size < teacher
        sizes = f"student {patient.student_parameters:,}" + (
            "" if teacher is None else f", teacher {teacher:,}"
        )
        return Variant(
            varied(recipe, taught_by=TaughtBy.ASSISTANT),
            f"The student learns from the assistant of {size:,} parameters ({sizes}).",
            self.share if between else self.unusual,
        )
