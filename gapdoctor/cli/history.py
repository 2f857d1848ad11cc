"""`gapdoctor history`: what learning curves say by themselves."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gapdoctor.cli.console import say
from gapdoctor.errors import GapDoctorError

if TYPE_CHECKING:
    from gapdoctor.stats.curves import CurveReading

SCHEMA = "gapdoctor.history/1"


@dataclass(frozen=True, slots=True)
class Fact:
    """One number read off the curves, beside the limit that judged it."""

    name: str
    value: float
    limit: float | None
    unit: str


def history(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Learning curves: epoch, train_loss, heldout_loss or val_loss."
        ),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the reading as JSON on stdout.")
    ] = False,
) -> None:
    """Read learning curves alone: overfitting, unfinished, unstable or healthy."""
    if not file.exists():
        raise GapDoctorError(
            f"{file}: no such file", "name a csv, jsonl or json of learning curves"
        )

    from gapdoctor.loading.history import read_history
    from gapdoctor.stats.curves import read_curves

    frame = read_history(file)
    reading = read_curves(
        frame["epoch"], frame["train_loss"], frame["heldout_loss"], frame.get("lr")
    )
    say(_as_json(reading) if as_json else _as_text(file, reading))


def _as_text(file: Path, reading: CurveReading) -> str:
    rows = [(f.name, _number(f.value), _number(f.limit), f.unit) for f in _facts(reading)]
    lines = [f"{file}: {reading.state}", "", _sentence(reading), ""]
    lines += [
        f"  {'':<38}{'value':>10}{'limit':>10}",
        *(
            f"  {name:<38}{value:>10}{limit:>10}  {unit}".rstrip()
            for name, value, limit, unit in rows
        ),
    ]
    return "\n".join(lines)


def _as_json(reading: CurveReading) -> str:
    record = {
        "schema": SCHEMA,
        "state": str(reading.state),
        "summary": _sentence(reading),
        "epochs": reading.epochs,
        "facts": [
            {"name": f.name, "value": _json(f.value), "limit": _json(f.limit), "unit": f.unit}
            for f in _facts(reading)
        ],
    }
    return json.dumps(record, indent=2)


def _facts(reading: CurveReading) -> list[Fact]:
    from gapdoctor.stats.curves import CurveLimits

    limits = CurveLimits()
    return [
        Fact("epochs with a held-out loss", reading.epochs, limits.min_epochs, "epochs"),
        Fact("epoch of the lowest held-out loss", reading.best_epoch, None, "smoothed"),
        Fact("rise of the held-out loss since then", reading.rise_nats, limits.rise_nats, "nats"),
        Fact("the same, relative to the lowest", reading.rise, limits.rise, "share"),
        Fact("slope of the held-out loss at the end", reading.heldout_slope, None, "nats/epoch"),
        Fact("scatter of the held-out loss", reading.noise, limits.oscillation_nats, "nats"),
        Fact("the same, relative to its level", reading.oscillation, limits.oscillation, "share"),
    ]


def _sentence(reading: CurveReading) -> str:
    """Return what the state rests on, in one sentence."""
    if reading.state == "overfitting":
        return (
            f"The held-out loss was lowest around epoch {reading.best_epoch:g} and has risen by "
            f"{reading.rise_nats:.3g} nats ({reading.rise:.0%}) since."
        )
    if reading.state == "unstable" and reading.diverged:
        return "Training diverged: a loss is not finite, or the train loss lost most of its gain."
    if reading.state == "unstable":
        return f"The held-out loss jumps by {reading.noise:.3g} nats from epoch to epoch."
    if reading.state == "unfinished" and reading.still_falling:
        return (
            f"The held-out loss still fell by {-reading.heldout_slope:.3g} nats an epoch at the "
            "end, and the learning rate had not come down."
        )
    if reading.state == "unfinished":
        return "Training ended before the epochs that were planned."
    if reading.state == "healthy":
        return "The held-out loss has settled and has not risen since its minimum."
    return "Too few epochs have a held-out loss to say anything."


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if math.isfinite(value) else "-"


def _json(value: float | None) -> float | None:
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None
