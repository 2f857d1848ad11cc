"""`gapdoctor init`: a first config, filled with what the checkpoint tells."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from gapdoctor.cli.console import say
from gapdoctor.cli.options import UnsafeLoad
from gapdoctor.errors import OutputError


def init(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="The student's weights.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="FILE", help="Where to write; else beside the checkpoint."
        ),
    ] = None,
    unsafe_load: UnsafeLoad = False,
) -> None:
    """Write a commented gapdoctor.toml for a checkpoint. Never overwrites."""
    from gapdoctor.files import write_text
    from gapdoctor.loading.checkpoint import read_checkpoint

    target = checkpoint.parent / "gapdoctor.toml" if output is None else output
    if checkpoint.exists() and os.path.lexists(target):
        raise OutputError(f"{target}: exists, and is left as it is", "name another with -o FILE")
    found = read_checkpoint(checkpoint, unsafe=unsafe_load)

    from gapdoctor.loading.initial import initial_config

    write_text(target, initial_config(found, folder=target.parent))
    flags = "" if output is None else f" -c {shlex.quote(str(target))}"
    say(str(target))
    say(
        "Fill in the lines that say unknown, then: "
        f"gapdoctor diagnose {shlex.quote(str(checkpoint))}{flags}"
    )
