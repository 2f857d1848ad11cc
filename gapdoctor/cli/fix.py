"""`gapdoctor fix`: the plan; with `--apply`, the trainings, and the best student."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gapdoctor.cli import options
from gapdoctor.cli.console import note
from gapdoctor.cli.diagnose import Measure, Output, Pair, formats_of, session_of, settings_of
from gapdoctor.cli.fix_steps import Wanted, run_fix
from gapdoctor.cli.gate import crossed_gap, crossed_severity

_FIX = "Fixing"


class StartFrom(StrEnum):
    """From where students are trained."""

    SCRATCH = "scratch"
    CHECKPOINT = "checkpoint"


def fix(
    ctx: typer.Context,
    checkpoint: Annotated[
        Path | None,
        typer.Argument(
            metavar="CHECKPOINT",
            help="The student's weights; else [student] checkpoint of the nearest gapdoctor.toml.",
        ),
    ] = None,
    apply: Annotated[
        bool,
        typer.Option("--apply", rich_help_panel=_FIX, help="Train, verify and write the student."),
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="ID,…", rich_help_panel=_FIX, help="Try these fixes alone."),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option("--skip", metavar="ID,…", rich_help_panel=_FIX, help="Leave these fixes out."),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            "--seeds", metavar="N", min=1, rich_help_panel=_FIX,
            help="Trainings of the control and of each of the best fixes.",
        ),
    ] = 3,
    start: Annotated[
        StartFrom | None,
        typer.Option(
            "--start", metavar="scratch|checkpoint", rich_help_panel=_FIX,
            help="From where students are trained; else from scratch where that can be.",
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            "--engine", metavar="local|ray[:ADDRESS]", rich_help_panel=_FIX,
            help="Where trainings run; ray is not supported yet.",
        ),
    ] = "local",
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--fresh", rich_help_panel=_FIX,
            help="Go on with a run of the same plan, or delete its trainings first.",
        ),
    ] = True,
    require_improvement: Annotated[
        bool,
        typer.Option(
            "--require-improvement", rich_help_panel=_FIX, help="Exit 1 where no fix is chosen."
        ),
    ] = False,
    config: options.ConfigFile = None,
    student: options.Student = None,
    teacher: options.Teacher = None,
    teacher_checkpoint: options.TeacherCheckpoint = None,
    train: options.Train = None,
    heldout: options.Heldout = None,
    set_: options.Settings = None,
    unsafe_load: options.UnsafeLoad = False,
    device: options.DeviceName = options.Device.AUTO,
    seed: options.Seed = 0,
    max_samples: options.MaxSamples = 10_000,
    batch_size: options.BatchSize = 256,
    budget: options.FixBudget = None,
    out: options.OutFolder = None,
    formats: options.Formats = None,
    as_json: options.AsJson = False,
    include_samples: options.IncludeSamples = False,
    train_probes: options.TrainProbes = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    fail_on: options.FailOnLevel = options.FailOn.NEVER,
    max_gap: options.MaxGap = None,
) -> None:  # fmt: skip
    """Plan what closes the gap; with --apply, do it and write the best student.

    Without --apply nothing is trained. A stored diagnosis that still holds is used, else the pair
    is diagnosed first. Inputs are never written to.
    """
    session = session_of(ctx)
    settings = settings_of(student, teacher, teacher_checkpoint, train, heldout, set_)
    measure = Measure(
        seed, max_samples, batch_size, str(device), options.parse_budget(budget),
        include_samples, train_probes, session.command,
    )  # fmt: skip
    wanted = Wanted(
        apply, _ids(only), _ids(skip), seeds, None if start is None else str(start), engine,
        not resume,
    )  # fmt: skip
    done = run_fix(
        session, Pair(checkpoint, config, settings, unsafe_load), measure,
        Output(out, formats_of(formats), as_json, quiet, verbose), wanted,
    )  # fmt: skip
    left = done.after or done.diagnosis
    crossed = [*crossed_severity(left.causes, fail_on), *crossed_gap(left.gap.excess, max_gap)]
    if require_improvement and apply and (done.outcome is None or done.outcome.chosen is None):
        crossed.append("--require-improvement: no fix is verified to lower the held-out loss")
    for line in crossed:
        note(f"gapdoctor: {line}")
    if crossed:
        raise typer.Exit(1)


def _ids(given: Sequence[str] | None) -> tuple[str, ...]:
    parts = (part.strip() for text in given or () for part in text.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))
