"""Increase capacity: a larger student."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from gapdoctor.domain.causes import Cause
from gapdoctor.fixes._base import Fix, NotApplicable, Patient, Variant


@dataclass(frozen=True)
class IncreaseCapacity(Fix):
    """Train a larger student from scratch: the one of `[student] larger`, else one guessed.

    Guessed is twice the first argument that means a width; the plan names it, `larger = {}` turns
    it off.

    When it helps
    -------------
    Where the student is too small to mimic its teacher. A better teacher is no help then (Cho &
    Hariharan 2019; five points more of teacher buy a ResNet-18 −0.1 points, tables of Huang et al.
    2022).

    When it does not
    ----------------
    Where a larger model cannot be deployed. It costs what a larger student costs, in training and
    when deployed: the report shows the parameters beside the loss. Twice the width goes far, but
    not up to the teacher.

    It is not tried where no larger student is named and the student's arguments tell no width,
    where the named one is no larger or cannot be built, and where the student itself cannot be
    built anew, so that there is no control from scratch.

    Sources
    -------
    - Cho & Hariharan 2019, "On the efficacy of knowledge distillation", ICCV, arXiv 1910.01348.
    - Huang, You, Wang, Qian & Xu 2022, "Knowledge distillation from a stronger teacher"
      (hunto/DIST_KD), NeurIPS, arXiv 2205.10536.
    - Krogh & Hertz 1991, "A simple weight decay can improve generalization", NeurIPS.
    """

    name: ClassVar[str] = "increase_capacity"
    treats: ClassVar[tuple[Cause, ...]] = (Cause.CAPACITY_SHORTFALL,)
    needs: ClassVar[Mapping[str, str]] = MappingProxyType({
        "add_weight_decay": "A larger student has more weights that its rows do not determine, "
        "and decay is what suppresses those (Krogh & Hertz 1991, NeurIPS).",
    })  # fmt: skip

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
