"""Both streams: results on stdout, everything else on stderr; and progress that draws itself."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, TextIO

import typer

from gapdoctor.observe.progress import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

Stream = Literal["stdout", "stderr"]


def is_terminal(stream: Stream) -> bool:
    """Tell whether a person looks at `stream`."""
    handle: TextIO | None = getattr(sys, stream)
    return handle is not None and not handle.closed and handle.isatty()


def wants_color(stream: Stream) -> bool:
    """Tell whether `stream` may have colour: a terminal, and no `NO_COLOR` (no-color.org)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return is_terminal(stream) and not plain


def say(text: str) -> None:
    """Print a piece of the result on stdout, as it is: paths stay whole, nothing is wrapped.

    When the reader has closed the pipe, the rest is dropped: what is being told is kept in files,
    and the exit code still has to speak.
    """
    try:
        typer.echo(text)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()


def note(text: str) -> None:
    """Print a line beside the result, on stderr."""
    with contextlib.suppress(BrokenPipeError):
        typer.echo(text, err=True)


def silence_stdout() -> None:
    """Let later writes, and the interpreter's own flush at its end, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with contextlib.suppress(OSError, ValueError):
        os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@contextlib.contextmanager
def stdout_for_results() -> Iterator[None]:
    """Send to stderr what user code prints meanwhile, also from below Python.

    The result alone belongs on stdout: `--json` is read by programs.
    """
    sys.stdout.flush()
    with contextlib.ExitStack() as undo:
        with contextlib.suppress(OSError):
            undo.callback(_point, 1, os.dup(1))
            os.dup2(2, 1)
        undo.enter_context(contextlib.redirect_stdout(sys.stderr))
        yield


def _point(target: int, source: int) -> None:
    os.dup2(source, target)
    os.close(source)


def progress_for(quiet: bool, verbose: bool) -> Progress:
    """Return what shows progress: bars on a terminal, plain lines with `-v`, else silence."""
    if quiet:
        return Progress()
    if is_terminal("stderr"):
        return BarProgress()
    return LineProgress(stages=verbose)


class LineProgress(Progress):
    """For logs: one line a note, and one a stage where that was asked for."""

    def __init__(self, stages: bool) -> None:
        self._stages = stages

    def stage(self, name: str, total: int) -> None:
        """Tell the name of the stage."""
        if self._stages:
            note(f"{name} ({total})" if total else name)

    def note(self, statement: str) -> None:
        """Tell it."""
        note(statement)


class BarProgress(Progress):
    """For people: a bar a stage with percent, rate and the time left, on stderr."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._task: TaskID | None = None

    def stage(self, name: str, total: int) -> None:
        """Fill the bar before, begin the next."""
        bars = self._started()
        self._fill()
        self._task = bars.add_task(name, total=total or None)

    def advance(self, units: int = 1) -> None:
        """Move the bar."""
        if self._bars is not None and self._task is not None:
            self._bars.advance(self._task, units)

    def note(self, statement: str) -> None:
        """Print it above the bars."""
        if self._bars is None:
            note(statement)
        else:
            self._bars.console.print(statement, markup=False, highlight=False)

    def close(self) -> None:
        """Take the bars off the screen: the page that follows is the result."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = self._task = None

    def _started(self) -> Bars:
        if self._bars is None:
            self._bars = _bars()
            self._bars.start()
        return self._bars

    def _fill(self) -> None:
        """A stage may stop before its total: rows beyond need are not read."""
        if self._bars is not None and self._task is not None:
            done = next(t.completed for t in self._bars.tasks if t.id == self._task)
            self._bars.update(self._task, total=done or 1, completed=done or 1)


def _bars() -> Bars:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        ProgressColumn,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f}/s" if speed else "", style="progress.data.speed")

    return Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        Rate(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=Console(stderr=True),
        transient=True,
    )
