"""The trials behind the fixes: their learning curves, and how each ended."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

from gapdoctor.domain.trials import CONTROL, FixRecord, Outcome, Start, TrialRecord
from gapdoctor.report.blocks import Block, Column, Figure, Grid, Paragraph
from gapdoctor.report.figures import Curves, Role, Series, is_lopsided
from gapdoctor.report.parts.fixes import spaced
from gapdoctor.report.parts.history import thinned
from gapdoctor.report.quantities import nats, number
from gapdoctor.report.tables import finite

DRAWN = 6
"""Charts at most, one a fix."""
_SHOWN = 20
"""Epochs of the table under a chart."""
_TRAIN, _HELDOUT = 1, 2
"""Columns of a trial's history."""
_WORDS = {"done": "done", "failed": "failed", "not_reached": "not reached"}

Points = tuple[tuple[float, ...], tuple[float, ...]]


def curves(outcome: Outcome) -> tuple[Block, ...]:
    """Return a chart a fix: its losses beside the control's, by epoch, mean over seeds."""
    tried = [f for f in outcome.fixes if f.difference is not None and f.seeds > 0]
    figures = [f for fix in tried if (f := _figure(outcome, fix)) is not None]
    left = len(figures) - DRAWN
    more = (Paragraph(f"{left} more fixes were trained; fix.json has their curves."),)
    return (*figures[:DRAWN], *(more if left > 0 else ()))


def trials(outcome: Outcome) -> tuple[Block, ...]:
    """Return how each trial ended."""
    if not outcome.trials:
        return ()
    columns = (
        Column("Trial"),
        Column("Start"),
        Column("Seed", "number"),
        Column("Status"),
        Column("Loss, choosing half", "number"),
        Column("Seconds", "number"),
    )
    rows = tuple(
        (_named(t), t.start, str(t.seed), _status(t), _loss(t), _seconds(t)) for t in outcome.trials
    )
    note = ""
    if any(t.fold for t in outcome.trials):
        note = "The loss of a fold is that on the train rows which its student lacked."
    return (Grid("Every trial; its loss in nats", columns, rows, note),)


def _named(trial: TrialRecord) -> str:
    name = spaced(trial.fix)
    return name if trial.fold is None else "{}, fold {} of {}".format(name, *trial.fold)


def _status(trial: TrialRecord) -> str:
    return f"{_WORDS[trial.status]}: {trial.note}" if trial.note else _WORDS[trial.status]


def _loss(trial: TrialRecord) -> str:
    return "none" if trial.heldout_loss is None else nats(trial.heldout_loss)


def _seconds(trial: TrialRecord) -> str:
    return "none" if trial.status == "not_reached" else f"{trial.seconds:,.1f}"


def _figure(outcome: Outcome, fix: FixRecord) -> Figure | None:
    own, control = (_mean_of(outcome, name, fix.start) for name in (fix.id, CONTROL))
    if own is None:
        return None
    lines = (*_lines("control", "neutral", control), *_lines("this fix", "student", own))
    if not lines:
        return None
    log = is_lopsided([y for line in lines for y in line.y])
    return Figure(
        key=f"curves-{fix.id.replace('+', '-and-')}",
        title=spaced(fix.id),
        alt=f"Losses by epoch, {spaced(fix.id)} beside the control: "
        f"{'; '.join(map(_told, lines))}.",
        chart=Curves(lines, "epoch", "loss, logarithmic" if log else "loss", logarithmic=log),
        table=_numbers(fix.id, lines),
        half=True,
    )


def _mean_of(outcome: Outcome, fix: str, start: Start) -> dict[float, tuple[float, float]] | None:
    """Epoch -> mean train and held-out loss over the seeds that reached it."""
    found: dict[float, list[tuple[float, float]]] = defaultdict(list)
    whole = (t for t in outcome.trials if t.fold is None)
    names = [t.name for t in whole if (t.fix, t.start) == (fix, start)]
    for row in (row for name in names for row in outcome.histories.get(name, ())):
        if len(row) > _HELDOUT and math.isfinite(row[0]):
            found[row[0]].append((row[_TRAIN], row[_HELDOUT]))
    means = {epoch: _mean(values) for epoch, values in sorted(found.items())}
    return means or None


def _mean(values: list[tuple[float, float]]) -> tuple[float, float]:
    first, second = zip(*values, strict=True)
    return sum(first) / len(first), sum(second) / len(second)


def _lines(
    who: str, role: Role, means: Mapping[float, tuple[float, float]] | None
) -> tuple[Series, ...]:
    if not means:
        return ()
    named = ((f"{who}, held-out", 1, False), (f"{who}, train", 0, True))
    return tuple(
        Series(label, role, *points, broken)
        for label, column, broken in named
        if (points := _points(means, column))[0]
    )


def _points(means: Mapping[float, tuple[float, float]], column: int) -> Points:
    known = [{"x": x, "y": ys[column]} for x, ys in means.items() if finite(ys[column])]
    kept = thinned(known, 200)
    return tuple(p["x"] for p in kept), tuple(p["y"] for p in kept)


def _told(line: Series) -> str:
    return f"{line.label} from {nats(line.y[0])} to {nats(line.y[-1])}"


def _numbers(fix: str, lines: tuple[Series, ...]) -> Grid:
    every = sorted({x for line in lines for x in line.x})
    shown = [row["x"] for row in thinned([{"x": x} for x in every], _SHOWN)]
    columns = (Column("Epoch", "number"), *(Column(_upper(x.label), "number") for x in lines))
    values = [dict(zip(line.x, line.y, strict=True)) for line in lines]
    rows = tuple((number(x), *(nats(v[x]) if x in v else "none" for v in values)) for x in shown)
    return Grid(f"Losses of {spaced(fix)} and the control by epoch", columns, rows)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
