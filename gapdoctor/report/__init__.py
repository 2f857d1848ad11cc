"""A diagnosis as html, md, json or junit, as PNG charts, and as a terminal page."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.resources import files
from typing import TYPE_CHECKING

from gapdoctor.errors import GapDoctorError

if TYPE_CHECKING:
    from gapdoctor.domain.diagnosis import Diagnosis
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


def charts(diagnosis: Diagnosis) -> dict[str, bytes]:
    """Return the charts as PNG at 150 dpi, by file name, such as `waterfall.png`."""
    from gapdoctor.report.drawing import png
    from gapdoctor.report.sections import figures

    return {f"{figure.key}.png": png(figure) for figure in figures(diagnosis)}


def schema() -> str:
    """Return the JSON Schema of `diagnosis.json`."""
    return files("gapdoctor.report").joinpath("diagnosis.schema.json").read_text("utf-8")


def _find(format: str) -> Format:
    from gapdoctor.discovery import find_plugins
    from gapdoctor.report.formats._base import Format

    if format not in format_names():
        near = get_close_matches(format, format_names(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(format_names())}"
        raise GapDoctorError(f"--format {format!r} is not known", hint)
    return next(f for f in find_plugins(_FOLDER, Format) if f.name == format)
