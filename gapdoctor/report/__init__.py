"""A diagnosis, a fix run or a comparison as html, md, …, as PNG charts, and for a terminal."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

from gapdoctor.errors import GapDoctorError

if TYPE_CHECKING:
    from gapdoctor.domain.diagnosis import Diagnosis
    from gapdoctor.domain.trials import Outcome, Plan
    from gapdoctor.report.comparison import Comparison
    from gapdoctor.report.formats._base import Format

_FOLDER = "gapdoctor.report.formats"


def format_names() -> tuple[str, ...]:
    """Return the names of the formats: one a file in `gapdoctor/report/formats`."""
    from gapdoctor.discovery import plugin_names

    return tuple(plugin_names(_FOLDER))


def extension(format: str) -> str:
    """Return the extension of a format's file, without a dot: `junit` is written as `xml`."""
    return _find(format).extension


def file_name(format: str) -> str:
    """Return the name of a format's file: `report.html`, `report.xml` for `junit`."""
    return f"report.{extension(format)}"


def render(diagnosis: Diagnosis, format: str) -> str:
    """Return the whole report in one format.

    Parameters
    ----------
    diagnosis : Diagnosis
        The record; nothing is measured again.
    format : str
        One of `format_names()`: `html`, `md`, `json`, `junit`.

    Raises
    ------
    GapDoctorError
        When there is no such format.
    """
    return _find(format).render(diagnosis)


def render_fix(
    diagnosis: Diagnosis, outcome: Outcome, format: str, after: Diagnosis | None = None
) -> str:
    """Return the whole report of a fix run: what it found, then the diagnosis it rests on.

    Parameters
    ----------
    diagnosis : Diagnosis
        The one that the plan was made from.
    outcome : Outcome
        What the trials found.
    format : str
        `html` or `md`; for programs there is `fix.json`.
    after : Diagnosis, optional
        Of the student that was written: the two are laid side by side.

    Raises
    ------
    GapDoctorError
        When there is no such format, or `after` is of other data.
    """
    from gapdoctor.report import fix_sections

    return fix_sections.render_fix(diagnosis, outcome, format, after)


def plan_page(diagnosis: Diagnosis, plan: Plan, *, width: int = 80, color: bool = False) -> str:
    """Return the readable page of a plan (see `gapdoctor.report.plan_sections`)."""
    from gapdoctor.report import plan_sections

    return plan_sections.plan_page(diagnosis, plan, width=width, color=color)


def compare(before: Diagnosis, after: Diagnosis, *, names: tuple[str, str]) -> Comparison:
    """Lay two diagnoses side by side (see `gapdoctor.report.comparison`)."""
    from gapdoctor.report import comparison

    return comparison.compare(before, after, names=names)


def render_comparison(found: Comparison, format: str) -> str:
    """Return a comparison as `text`, `html`, `md` or `json`."""
    from gapdoctor.report import comparison_sections

    return comparison_sections.render_comparison(found, format)


def charts(
    diagnosis: Diagnosis, outcome: Outcome | None = None, after: Diagnosis | None = None
) -> dict[str, bytes]:
    """Return the charts as PNG at 150 dpi, by file name, such as `waterfall.png`.

    With an outcome, those of the report of a fix run.
    """
    from gapdoctor.report.drawing import png
    from gapdoctor.report.fix_sections import fix_figures
    from gapdoctor.report.sections import figures

    every = figures(diagnosis) if outcome is None else fix_figures(diagnosis, outcome, after)
    return {f"{figure.key}.png": png(figure) for figure in every}


def schema(record: Literal["diagnosis", "fix"] = "diagnosis") -> str:
    """Return the JSON Schema of `diagnosis.json` or `fix.json`."""
    return files("gapdoctor.report").joinpath(f"{record}.schema.json").read_text("utf-8")


def _find(format: str) -> Format:
    from gapdoctor.discovery import find_plugins
    from gapdoctor.report.formats._base import Format

    if format not in format_names():
        near = get_close_matches(format, format_names(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(format_names())}"
        raise GapDoctorError(f"--format {format!r} is not known", hint)
    return next(f for f in find_plugins(_FOLDER, Format) if f.name == format)
