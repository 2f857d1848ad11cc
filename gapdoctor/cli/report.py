"""`gapdoctor report`: a stored diagnosis or fix run, rendered again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gapdoctor.cli.console import say
from gapdoctor.cli.options import Format
from gapdoctor.errors import GapDoctorError, OutputError

if TYPE_CHECKING:
    from gapdoctor.domain.diagnosis import Diagnosis
    from gapdoctor.domain.trials import Outcome

FIX = "fix.json"


def report(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER|JSON",
            help="What diagnose or fix wrote: its folder, its diagnosis.json or its fix.json.",
        ),
    ],
    formats: Annotated[
        list[Format] | None,
        typer.Option(
            "--format",
            metavar="html|md|json|junit",
            help="How to render it, repeatable together with --out; else md on stdout, html there.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="DIR", help="Write report.<ext> there instead of to stdout."
        ),
    ] = None,
) -> None:
    """Render a stored diagnosis, or a fix run, again; nothing is measured anew."""
    whole = run.is_dir() or run.name == FIX
    source = find_diagnosis(run.parent if run.is_file() and run.name == FIX else run)
    chosen = list(dict.fromkeys(formats or [Format.MD if out is None else Format.HTML]))
    if out is None and len(chosen) > 1:
        raise GapDoctorError("stdout takes one format", "one --format, or a folder with --out")
    from gapdoctor.files import write_text
    from gapdoctor.report import file_name, render
    from gapdoctor.storage import from_json, stored_fix, with_pictures

    if out is not None:
        check_folder(out, [source], {file_name(format_) for format_ in Format})
    stored = from_json(read_text(source), str(source))
    diagnosis = with_pictures(stored, source.parent)
    fixed = stored_fix(source.parent) if whole else None
    for format_ in chosen:
        if fixed is None:
            text = render(diagnosis, str(format_))
        else:
            text = _of_fix(diagnosis, *fixed, str(format_))
        if out is None:
            say(text.rstrip("\n"))
        else:
            write_text(out / file_name(format_), text)
            say(str(out / file_name(format_)))


def _of_fix(diagnosis: Diagnosis, outcome: Outcome, after: Diagnosis | None, format_: str) -> str:
    """Return what `fix --apply` writes in a format; a gate looks at what is left."""
    from gapdoctor.report import render, render_fix
    from gapdoctor.storage import outcome_to_json

    if format_ == "json":
        return outcome_to_json(outcome)
    if format_ == "junit":
        return render(after or diagnosis, format_)
    return render_fix(diagnosis, outcome, format_, after)


def find_diagnosis(run: Path) -> Path:
    """Return the diagnosis.json that `run` is or holds.

    Raises
    ------
    GapDoctorError
        When there is none.
    """
    if run.is_dir():
        if (run / "diagnosis.json").is_file():
            return run / "diagnosis.json"
        inner = sorted(run.glob("*.gapdoctor/diagnosis.json"))
        hint = f"gapdoctor report {inner[0].parent}" if inner else "gapdoctor diagnose writes one"
        raise GapDoctorError(f"{run}: holds no diagnosis.json", hint)
    if run.is_file():
        return run
    if run.exists():  # a pipe would hang
        raise GapDoctorError(f"{run}: not a regular file", "name a diagnosis.json or its folder")
    raise GapDoctorError(f"{run}: no such file or folder", "gapdoctor diagnose writes one")


def read_text(file: Path) -> str:
    """Return the text of `file`.

    Raises
    ------
    GapDoctorError
        When it cannot be read, or is no text.
    """
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise GapDoctorError(f"{file}: {reason}", "name a diagnosis.json or its folder") from error


def check_folder(out: Path, sources: Sequence[Path], ours: Collection[str]) -> None:
    """Refuse a folder with files that gapdoctor did not write, or one where an input would go.

    Parameters
    ----------
    out : Path
        Where to write.
    sources : sequence of Path
        What is read.
    ours : collection of str
        Names of the files that may be written there.

    Raises
    ------
    OutputError
        When it cannot be used.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file", "name a folder with --out")
    for source in sources:
        if source.resolve() in {(out / name).resolve() for name in ours}:
            raise OutputError(f"{source}: would be overwritten", "name another folder with --out")
    if not out.is_dir() or (out / "diagnosis.json").is_file():
        return
    strange = sorted(f.name for f in out.iterdir() if f.name not in ours)
    if strange:
        raise OutputError(
            f"{out}: holds {strange[0]}, which gapdoctor did not write",
            "name a new or an empty folder with --out",
        )
