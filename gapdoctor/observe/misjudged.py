"""The held-out samples on which the student loses most against its teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.domain.findings import Table
from gapdoctor.errors import GapDoctorError
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.observations import Observations
from gapdoctor.observe.pictures import pictures_of
from gapdoctor.stats.calibration import log_softmax

MOST = 24
"""Samples, at most."""

COLUMNS = (
    "picture",
    "row",
    "label",
    "student",
    "student_confidence",
    "teacher",
    "student_loss",
    "teacher_loss",
)


def with_samples(diagnosis: Diagnosis, seen: Observations) -> Diagnosis:
    """Return the diagnosis with `tables["samples"]` and the pictures of those rows.

    Samples of which no picture can be made stand in the table without one; that they cannot be
    read again is a note, since nothing that was measured rests on them.
    """
    positions = misjudged(seen, diagnosis.gap.limit)
    notes = diagnosis.notes
    pictures: Sequence[bytes | None] = [None] * len(positions)
    try:
        pictures = pictures_of(seen, positions)
    except GapDoctorError as error:
        notes = (*notes, f"no pictures of samples: {error.message}")
    names = [f"sample-{i:02d}.png" if png else None for i, png in enumerate(pictures, start=1)]
    tables = {**diagnosis.tables, "samples": _table(seen, positions, names)}
    return replace(
        diagnosis,
        tables=dict(sorted(tables.items())),
        pictures={name: png for name, png in zip(names, pictures, strict=True) if name and png},
        notes=notes,
    )


def misjudged(seen: Observations, limit: float) -> NDArray[np.int64]:
    """Return the positions of the rows on which the student loses most, at most `MOST`.

    Parameters
    ----------
    seen : Observations
        After looking.
    limit : float
        Nats; the limit h of a gap worth treating.

    Returns
    -------
    (n,) int
        Rows of the reporting half that the teacher gets right, and that the student gets wrong or
        loses `limit` more on: the largest difference of losses first, then the lower row number.
    """
    held = seen.rows(Split.HELDOUT)
    student = seen.outputs(Model.STUDENT, Split.HELDOUT)
    teacher = seen.outputs(Model.TEACHER, Split.HELDOUT)
    more = student.loss - teacher.loss
    chosen = held.reporting & held.in_gap & teacher.correct & (~student.correct | (more >= limit))
    order = np.lexsort((held.index, -more))
    return order[chosen[order]][:MOST].astype(np.int64)


def _table(
    seen: Observations, positions: NDArray[np.int64], pictures: Sequence[str | None]
) -> Table:
    held = seen.rows(Split.HELDOUT)
    student = seen.outputs(Model.STUDENT, Split.HELDOUT)
    teacher = seen.outputs(Model.TEACHER, Split.HELDOUT)
    says = student.logits[positions]
    confidence = np.exp(log_softmax(says).max(axis=1))
    rows = [
        (
            name,
            int(held.index[at]),
            seen.classes[held.labels[at]],
            _answer(seen, says[i]),
            float(confidence[i]),
            _answer(seen, teacher.logits[at]),
            float(student.loss[at]),
            float(teacher.loss[at]),
        )
        for i, (at, name) in enumerate(zip(positions, pictures, strict=True))
    ]
    return Table(COLUMNS, tuple(rows))


def _answer(seen: Observations, logits: NDArray[np.float32]) -> str | None:
    """Return the class that logits (C,) name; None where all are alike, as on a broken row."""
    return None if logits.min() == logits.max() else seen.classes[logits.argmax()]
