"""How trainings go, on stderr: a table that lives on a terminal, lines with `-v`, else silence."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gapdoctor.cli.console import is_terminal, note
from gapdoctor.domain.trials import CONTROL, WITHOUT_TEACHER, Plan, TrialRecord
from gapdoctor.engines._base import Watcher
from gapdoctor.fixes._rounds import first_trials
from gapdoctor.fixes._wording import duration
from gapdoctor.observe.progress import Progress

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

SHOWN = 14
"""Rows of the table: what runs, and what ended last."""
BAR = 16
"""Columns of a bar."""


def watcher_for(quiet: bool, verbose: bool, progress: Progress) -> Lines | LiveTable:
    """Return what tells how trainings go; on a terminal it takes the place of `progress`."""
    if not quiet and is_terminal("stderr"):
        return LiveTable(progress)
    return Lines(verbose and not quiet, told=not quiet)


class Lines(Watcher):
    """For logs: what is odd, and with `-v` a line a training."""

    def __init__(self, each: bool, told: bool) -> None:
        self._each, self._told = each, told

    def ended(self, trial: str, record: TrialRecord) -> None:
        """Tell how it ended."""
        if self._each:
            note(f"{trial}: {_ending(record)}")

    def note(self, statement: str) -> None:
        """Tell it."""
        if self._told:
            note(statement)

    def close(self) -> None:
        """Nothing is left open."""


@dataclass
class _Row:
    steps: int = 0
    done: int = 0
    loss: float | None = None
    record: TrialRecord | None = None


@dataclass
class LiveTable(Watcher):
    """For people: a row a training, with loss, time left and budget."""

    _bars: Progress
    """Two live displays would fight for the screen."""
    _rows: dict[str, _Row] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)
    _plan: Plan | None = None
    _live: Live | None = None

    def planned(self, plan: Plan) -> None:
        """Remember what is to come."""
        self._plan, self._began = plan, time.monotonic()

    def started(self, trial: str, steps: int) -> None:
        """Add a row; one that is tried again begins anew."""
        self._rows.pop(trial, None)
        self._rows[trial] = _Row(steps)
        self._draw()

    def advanced(self, trial: str, steps: int) -> None:
        """Move its bar."""
        self._row(trial).done += steps
        self._draw()

    def epoch(self, trial: str, loss: float) -> None:
        """Show its loss."""
        self._row(trial).loss = loss
        self._draw()

    def ended(self, trial: str, record: TrialRecord) -> None:
        """Show how it ended."""
        self._row(trial).record = record
        self._draw()

    def note(self, statement: str) -> None:
        """Print it above the table."""
        if self._live is None:
            note(statement)
        else:
            self._live.console.print(statement, markup=False, highlight=False)

    def close(self) -> None:
        """Take the table off the screen: the page that follows is the result."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    # -- drawing -----------------------------------------------------------------------------

    def _row(self, trial: str) -> _Row:
        return self._rows.setdefault(trial, _Row())

    def _draw(self) -> None:
        if self._live is None:
            from rich.console import Console
            from rich.live import Live

            self._bars.close()
            self._live = Live(console=Console(stderr=True), transient=True, refresh_per_second=4)
            self._live.start()
        self._live.update(self._table())

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(title=self._title(), title_justify="left", box=None, padding=(0, 2, 0, 0),
                      pad_edge=False, header_style="dim")  # fmt: skip
        table.add_column("Training")
        table.add_column("")
        table.add_column("Loss, half A", justify="right")
        table.add_column("")
        running = [(n, r) for n, r in self._rows.items() if r.record is None]
        ended = [(n, r) for n, r in self._rows.items() if r.record is not None]
        room = max(0, SHOWN - len(running))
        for name, row in [*ended[len(ended) - room :], *running]:
            loss = row.loss if row.record is None else row.record.heldout_loss
            shown = "" if loss is None else f"{loss:.4f}"
            table.add_row(Text(name), Text(_bar(row)), Text(shown), Text(_word(row)))
        return table

    def _title(self) -> str:
        ended = sum(r.record is not None for r in self._rows.values())
        spent = time.monotonic() - self._began
        expected = max(expected_trials(self._plan), len(self._rows)) if self._plan else 0
        parts = [f"{ended} of about {expected} trainings", f"{duration(spent)} spent"]
        done = sum(_share(r) for r in self._rows.values())
        if done > 0.2 and expected:
            parts.append(f"about {duration(spent * max(0.0, expected - done) / done)} left")
        if self._plan is not None and self._plan.budget is not None:
            parts.append(f"budget {duration(self._plan.budget)}")
        return ", ".join(parts)


def expected_trials(plan: Plan) -> int:
    """Return how many trainings a plan comes to: not every fix gets all seeds."""
    first = first_trials(plan)
    fixes = len({t.fix for t in first} - {CONTROL})
    controls = sum(t.fix == CONTROL for t in first)
    told = len({t.fix for t in first if t.fold})  # what folds tell the length of
    seeds = len({t.seed for t in plan.trials}) or 1
    finalists = min(plan.finalists, fixes)
    later = (seeds - 1) * (controls + finalists)
    pair = 1 if fixes > 1 else 0
    return len(first) + told + later + pair + sum(t.fix == WITHOUT_TEACHER for t in plan.trials)


def _share(row: _Row) -> float:
    if row.record is not None:
        return 1.0
    return min(1.0, row.done / row.steps) if row.steps else 0.0


def _bar(row: _Row) -> str:
    full = round(BAR * _share(row))
    return "━" * full + "╌" * (BAR - full)


def _word(row: _Row) -> str:
    return f"{_share(row):.0%}" if row.record is None else _ending(row.record)


def _ending(record: TrialRecord) -> str:
    told = {"done": "done", "failed": "failed", "not_reached": "not reached"}[record.status]
    time_ = "" if record.status == "not_reached" else f", {duration(record.seconds)}"
    return f"{told}{time_}" + (f": {record.note}" if record.note else "")
