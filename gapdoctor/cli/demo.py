"""`gapdoctor demo`: the bundled pair, diagnosed and treated."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from gapdoctor.cli import options
from gapdoctor.cli.console import note, say
from gapdoctor.cli.diagnose import Measure, Output, Pair, run_diagnosis, session_of
from gapdoctor.cli.fix_steps import Wanted, run_fix

DEFAULT_FOLDER = Path("gapdoctor-demo")


def demo(
    ctx: typer.Context,
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="DIR", help="The folder to put it into.")
    ] = DEFAULT_FOLDER,
    device: options.DeviceName = options.Device.AUTO,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Diagnose and treat a bundled pair: an overfitted student of handwritten digits.

    Runs diagnose, then fix --apply.
    """
    from gapdoctor.demo import prepare

    checkpoint = prepare(out)
    if not quiet:
        note(f"The pair lies in {out}: gapdoctor.toml names it, run.py builds it.")
    session, pair, shown = session_of(ctx), Pair(checkpoint), Output(quiet=quiet, verbose=verbose)
    told = {name: _command(*words, checkpoint) for name, words in _COMMANDS.items()}
    run_diagnosis(session, pair, Measure(device=str(device), command=told["diagnose"]), shown)
    if not quiet:
        say("")
    run_fix(
        session, pair, Measure(device=str(device), command=told["fix"]), shown, Wanted(apply=True)
    )


_COMMANDS = {"diagnose": ("diagnose",), "fix": ("fix", "--apply")}


def _command(*words: object) -> str:
    """What can be typed to do the same again."""
    return shlex.join(["gapdoctor", *map(str, words)])
