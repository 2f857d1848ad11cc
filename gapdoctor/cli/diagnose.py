"""`gapdoctor diagnose`: measures the gap, ranks the causes, writes the report."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gapdoctor.cli import options
from gapdoctor.cli.console import (
    is_terminal,
    note,
    progress_for,
    say,
    stdout_for_results,
    wants_color,
)
from gapdoctor.cli.failures import Session
from gapdoctor.cli.gate import crossed_gap, crossed_severity

if TYPE_CHECKING:
    from gapdoctor.domain.diagnosis import Diagnosis
    from gapdoctor.loading.config import Config

_REPORTS = ("html", "md", "junit", "json")
"""Which of the files is *the* report, the first that was written."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Which pair is meant, as the command line names it."""

    checkpoint: Path | None = None
    config: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Dotted config keys, above the file."""
    unsafe_load: bool = False


@dataclass(frozen=True, slots=True)
class Measure:
    """How it is measured: the arguments of `gapdoctor.pipeline.diagnose`."""

    seed: int = 0
    max_samples: int = 10_000
    batch_size: int = 256
    device: str = "auto"
    budget: float | None = None
    """Seconds."""
    include_samples: bool = False
    train_probes: bool = False
    command: str = ""

    def given(self) -> dict[str, Any]:
        """Return the arguments; what is extra is spoken of only where it is asked for."""
        extras = ("include_samples", "train_probes")
        return {k: v for k, v in asdict(self).items() if k not in extras or v}


@dataclass(frozen=True, slots=True)
class Output:
    """What is written and shown."""

    folder: Path | None = None
    formats: tuple[str, ...] = ("html", "md", "json")
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False


def diagnose(
    ctx: typer.Context,
    checkpoint: Annotated[
        Path | None,
        typer.Argument(
            metavar="CHECKPOINT",
            help="The student's weights; else [student] checkpoint of the nearest gapdoctor.toml.",
        ),
    ] = None,
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
    budget: options.Budget = None,
    out: options.OutFolder = None,
    formats: options.Formats = None,
    as_json: options.AsJson = False,
    include_samples: options.IncludeSamples = False,
    train_probes: options.TrainProbes = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    fail_on: options.FailOnLevel = options.FailOn.NEVER,
    max_gap: options.MaxGap = None,
) -> None:
    """Measure a student's gap to its teacher and rank the causes, in nats.

    Changes no input, and trains nothing but with --train-probes. Prints the result and writes the
    report.
    """
    session = session_of(ctx)
    settings = settings_of(student, teacher, teacher_checkpoint, train, heldout, set_)
    seconds = options.parse_budget(budget)
    diagnosis = run_diagnosis(
        session,
        Pair(checkpoint, config, settings, unsafe_load),
        Measure(
            seed,
            max_samples,
            batch_size,
            str(device),
            seconds,
            include_samples,
            train_probes,
            session.command,
        ),
        Output(out, formats_of(formats), as_json, quiet, verbose),
    )
    crossed = [
        *crossed_severity(diagnosis.causes, fail_on),
        *crossed_gap(diagnosis.gap.excess, max_gap),
    ]
    for line in crossed:
        note(f"gapdoctor: {line}")
    if crossed:
        raise typer.Exit(1)


def session_of(ctx: typer.Context) -> Session:
    """Return the run that `ctx` belongs to."""
    return ctx.obj if isinstance(ctx.obj, Session) else Session(())


def run_diagnosis(session: Session, pair: Pair, measure: Measure, output: Output) -> Diagnosis:
    """Load the pair, diagnose it, write and show the result.

    Raises
    ------
    GapDoctorError
        For bad usage, config or input; before anything heavy is imported where possible.
    """
    config, checkpoint, inputs = resolve(pair)
    progress = progress_for(output.quiet, output.verbose)
    try:
        with stdout_for_results():
            progress.stage("loading", 0)
            from gapdoctor import pipeline
            from gapdoctor.loading.load import case_of

            folder = output.folder or pipeline.default_folder(checkpoint)
            with usable_folder(folder, inputs):
                case = case_of(config, unsafe_load=pair.unsafe_load)
                inputs_hash = pipeline.fingerprint(case, config)
                diagnosis = pipeline.diagnose(case, progress=progress, **measure.given())
                progress.stage("writing", 0)
                session.kept = f"{folder} may be incomplete; run the command again"
                written = pipeline.write_diagnosis(
                    diagnosis, folder, formats=output.formats, inputs=inputs, mark=inputs_hash
                )
                session.kept = f"all was written to {folder}"
    finally:
        progress.close()
    _show(diagnosis, written, output)
    return diagnosis


def settings_of(
    student: str | None,
    teacher: str | None,
    teacher_checkpoint: Path | None,
    train: str | None,
    heldout: str | None,
    pairs: Sequence[str] | None,
) -> dict[str, Any]:
    """Return the config keys that flags give; `--set` beats a flag of its own name."""
    from gapdoctor.loading.config import parse_setting

    named = {
        "student.model": student,
        "teacher.model": teacher,
        "teacher.checkpoint": teacher_checkpoint,
        "data.train": train,
        "data.heldout": heldout,
    }
    settings = {key: str(value) for key, value in named.items() if value is not None}
    return settings | dict(parse_setting(pair) for pair in pairs or ())


def formats_of(chosen: Sequence[options.Format] | None) -> tuple[str, ...]:
    """Return the formats to write."""
    return tuple(dict.fromkeys(str(f) for f in chosen)) if chosen else Output().formats


def resolve(pair: Pair) -> tuple[Config, Path, list[Path]]:
    """Return the config, the checkpoint as a person would name it, and all files that are read.

    The config is checked whole: what is wrong in it is told before torch is imported.
    """
    from gapdoctor.loading.config import config_files, resolve_config

    config = resolve_config(pair.config, pair.checkpoint, pair.settings)
    checkpoint = pair.checkpoint or _relative(config.student.checkpoint.path)
    inputs = [checkpoint, *config_files(config), *(r.path for r in config.references if r.is_path)]
    inputs += [config.path] if config.path is not None else []
    teacher = config.teacher.checkpoint
    inputs += [teacher.path] if teacher is not None else []
    return config, checkpoint, inputs


def _relative(path: Path) -> Path:
    """Return `path` from the working directory, where it lies below it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


@contextlib.contextmanager
def usable_folder(folder: Path, inputs: Sequence[Path]) -> Iterator[None]:
    """Refuse an output folder before the work, not after it; leave none behind a failure."""
    from gapdoctor.files import locked
    from gapdoctor.storage import prepare_folder

    existed = folder.exists()
    prepare_folder(folder, inputs)
    try:
        with locked(folder):
            yield
    except BaseException:
        if not existed:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _show(diagnosis: Diagnosis, written: Mapping[str, Path], output: Output) -> None:
    paths = [str(written[f]) for f in reversed(_REPORTS) if f in written]
    if output.as_json:
        from gapdoctor.storage import to_json

        say(to_json(diagnosis).rstrip("\n"))
        if not output.quiet:
            note("\n".join(paths))
        return
    if output.quiet:
        say(paths[-1])
        return
    from gapdoctor.report.terminal import page

    columns = shutil.get_terminal_size().columns if is_terminal("stdout") else 80
    say(page(diagnosis, width=min(80, columns), color=wants_color("stdout")).rstrip("\n"))
    say("\n" + "\n".join(paths))
