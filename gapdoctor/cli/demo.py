"""`gapdoctor demo`: the bundled pair, diagnosed."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from gapdoctor.cli import options
from gapdoctor.cli.console import note
from gapdoctor.cli.diagnose import Measure, Output, Pair, run_diagnosis, session_of

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
    """Diagnose a bundled pair: an overfitted student of handwritten digits."""
    from gapdoctor.demo import prepare

    checkpoint = prepare(out)
    if not quiet:
        note(f"The pair lies in {out}: gapdoctor.toml names it, run.py builds it.")
    command = shlex.join(["gapdoctor", "diagnose", str(checkpoint)])
    run_diagnosis(
        session_of(ctx),
        Pair(checkpoint),
        Measure(device=str(device), command=command),
        Output(quiet=quiet, verbose=verbose),
    )
