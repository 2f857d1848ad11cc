"""Student against teacher, class by class."""

from __future__ import annotations

from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.report.blocks import Block, Column, Figure, Grid
from gapdoctor.report.figures import Pair, Pairs, is_lopsided
from gapdoctor.report.quantities import count, nats, percent, signed
from gapdoctor.report.tables import Row, finite, real, rows_of

WORST = 20
"""Classes that are shown, those with the largest excess first."""

_NAME = 60
"""Characters of a class name that are shown."""


def classes(diagnosis: Diagnosis) -> tuple[Block, ...]:
    """Return the classes where the student loses most against its teacher."""
    every = [r for r in rows_of(diagnosis, "per_class", "class", "student_loss") if _is_known(r)]
    if not every:
        return ()
    worst = sorted(every, key=lambda r: (-_excess(r), str(r["class"])))[:WORST]
    values = [real(r[c]) for r in worst for c in ("teacher_loss", "student_loss") if c in r]
    log = is_lopsided(values)
    axis = "held-out loss (nats, logarithmic)" if log else "held-out loss (nats)"
    return (
        Figure(
            key="classes",
            title=_title(len(worst), len(every)),
            alt=_alt(worst),
            chart=Pairs(tuple(_pair(r) for r in worst), axis, log),
            table=_numbers(worst),
            note=_cut_short(len(worst), len(every)),
        ),
    )


def _is_known(row: Row) -> bool:
    return finite(row["student_loss"])


def _has_teacher(row: Row) -> bool:
    return finite(row.get("teacher_loss"))


def _excess(row: Row) -> float:
    return real(row["student_loss"]) - (real(row["teacher_loss"]) if _has_teacher(row) else 0.0)


def _name(row: Row) -> str:
    name = str(row["class"])
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"


def _pair(row: Row) -> Pair:
    teacher = real(row["teacher_loss"]) if _has_teacher(row) else None
    return Pair(_name(row), teacher, real(row["student_loss"]))


def _title(shown: int, every: int) -> str:
    return f"The {shown} worst classes of {every}" if shown < every else "All classes, worst first"


def _cut_short(shown: int, every: int) -> str:
    if shown == every:
        return ""
    return f"{count(every - shown)} classes where the student loses less are left out."


def _alt(worst: list[Row]) -> str:
    first = worst[0]
    lost = f"{nats(real(first['student_loss']))} nats"
    if _has_teacher(first):
        lost = f"{signed(_excess(first))} nats against its teacher"
    return (
        f"Held-out loss for {len(worst)} classes; the student loses most on {_name(first)}: {lost}."
    )


_COLUMNS = (
    ("rows", "Rows"),
    ("teacher_loss", "Teacher loss"),
    ("student_loss", "Student loss"),
    ("teacher_accuracy", "Teacher accuracy"),
    ("student_accuracy", "Student accuracy"),
    ("student_calibration_error", "Student calibration error"),
)


def _numbers(rows: list[Row]) -> Grid:
    there = [(key, head) for key, head in _COLUMNS if key in rows[0]]
    compared = all(_has_teacher(r) for r in rows)
    return Grid(
        "Held-out loss and accuracy by class",
        (
            Column("Class", "code"),
            *(Column(head, "number") for _, head in there),
            *((Column("Excess (nats)", "number"),) if compared else ()),
        ),
        tuple(
            (
                _name(r),
                *(_cell(key, r[key]) for key, _ in there),
                *((signed(_excess(r)),) if compared else ()),
            )
            for r in rows
        ),
    )


def _cell(key: str, value: object) -> str:
    if key == "rows":
        return count(int(real(value))) if finite(value) else "unknown"
    return nats(real(value)) if key.endswith("_loss") else percent(real(value))
