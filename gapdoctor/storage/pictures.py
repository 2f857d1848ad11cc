"""Pictures of samples: files among the charts of a run, named by the table of samples."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from gapdoctor.domain.diagnosis import Diagnosis

_NAME = re.compile(r"sample-[0-9]{2}\.png")
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LARGEST = 500_000
"""Bytes; what `diagnose` writes is a fiftieth of it."""


def with_pictures(diagnosis: Diagnosis, folder: Path) -> Diagnosis:
    """Return the record with the pictures that lie in `folder/charts`.

    Parameters
    ----------
    diagnosis : Diagnosis
        As `from_json` gives it.
    folder : Path
        Where its `diagnosis.json` lies. Only files that the table of samples names, and that are
        PNG, are read; without them the report shows the table alone.
    """
    table = diagnosis.tables.get("samples")
    names = [row.get("picture") for row in table.records()] if table is not None else []
    known = [name for name in names if isinstance(name, str) and _NAME.fullmatch(name)]
    found = {name: _png(folder / "charts" / name) for name in known}
    return replace(diagnosis, pictures={name: png for name, png in found.items() if png})


def _png(path: Path) -> bytes:
    """Return the content of a PNG of a sane size; nothing where it is none."""
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return b""
        content = path.read_bytes()
    except OSError:  # the folder was handed on without it, or it may not be read
        return b""
    return content if content.startswith(_SIGNATURE) else b""
