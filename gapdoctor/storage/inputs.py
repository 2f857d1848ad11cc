"""Whether what is stored still holds: a mark beside it tells of what it is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.domain.trials import Outcome
from gapdoctor.errors import GapDoctorError
from gapdoctor.files import write_text
from gapdoctor.storage.fix_folder import FIXED_RECORD, OUTCOME, read_outcome
from gapdoctor.storage.folder import RECORD
from gapdoctor.storage.record import from_json

MARK = ".inputs.json"


def mark_inputs(folder: Path, inputs: str) -> None:
    """Write of which inputs (`gapdoctor.loading.fingerprint`) the folder's diagnosis is."""
    told = {"inputs": inputs, "diagnosis": _hash((folder / RECORD).read_bytes())}
    write_text(folder / MARK, json.dumps(told, indent=2) + "\n")


def stored_diagnosis(folder: Path, inputs: str) -> Diagnosis | None:
    """Return the diagnosis in a folder, where it is of these inputs; else None."""
    try:
        told = json.loads((folder / MARK).read_bytes())
        content = (folder / RECORD).read_bytes()
        if (told["inputs"], told["diagnosis"]) != (inputs, _hash(content)):
            return None
        return from_json(content.decode("utf-8"), str(folder / RECORD))
    except (OSError, ValueError, KeyError, TypeError, GapDoctorError):
        return None


def mark_fix(folder: Path) -> None:
    """Write that the folder's `fix.json` rests on its diagnosis; a new diagnosis takes it away."""
    told = json.loads((folder / MARK).read_bytes())
    told["fix"] = _hash((folder / OUTCOME).read_bytes())
    write_text(folder / MARK, json.dumps(told, indent=2) + "\n")


def stored_fix(folder: Path) -> tuple[Outcome, Diagnosis | None] | None:
    """Return the fix run that rests on the diagnosis in a folder, if there is one.

    Beside it stands the diagnosis of what was written, if something was. In a folder that was
    handed on without its mark, which is a hidden file, `fix.json` is taken as it lies.

    Raises
    ------
    GapDoctorError
        When a file cannot be read, or is none of this version.
    """
    outcome = read_outcome(folder)
    if outcome is None or not _rests_on_diagnosis(folder):
        return None
    path = folder / FIXED_RECORD
    if outcome.written.config is None or not path.is_file():
        return outcome, None
    return outcome, from_json(path.read_text(encoding="utf-8"), str(path))


def _rests_on_diagnosis(folder: Path) -> bool:
    try:
        told = json.loads((folder / MARK).read_bytes())
        return bool(told["fix"] == _hash((folder / OUTCOME).read_bytes()))
    except FileNotFoundError:
        return True
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
