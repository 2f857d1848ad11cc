"""The given student under free corrections, so that trials in other processes start from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import nn

from gapdoctor.engines._base import Applied
from gapdoctor.loading.writing import fold
from gapdoctor.observe.case import Case
from gapdoctor.training.materials import Materials
from gapdoctor.training.placement import copied
from gapdoctor.training.students import before_folding, write_weights
from gapdoctor.treatment._head import head_of
from gapdoctor.treatment._steps import Patched

FILE = "given.pt"


def start_from(patched: Patched, case: Case, folder: Path) -> Applied:
    """Return the corrections that every trial stands on.

    Where statistics or head of the student itself were mended, or a temperature was folded into its
    head after training, its weights are written as training left them, and trials from the
    checkpoint start from those.
    """
    student = mended(patched, case)
    if case.folded_temperature is not None:
        head = head_of(student, Materials(case))
        student, _ = before_folding(student, head, case.folded_temperature)
    if student is case.student:
        return patched.applied
    path = folder / FILE
    write_weights(student, path)
    return replace(patched.applied, weights=str(path.absolute()))


def mended(patched: Patched, case: Case) -> nn.Module:
    """Return the student with its own class order folded in; as it is where that cannot be."""
    if patched.head_order is None:
        return patched.student
    folded = fold(
        patched.student, head_of(patched.student, Materials(case)), order=patched.head_order
    )
    twin = copied(patched.student)
    twin.load_state_dict(folded.weights)
    return twin
