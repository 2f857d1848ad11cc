"""Records of arrays in a trial's folder: whole or not at all, and nothing in them is run."""

from __future__ import annotations

import io
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from gapdoctor.errors import IncompleteRun
from gapdoctor.files import write_bytes

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")


def write_arrays(record: DataclassInstance, path: Path) -> None:
    """Write a dataclass of arrays as an `.npz`; fields that are None are left out."""
    named = {f.name: getattr(record, f.name) for f in fields(record)}
    arrays: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    write_bytes(path, stream.getvalue())


def read_arrays(kind: type[Record], path: Path) -> Record:
    """Return what `write_arrays` wrote.

    Raises
    ------
    IncompleteRun
        When the file is missing or damaged.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            return kind(**{name: stored[name] for name in stored.files})
    except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise IncompleteRun(
            f"{path}: cannot be read: {error}", "delete its folder: the trial is then run again"
        ) from error
