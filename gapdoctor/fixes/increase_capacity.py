"""Increase capacity: a larger student."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gapdoctor.domain.causes import Cause
from gapdoctor.fixes._base import Fix, NotApplicable, Patient, Variant


@dataclass(frozen=True)
class IncreaseCapacity(Fix):
    """Train a larger student from scratch: the one of `[student] larger`, else one guessed.

    Guessed is twice the first argument that means a width; the plan names it, `larger = {}` turns
    it off.

    A student that is too small cannot mimic its teacher, and a better teacher is no help (Cho &
    Hariharan 2019, arXiv 1910.01348; five points more of teacher buy a ResNet-18 −0.1 points,
    hunto/DIST_KD). It costs what a larger student costs, in training and when deployed: the report
    shows the parameters beside the loss.
    """

    name: ClassVar[str] = "increase_capacity"
    treats: ClassVar[tuple[Cause, ...]] = (Cause.CAPACITY_SHORTFALL,)

    share: float = 0.6
    """Share of the shortfall that is expected back (starting value: twice the width goes far, but
    not up to the teacher)."""

    def propose(self, patient: Patient) -> Variant | NotApplicable:
        """Only where a larger student can be built, and a control from scratch as well."""
        larger = patient.larger
        if larger is None:
            return NotApplicable(
                "no larger student is named, and its arguments tell no width; give [student] larger"
            )
        if isinstance(larger, str):
            return NotApplicable(f"the larger student cannot be built: {larger}")
        if larger <= patient.student_parameters:
            return NotApplicable(
                f"the larger student has {larger:,} parameters, no more than the student's "
                f"{patient.student_parameters:,}"
            )
        if not patient.has_factory:
            return NotApplicable(
                "the student itself cannot be built anew, so there is no control from scratch"
            )
        args = patient.where.get("student.larger", "")
        told = f" ({args})" if args else ""
        return Variant(
            patient.recipe,
            f"A student of {larger:,} instead of {patient.student_parameters:,} parameters{told}, "
            "from scratch.",
            self.share, start="scratch", larger=True,
        )  # fmt: skip
