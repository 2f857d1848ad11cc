"""What a plan says in words."""

from __future__ import annotations

from gapdoctor.fixes._base import Patient, plain


def duration(seconds: float) -> str:
    """Return a time span for a reader: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def notes_of(patient: Patient) -> tuple[str, ...]:
    """Return what the reader must know of a plan: what ran, what is assumed, what is void."""
    notes = [f"The control runs what ran. {text}" for text in patient.departures]
    if patient.assumed:
        told = ", ".join(
            f"{name} = {plain(getattr(patient.recipe, name))}" for name in patient.assumed
        )
        notes.append(f"Nobody said how the student was trained in these; assumed: {told}.")
    if patient.warns("heldout_chose_the_checkpoint"):
        notes.append("All trainings keep their best epoch on half A, as the given one did.")
    notes += [
        f"The diagnosis does not count: {warning.statement}"
        for warning in patient.diagnosis.warnings
        if warning.voids
    ]
    return tuple(notes)
