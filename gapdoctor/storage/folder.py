"""The folder of a run: whether it may be used, and writing it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from gapdoctor.domain.diagnosis import SCHEMA
from gapdoctor.domain.trials import PLAN_SCHEMA
from gapdoctor.errors import OutputError
from gapdoctor.files import write_bytes

RECORD = "diagnosis.json"
"""Written last: where it stands, the run it tells of is whole."""

PLAN = "plan.json"
"""By it a folder is known as ours where the diagnosis is missing."""

REPORTS = ("report.html", "report.md", "report.xml")

_TRACES = re.compile(r"\.lock|gapdoctor\.log|\..+\.tmp")
"""What an interrupted run leaves beside its reports."""

_MARKS = {
    "report.html": b'<meta name="generator" content="gapdoctor',
    "report.md": b"# gapdoctor",
    "report.xml": b'<testsuite name="gapdoctor"',
}
_FAMILY = SCHEMA.rpartition("/")[0] + "/"
_PLANS = PLAN_SCHEMA.rpartition("/")[0] + "/"


def prepare_folder(out: Path, inputs: Iterable[Path]) -> None:
    """Make the folder `out`, or find it usable: absent, empty, or written by gapdoctor.

    Parameters
    ----------
    out : Path
        Where the run will write.
    inputs : iterable of Path
        What the run reads: none of it may lie in `out`.

    Raises
    ------
    OutputError
        When `out` is a file, holds something else, holds an input, or cannot be made.
    """
    for path in inputs:
        if path.resolve().is_relative_to(out.resolve()):
            raise OutputError(
                f"{out}: holds the input {path}, and inputs are never written to", _ELSEWHERE
            )
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file, not a folder", _ELSEWHERE)
    try:
        out.mkdir(parents=True, exist_ok=True)
        usable = _is_ours(out)
    except OSError as error:
        raise OutputError(f"{out}: {error.strerror or error}", _ELSEWHERE) from error
    if not usable:
        raise OutputError(f"{out}: not empty, and not written by gapdoctor", _ELSEWHERE)


def write_run(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a run; each appears whole or not at all, `diagnosis.json` last.

    Reports and charts of an earlier run that this one does not write are removed before that.

    Parameters
    ----------
    folder : Path
        A folder that `prepare_folder` found usable.
    files : mapping of str to bytes
        Content by name relative to `folder`, with slashes, such as `charts/waterfall.png`.

    Raises
    ------
    OutputError
        When the disk is full or the folder cannot be written.
    ValueError
        When a name leads out of the folder.
    """
    for name in files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{name!r} leads out of the folder")
    for name in sorted(files.keys() - {RECORD}, key=_order):
        write_bytes(folder / name, files[name])
    _remove_stale(folder, files.keys())
    if RECORD in files:
        write_bytes(folder / RECORD, files[RECORD])


_ELSEWHERE = "name another folder with --out"


def _order(name: str) -> tuple[int, str]:
    """Reports before charts: they tell the folder of an interrupted run as ours."""
    return (name.count("/"), name)


def _is_ours(folder: Path) -> bool:
    entries = {entry.name for entry in folder.iterdir() if not _TRACES.fullmatch(entry.name)}
    if not entries:
        return True
    if RECORD in entries:
        return _is_record(folder / RECORD, _FAMILY)
    if PLAN in entries:
        return _is_record(folder / PLAN, _PLANS)
    reports = entries & set(REPORTS)
    return (
        bool(reports)
        and entries <= {*REPORTS, "charts"}
        and all(_bears_mark(folder / name) for name in reports)
    )


def _is_record(path: Path, family: str) -> bool:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and str(content.get("schema")).startswith(family)


def _bears_mark(path: Path) -> bool:
    with path.open("rb") as stream:
        return _MARKS[path.name] in stream.read(2000)


def _remove_stale(folder: Path, written: Iterable[str]) -> None:
    kept = {folder / name for name in written}
    charts = folder / "charts"
    try:
        for path in (*(folder / name for name in REPORTS), *sorted(charts.glob("*.png"))):
            if path not in kept:
                path.unlink(missing_ok=True)
        if charts.is_dir() and not any(charts.iterdir()):
            charts.rmdir()
    except OSError as error:
        raise OutputError(
            f"{error.filename or folder}: cannot remove: {error.strerror or error}", _ELSEWHERE
        ) from error
