"""The options that several commands share: each is described here once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gapdoctor.domain.durations import seconds_in
from gapdoctor.errors import GapDoctorError

_PAIR = "Pair and data (a flag beats the file)"
_MEASURE = "Measuring"
_OUTPUT = "Output"
_GATE = "Gate"


class Device(StrEnum):
    """Where the models run."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


class FailOn(StrEnum):
    """From which severity of a cause on the exit code is 1."""

    NEVER = "never"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Format(StrEnum):
    """The formats of a report."""

    HTML = "html"
    MD = "md"
    JSON = "json"
    JUNIT = "junit"


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "-c",
        "--config",
        metavar="FILE",
        rich_help_panel=_PAIR,
        help="The gapdoctor.toml; else the nearest one to the checkpoint.",
    ),
]
Student = Annotated[
    str | None,
    typer.Option(
        "--student",
        metavar="WHERE:WHAT",
        rich_help_panel=_PAIR,
        help="The student's class or factory, such as run.py:student.",
    ),
]
Teacher = Annotated[
    str | None,
    typer.Option(
        "--teacher",
        metavar="WHERE:WHAT",
        rich_help_panel=_PAIR,
        help="The teacher's class or factory.",
    ),
]
TeacherCheckpoint = Annotated[
    Path | None,
    typer.Option(
        "--teacher-checkpoint",
        metavar="FILE",
        rich_help_panel=_PAIR,
        help="The teacher's weights.",
    ),
]
Train = Annotated[
    str | None,
    typer.Option(
        "--train",
        metavar="WHERE:WHAT",
        rich_help_panel=_PAIR,
        help="The data that the student was trained on.",
    ),
]
Heldout = Annotated[
    str | None,
    typer.Option(
        "--heldout",
        metavar="WHERE:WHAT",
        rich_help_panel=_PAIR,
        help="The data that it was not trained on.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        rich_help_panel=_PAIR,
        help="Any key of the config, a TOML value: student.args.width=16. Repeatable.",
    ),
]
UnsafeLoad = Annotated[
    bool,
    typer.Option(
        "--unsafe-load",
        rich_help_panel=_PAIR,
        help="Unpickle the checkpoint even where that can run code from it.",
    ),
]
DeviceName = Annotated[
    Device,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda|mps",
        rich_help_panel=_MEASURE,
        help="Where the models run.",
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        metavar="N",
        min=0,
        rich_help_panel=_MEASURE,
        help="Which rows are sampled and resampled.",
    ),
]
MaxSamples = Annotated[
    int,
    typer.Option(
        "--max-samples",
        metavar="N",
        min=1,
        rich_help_panel=_MEASURE,
        help="The most rows read of a split.",
    ),
]
BatchSize = Annotated[
    int,
    typer.Option(
        "--batch-size",
        metavar="N",
        min=1,
        rich_help_panel=_MEASURE,
        help="Rows a forward pass.",
    ),
]
Budget = Annotated[
    str | None,
    typer.Option(
        "--budget",
        metavar="TIME",
        rich_help_panel=_MEASURE,
        help="Start no probe after this long: 90s, 10m, 1h30m.",
    ),
]
FixBudget = Annotated[
    str | None,
    typer.Option(
        "--budget",
        metavar="TIME",
        rich_help_panel=_MEASURE,
        help="What the trainings may take, and how many are planned: 90s, 10m, 1h30m.",
    ),
]
TrainProbes = Annotated[
    bool,
    typer.Option(
        "--train-probes",
        rich_help_panel=_MEASURE,
        help="Train copies of the student for a few steps, for causes that only this can settle.",
    ),
]
OutFolder = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--out",
        metavar="DIR",
        rich_help_panel=_OUTPUT,
        help="Where to write; else <checkpoint stem>.gapdoctor beside the checkpoint.",
    ),
]
Formats = Annotated[
    list[Format] | None,
    typer.Option(
        "--format",
        metavar="html|md|json|junit",
        rich_help_panel=_OUTPUT,
        help="A report to write, repeatable; else html, md and json.",
    ),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json", rich_help_panel=_OUTPUT, help="Print the JSON on stdout, and nothing else there."
    ),
]
IncludeSamples = Annotated[
    bool,
    typer.Option(
        "--include-samples",
        rich_help_panel=_OUTPUT,
        help="Put pictures of misjudged samples into the report.",
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "-q", "--quiet", rich_help_panel=_OUTPUT, help="Print only the path of the report."
    ),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "-v", "--verbose", rich_help_panel=_OUTPUT, help="Tell each stage on stderr, a line each."
    ),
]
FailOnLevel = Annotated[
    FailOn,
    typer.Option(
        "--fail-on",
        metavar="never|low|medium|high",
        rich_help_panel=_GATE,
        help="Exit 1 at a cause of this severity or above.",
    ),
]
MaxGap = Annotated[
    float | None,
    typer.Option(
        "--max-gap",
        metavar="NATS",
        rich_help_panel=_GATE,
        help="Exit 1 where the lower end of the excess is above this.",
    ),
]


def parse_budget(text: str | None) -> float | None:
    """Return the seconds of `90s`, `10m` or `1h30m`; None where no budget was given.

    Raises
    ------
    GapDoctorError
        When `text` is not such a time, or is no time at all.
    """
    if text is None:
        return None
    seconds = seconds_in(text)
    if not seconds > 0:
        raise GapDoctorError(f"--budget {text}: not a time", "--budget 90s, 10m or 1h30m")
    return seconds
