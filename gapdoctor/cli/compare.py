"""`gapdoctor compare`: two diagnoses side by side."""

from __future__ import annotations

import shutil
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gapdoctor.cli.console import is_terminal, say, wants_color
from gapdoctor.cli.report import check_folder, find_diagnosis, read_text
from gapdoctor.errors import GapDoctorError

if TYPE_CHECKING:
    from gapdoctor.report.comparison import Comparison


class CompareFormat(StrEnum):
    """The formats of a comparison."""

    TEXT = "text"
    HTML = "html"
    MD = "md"
    JSON = "json"


def compare(
    before: Annotated[
        Path, typer.Argument(metavar="BEFORE", help="A diagnosis: its folder or diagnosis.json.")
    ],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="A later one, of the same data.")],
    formats: Annotated[
        list[CompareFormat] | None,
        typer.Option(
            "--format",
            metavar="text|html|md|json",
            help="How to show it, else text; repeatable together with --out.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the JSON on stdout: --format json.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="DIR", help="Write comparison.<ext> there instead of to stdout."
        ),
    ] = None,
) -> None:
    """Lay two diagnoses side by side: what healed, what is new.

    Both must be of the same data and the same classes.
    """
    sources = [find_diagnosis(before), find_diagnosis(after)]
    chosen = _chosen(formats, as_json, out)

    from gapdoctor.files import write_text
    from gapdoctor.report.comparison import compare as laid_side_by_side
    from gapdoctor.report.comparison_sections import FORMATS, render_comparison
    from gapdoctor.storage import from_json

    if out is not None:
        check_folder(out, sources, {f"comparison.{ending}" for ending in FORMATS.values()})
    old, new = (from_json(read_text(source), str(source)) for source in sources)
    found = laid_side_by_side(old, new, names=(str(before), str(after)))
    for format_ in chosen:
        if out is None:
            say(_on_stdout(found, format_).rstrip("\n"))
        else:
            file = out / f"comparison.{FORMATS[format_]}"
            write_text(file, render_comparison(found, format_))
            say(str(file))


def _chosen(formats: list[CompareFormat] | None, as_json: bool, out: Path | None) -> list[str]:
    given = [str(format_) for format_ in formats or ()] + (["json"] if as_json else [])
    chosen = list(dict.fromkeys(given)) or ["text"]
    if out is None and len(chosen) > 1:
        raise GapDoctorError("stdout takes one format", "one --format, or a folder with --out")
    return chosen


def _on_stdout(found: Comparison, format_: str) -> str:
    from gapdoctor.report.comparison_sections import render_comparison

    columns = shutil.get_terminal_size().columns if is_terminal("stdout") else 80
    return render_comparison(found, format_, width=min(80, columns), color=wants_color("stdout"))
