"""What `fix` writes into the folder of a run, beside what `diagnose` wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from gapdoctor.domain.trials import Outcome, Plan
from gapdoctor.errors import GapDoctorError, OutputError
from gapdoctor.files import write_bytes, write_text
from gapdoctor.storage.folder import PLAN
from gapdoctor.storage.trials import (
    outcome_from_json,
    outcome_to_json,
    plan_from_json,
    plan_to_json,
)

OUTCOME = "fix.json"
"""Written last: where it stands, the run it tells of is whole."""
FIXED_STUDENT = "student.fixed.pth"
"""Whatever container it is in: that of the one it was read from."""
FIXED_CONFIG = "gapdoctor.fixed.toml"
CHANGES = "changes.diff"
FIXED_RECORD = "diagnosis.fixed.json"
"""The diagnosis of what was written."""


def write_plan(folder: Path, plan: Plan) -> None:
    """Write `plan.json`, whole or not at all.

    Raises
    ------
    OutputError
        When the disk is full or the folder cannot be written.
    """
    write_text(folder / PLAN, plan_to_json(plan))


def read_plan(folder: Path) -> Plan | None:
    """Return the plan of an earlier run; None where there is none.

    Raises
    ------
    GapDoctorError
        When it cannot be read, or is no plan of this version.
    """
    path = folder / PLAN
    text = _text(path)
    return None if text is None else plan_from_json(text, str(path))


def write_outcome(folder: Path, outcome: Outcome, files: Mapping[str, bytes]) -> None:
    """Write what was chosen, then `fix.json`; what an earlier run chose beside that is removed.

    Parameters
    ----------
    folder : Path
        The folder of the run.
    outcome : Outcome
        What `outcome.written` names is kept, whether it is among `files` or was written before.
    files : mapping of str to bytes
        Content by name, such as `changes.diff`.

    Raises
    ------
    OutputError
        When the disk is full or the folder cannot be written.
    ValueError
        When a name leads out of the folder.
    """
    for name in files:
        if PurePosixPath(name).name != name:
            raise ValueError(f"{name!r} leads out of the folder")
    for name in sorted(files):
        write_bytes(folder / name, files[name])
    written = outcome.written
    _remove_stale(folder, {*files, written.checkpoint, written.config, written.diff})
    write_text(folder / OUTCOME, outcome_to_json(outcome))


def read_outcome(folder: Path) -> Outcome | None:
    """Return what an earlier run found; None where none was ended. Errors as `read_plan`."""
    path = folder / OUTCOME
    text = _text(path)
    return None if text is None else outcome_from_json(text, str(path))


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise GapDoctorError(
            f"{path}: cannot read: {error}", "remove it, or name another folder with --out"
        ) from error


def _remove_stale(folder: Path, kept: set[str | None]) -> None:
    for path in (folder / name for name in (FIXED_STUDENT, FIXED_CONFIG, CHANGES, FIXED_RECORD)):
        if path.name in kept:
            continue
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"{path}: cannot remove: {error.strerror or error}",
                "name another folder with --out",
            ) from error
