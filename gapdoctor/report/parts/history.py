"""Learning curves, as they were logged."""

from __future__ import annotations

from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.report.blocks import Block, Column, Figure, Grid
from gapdoctor.report.figures import Curves, Role, Series, is_lopsided
from gapdoctor.report.quantities import nats, number, percent
from gapdoctor.report.tables import Row, finite, real, rows_of

_DRAWN = 400
"""Points of a line; more are thinned."""

_SHOWN = 40
"""Rows of the table under the chart."""

_LOSSES: tuple[tuple[str, str, Role, bool], ...] = (
    ("train_loss", "train loss", "neutral", True),
    ("heldout_loss", "held-out loss", "student", False),
)
_ACCURACIES: tuple[tuple[str, str, Role, bool], ...] = (
    ("train_accuracy", "train accuracy", "neutral", True),
    ("heldout_accuracy", "held-out accuracy", "student", False),
)


def history(diagnosis: Diagnosis) -> tuple[Block, ...]:
    """Return the learning curves; nothing where none were given."""
    rows = rows_of(diagnosis, "history", "epoch")
    curves = (
        _figure(rows, "history", "Loss by epoch", _LOSSES, "loss as logged"),
        _figure(rows, "accuracy", "Accuracy by epoch", _ACCURACIES, "accuracy"),
    )
    return tuple(figure for figure in curves if figure is not None)


def thinned(rows: list[Row], most: int) -> list[Row]:
    """Return at most `most` rows, evenly chosen, the first and the last among them."""
    if len(rows) <= most:
        return rows
    last = len(rows) - 1
    return [rows[round(i * last / (most - 1))] for i in range(most)]


def _figure(
    rows: list[Row],
    key: str,
    title: str,
    columns: tuple[tuple[str, str, Role, bool], ...],
    y_label: str,
) -> Figure | None:
    lines = [_line(rows, *column) for column in columns]
    drawn = tuple(line for line in lines if len(line.x) > 0)
    if not drawn:
        return None
    every = [y for line in drawn for y in line.y]
    log = key == "history" and is_lopsided(every)
    return Figure(
        key=key,
        title=title,
        alt=f"{title}: " + "; ".join(_told(line) for line in drawn) + ".",
        chart=Curves(drawn, "epoch", y_label + (", logarithmic" if log else ""), logarithmic=log),
        table=_numbers(rows, title, [*(column[0] for column in columns), "lr"]),
        note=_NOTE if key == "history" else "",
        half=True,
    )


_NOTE = (
    "As logged while training: the logged train loss may be a mixture of task and distillation "
    "loss, so only each curve's own course is read, never one against the other."
)


def _line(rows: list[Row], column: str, label: str, role: Role, broken: bool) -> Series:
    known = [r for r in rows if finite(r["epoch"]) and finite(r.get(column))]
    points = thinned(known, _DRAWN)
    xs = tuple(real(r["epoch"]) for r in points)
    return Series(label, role, xs, tuple(real(r[column]) for r in points), broken)


def _told(line: Series) -> str:
    best = min(line.y) if "loss" in line.label else max(line.y)
    at = line.x[line.y.index(best)]
    return (
        f"{line.label} from {nats(line.y[0])} to {nats(line.y[-1])}, "
        f"best {nats(best)} at epoch {number(at)}"
    )


def _numbers(rows: list[Row], title: str, names: list[str]) -> Grid:
    there = [n for n in names if any(finite(r.get(n)) for r in rows)]
    shown = thinned(rows, _SHOWN)
    note = f"{len(shown)} of {len(rows)} epochs, evenly chosen." if len(shown) < len(rows) else ""
    heads = (Column("Epoch", "number"), *(Column(_HEADS[n], "number") for n in there))
    cells = tuple((number(real(r["epoch"])), *(_cell(n, r.get(n)) for n in there)) for r in shown)
    return Grid(f"{title}: the numbers", heads, cells, note)


_HEADS = {
    "train_loss": "Train loss",
    "heldout_loss": "Held-out loss",
    "train_accuracy": "Train accuracy",
    "heldout_accuracy": "Held-out accuracy",
    "lr": "Learning rate",
}


def _cell(name: str, value: object) -> str:
    if name.endswith("accuracy"):
        return percent(real(value))
    return number(real(value), "nats" if name.endswith("loss") else "")
