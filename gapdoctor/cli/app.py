"""The command line: its commands, and the one place where a failure becomes an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from gapdoctor import __version__
from gapdoctor.cli.console import note, say, silence_stdout
from gapdoctor.cli.failures import Session, failure_lines, stopped_by_user_code
from gapdoctor.cli.help import PlainCommand, PlainGroup
from gapdoctor.errors import GapDoctorError

PANELS = {
    "Measure": ("demo", "init", "inspect", "diagnose", "fix"),
    "Read": ("report", "compare", "history", "explain"),
}
"""The commands in the order of the help page; each is the function of its own file."""

INTERRUPTED = 130
INTERNAL = 3


def build() -> typer.Typer:
    """Return the application with every command."""
    app = typer.Typer(
        name="gapdoctor",
        cls=PlainGroup,
        callback=_top,
        add_completion=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
        pretty_exceptions_enable=False,
    )
    for panel, names in PANELS.items():
        for name in names:
            function = getattr(import_module(f"gapdoctor.cli.{name}"), name)
            app.command(name, cls=PlainCommand, rich_help_panel=panel)(function)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; no exception gets past here.

    Parameters
    ----------
    arguments : sequence of str
        What was typed after `gapdoctor`.
    """
    session = Session(tuple(arguments))
    try:
        return _invoke(session)
    except typer.Exit as stop:
        return stop.exit_code
    except BrokenPipeError:
        silence_stdout()
        return 0
    except (KeyboardInterrupt, typer.Abort):
        note(f"gapdoctor: interrupted; {session.kept}")
        return INTERRUPTED
    except SystemExit as stop:
        note(stopped_by_user_code(stop, session))
        return GapDoctorError.exit_code
    except Exception as error:  # noqa: BLE001 - the one boundary: nothing may show a traceback
        if isinstance(error, OSError):
            silence_stdout()
        lines, code = failure_lines(error, session)
        for line in lines:
            note(line)
        return code


def main() -> NoReturn:
    """Run what was typed. The entry point of `gapdoctor` and `python -m gapdoctor`."""
    signal.signal(signal.SIGTERM, _interrupt)
    _survive_odd_streams()
    sys.exit(run(sys.argv[1:]))


def _invoke(session: Session) -> int:
    command = typer.main.get_command(build())
    if not session.arguments:
        with command.make_context("gapdoctor", [], resilient_parsing=True) as ctx:
            note(ctx.get_help())
        return GapDoctorError.exit_code
    with command.make_context("gapdoctor", list(session.arguments), obj=session) as ctx:
        command.invoke(ctx)
    sys.stdout.flush()
    return 0


def _top(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=lambda asked: _tell_version(asked),
                     help="Print the version."),
    ] = False,
) -> None:  # fmt: skip
    """Find out why a distilled student's held-out loss is high, and what closes the gap.

    A first look: gapdoctor demo. Your own pair: gapdoctor init checkpoint.pth.
    """


def _tell_version(asked: bool) -> None:
    if asked:
        say(f"gapdoctor {__version__}")
        raise typer.Exit


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """A scheduler's SIGTERM ends the run as Ctrl-C does, so that `finally` runs."""
    raise KeyboardInterrupt


def _survive_odd_streams() -> None:
    """A closed stream, a path that is no UTF-8, or a terminal without it is no traceback."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 - until the end
        stream = getattr(sys, name)
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            unicode = (stream.encoding or "").lower().replace("-", "") == "utf8"
            reconfigure(errors="surrogateescape" if unicode else "replace")
