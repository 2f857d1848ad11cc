"""NumPy archives."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from gapdoctor.errors import DataError
from gapdoctor.loading.data._arrays import pick, split_of
from gapdoctor.loading.data._base import Known, Source, SplitData

_UNREADABLE = (OSError, ValueError, EOFError, KeyError, MemoryError, RuntimeError,
               zipfile.BadZipFile, zlib.error)  # fmt: skip


class Npz(Source):
    """A NumPy archive with an array of inputs and one of labels, one entry a row.

    The inputs are called `x`, `X`, `images`, `data` or `inputs`, the labels `y`, `Y`, `labels` or
    `targets`, or as `[data] input` and `label` say. A raw sample is one row of the array,
    untouched. Labels that are names become indices of the sorted train names. Pickled objects are
    refused.
    """

    name: ClassVar[str] = "npz"
    form: ClassVar[str] = "a .npz file"

    def accepts(self, path: Path) -> bool:
        """Whether it is a `.npz` file."""
        return path.suffix.lower() == ".npz" and path.is_file()

    def read(self, path: Path, who: str, known: Known) -> SplitData:
        """Read a split."""
        arrays = read_npz(path, who, lambda names: pick(names, who, known))
        return split_of(arrays, who, known)


def read_npz(
    path: Path, who: str, choose: Callable[[Collection[str]], Iterable[str]] = tuple
) -> dict[str, Any]:
    """Return the arrays of an archive by name, in the order chosen.

    Parameters
    ----------
    choose : callable
        Gets the names found, gives those to read; all of them by default.

    Raises
    ------
    DataError
        When it is damaged, no archive, or holds pickled objects.
    """
    try:
        with path.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise ValueError("it is one array without a name")
            return {name: archive[name] for name in choose(archive.files)}
    except _UNREADABLE as error:
        raise DataError(
            f"{who}: cannot be read: {error}", "write it with numpy.savez(file, x=…, y=…)"
        ) from error
