"""Reliability and the spread of the losses."""

from __future__ import annotations

from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.report.blocks import Block, Column, Figure, Grid
from gapdoctor.report.figures import Curves, Series, Steps
from gapdoctor.report.quantities import count, nats, percent
from gapdoctor.report.tables import Row, finite, real, rows_of
from gapdoctor.report.wording import MODELS, SPLITS

_FEWEST = 10
"""Rows of a bin that is drawn: the accuracy of fewer is chance."""

_PAIRS = tuple((model, split) for split in ("heldout", "train") for model in MODELS)


def calibration(diagnosis: Diagnosis) -> tuple[Block, ...]:
    """Return the reliability diagram and the histogram of losses, where their tables are."""
    both = (_reliability(diagnosis), _histogram(diagnosis))
    return tuple(figure for figure in both if figure is not None)


def _of(rows: list[Row], model: str, split: str) -> list[Row]:
    return [r for r in rows if r["model"] == model and r["split"] == split]


def _label(model: str, split: str) -> str:
    return f"{MODELS.get(model, model)}, {SPLITS.get(split, split)}"


def _reliability(diagnosis: Diagnosis) -> Figure | None:
    needed = ("model", "split", "confidence", "accuracy")
    every = rows_of(diagnosis, "reliability", *needed)
    filled = [r for r in every if finite(r["confidence"]) and finite(r["accuracy"])]
    drawn = [r for r in filled if not real(r.get("rows")) < _FEWEST]
    lines = tuple(
        Series(
            MODELS[model],
            "teacher" if model == "teacher" else "student",
            tuple(real(r["confidence"]) for r in points),
            tuple(real(r["accuracy"]) for r in points),
        )
        for model in MODELS
        if (points := _of(drawn, model, "heldout"))
    )
    if not lines:
        return None
    return Figure(
        key="reliability",
        title="Reliability on held-out rows",
        alt="Accuracy by confidence: " + "; ".join(_told(line) for line in lines) + ".",
        chart=Curves(lines, "confidence", "accuracy", unit_square=True),
        table=_reliability_numbers(filled),
        note=_RELIABILITY_NOTE + (_LEFT_OUT if len(drawn) < len(filled) else ""),
        half=True,
    )


_RELIABILITY_NOTE = "Below the diagonal: surer than right."
_LEFT_OUT = f" Bins of fewer than {_FEWEST} rows stand in the numbers only."


def _told(line: Series) -> str:
    off = [y - x for x, y in zip(line.x, line.y, strict=True)]
    worst = max(off, key=abs)
    side = "surer than right" if worst < 0 else "less sure than right"
    return f"{line.label} is {side} by up to {percent(abs(worst))}"


def _reliability_numbers(rows: list[Row]) -> Grid:
    return Grid(
        "Confidence and accuracy by bin",
        (
            Column("Model"),
            Column("Split"),
            Column("Rows", "number"),
            Column("Confidence", "number"),
            Column("Accuracy", "number"),
        ),
        tuple(
            (
                MODELS.get(str(r["model"]), str(r["model"])),
                SPLITS.get(str(r["split"]), str(r["split"])),
                _count(r.get("rows")),
                percent(real(r["confidence"])),
                percent(real(r["accuracy"])),
            )
            for r in rows
        ),
    )


def _histogram(diagnosis: Diagnosis) -> Figure | None:
    every = rows_of(diagnosis, "loss_histogram", "model", "split", "bin_low", "bin_high", "rows")
    bins = sorted({(real(r["bin_low"]), real(r["bin_high"])) for r in every if _is_bin(r)})
    lines = tuple(
        line for pair in _PAIRS if (line := _shares(_of(every, *pair), bins, *pair)) is not None
    )
    if not bins or not lines:
        return None
    return Figure(
        key="losses",
        title="Losses of single rows",
        alt="Share of rows by loss: " + "; ".join(_heaviest(line, bins) for line in lines) + ".",
        chart=Steps((*(low for low, _ in bins), bins[-1][1]), lines, "loss of a row (nats)",
                    "share of rows"),
        table=_histogram_numbers(bins, lines),
        half=True,
    )  # fmt: skip


def _is_bin(row: Row) -> bool:
    return finite(row["bin_low"]) and finite(row["rows"])


def _shares(
    rows: list[Row], bins: list[tuple[float, float]], model: str, split: str
) -> Series | None:
    total = sum(real(r["rows"]) for r in rows if _is_bin(r))
    if not total > 0:
        return None
    held = {real(r["bin_low"]): real(r["rows"]) for r in rows if _is_bin(r)}
    return Series(
        _label(model, split),
        "teacher" if model == "teacher" else "student",
        tuple(low for low, _ in bins),
        tuple(held.get(low, 0.0) / total for low, _ in bins),
        broken=split == "train",
    )


def _heaviest(line: Series, bins: list[tuple[float, float]]) -> str:
    most = max(line.y)
    return f"{line.label} mostly {_range(bins[line.y.index(most)])} nats ({percent(most)})"


def _range(edges: tuple[float, float]) -> str:
    low, high = edges
    return f"{nats(low)} to {nats(high)}" if finite(high) else f"from {nats(low)}"


def _histogram_numbers(bins: list[tuple[float, float]], lines: tuple[Series, ...]) -> Grid:
    return Grid(
        "Share of rows by loss",
        (Column("Loss (nats)"), *(Column(line.label, "number") for line in lines)),
        tuple(
            (_range(edges), *(percent(line.y[i]) for line in lines)) for i, edges in enumerate(bins)
        ),
    )


def _count(value: object) -> str:
    return count(int(real(value))) if finite(value) else "unknown"
