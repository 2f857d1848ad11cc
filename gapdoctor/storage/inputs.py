"""Whether a stored diagnosis still holds: a mark beside it tells of which inputs it is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.errors import GapDoctorError
from gapdoctor.files import write_text
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
        if told != {"inputs": inputs, "diagnosis": _hash(content)}:
            return None
        return from_json(content.decode("utf-8"), str(folder / RECORD))
    except (OSError, ValueError, GapDoctorError):
        return None


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
