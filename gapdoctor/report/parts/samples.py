"""The held-out samples on which the student loses most, with pictures where they are at hand."""

from __future__ import annotations

import math

from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.report.blocks import Block, Column, Gallery, Grid, Paragraph, Picture
from gapdoctor.report.quantities import MISSING, count, nats, signed
from gapdoctor.report.tables import Row, real, rows_of

_NEEDED = ("row", "label", "student", "student_confidence", "teacher", "student_loss",
           "teacher_loss")  # fmt: skip

_NAME = 60
"""Characters of a class name that are shown."""


def samples(diagnosis: Diagnosis) -> tuple[Block, ...]:
    """Return the samples; nothing where they were not asked for."""
    table = diagnosis.tables.get("samples")
    if table is None:
        return ()
    if not table.rows:
        return (Paragraph(_none(diagnosis)),)
    rows = rows_of(diagnosis, "samples", *_NEEDED)
    if not rows:
        return ()
    named = [r for r in rows if r.get("picture")]
    pictures = tuple(
        _picture(r, diagnosis.pictures[name])
        for r in named
        if (name := str(r["picture"])) in diagnosis.pictures
    )
    return (
        Paragraph(_intro(diagnosis, len(rows))),
        Gallery(pictures, tuple(_line(r) for r in rows), _numbers(rows), len(named)),
    )


def _none(diagnosis: Diagnosis) -> str:
    return (
        f"There are none: of the {_source(diagnosis)} rows of the reporting half that the teacher "
        f"gets right, the student gets all right and loses {nats(diagnosis.gap.limit)} nats more "
        "on none."
    )


def _intro(diagnosis: Diagnosis, shown: int) -> str:
    source = _source(diagnosis)
    rows = f"The {count(shown)} {source} rows" if shown > 1 else f"The one {source} row"
    return (
        f"{rows} with the largest difference of losses, of those of the reporting half that the "
        f"teacher gets right and the student gets wrong or loses {nats(diagnosis.gap.limit)} nats "
        "more on."
    )


def _source(diagnosis: Diagnosis) -> str:
    return "test" if diagnosis.halves.reporting.source == "test" else "held-out"


def _picture(row: Row, png: bytes) -> Picture:
    return Picture(
        alt=_told(row),
        label=_name(row["label"]),
        student=f"{_name(row['student'])} ({_confidence(row)})",
        note=f"row {row['row']}, {_more(row)}",
        png=png,
    )


def _told(row: Row) -> str:
    says = _name(row["student"])
    return (
        f"row {row['row']}: label {_name(row['label'])}, student says {says} "
        f"({_confidence(row)}), teacher {_name(row['teacher'])}"
    )


def _line(row: Row) -> str:
    return f"{_told(row)}, {_more(row)}"


def _more(row: Row) -> str:
    return f"{signed(real(row['student_loss']) - real(row['teacher_loss']))} nats"


def _confidence(row: Row) -> str:
    confidence = real(row["student_confidence"])
    return f"{confidence:.2f}" if math.isfinite(confidence) else MISSING


def _name(value: object) -> str:
    name = "no class" if value is None else str(value)
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"


def _numbers(rows: list[Row]) -> Grid:
    return Grid(
        "Samples on which the student loses most",
        (
            Column("Row", "number"),
            Column("Label", "code"),
            Column("Student says", "code"),
            Column("Its confidence", "number"),
            Column("Teacher says", "code"),
            Column("Student loss", "number"),
            Column("Teacher loss", "number"),
        ),
        tuple(
            (
                str(r["row"]),
                _name(r["label"]),
                _name(r["student"]),
                _confidence(r),
                _name(r["teacher"]),
                nats(real(r["student_loss"])),
                nats(real(r["teacher_loss"])),
            )
            for r in rows
        ),
    )
