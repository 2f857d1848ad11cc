"""Stored logits instead of a teacher model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdoctor.errors import DataError
from gapdoctor.files import sha256
from gapdoctor.loading.data.npz import read_npz
from gapdoctor.loading.splits import Splits, row_count
from gapdoctor.loading.where import FileName, did_you_mean
from gapdoctor.observe.case import TeacherLogits


def read_logits(file: FileName, splits: Splits) -> TeacherLogits:
    """Return the teacher's logits, (N, C) a split, rows as in the data.

    Raises
    ------
    DataError
        When an array is missing, of another length than its split, not finite, or of another
        number of classes.
    """
    who = f"{file.place}: {file.named}"
    arrays = read_npz(file.path, who)
    rows = {"train": splits.train, "heldout": splits.heldout, "test": splits.test}
    found: dict[str, NDArray[np.float64]] = {}
    for name, data in rows.items():
        if data is not None:
            found[name] = _logits(arrays, name, who, row_count(data))
    widths = {name: array.shape[1] for name, array in found.items()}
    if splits.classes is not None:
        widths["class names"] = len(splits.classes)
    if len(set(widths.values())) > 1:
        listed = ", ".join(f"{name} {width}" for name, width in widths.items())
        raise DataError(f"{who}: numbers of classes differ: {listed}", "store (rows, classes)")
    return TeacherLogits(
        train=found["train"],
        heldout=found["heldout"],
        test=found.get("test"),
        file=file.named,
        sha256=sha256(file.path),
    )


def _logits(arrays: dict[str, Any], name: str, who: str, rows: int | None) -> NDArray[np.float64]:
    if name not in arrays:
        listed = ", ".join(sorted(arrays)) or "none"
        raise DataError(
            f"{who}: no array {name!r}; arrays found: {listed}",
            did_you_mean(name, arrays, "store the arrays train and heldout (and test)"),
        )
    array = arrays[name]
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise DataError(
            f"{who}: {name!r} has shape {array.shape} and type {array.dtype}",
            "store floating-point logits of shape (rows, classes)",
        )
    if rows is not None and len(array) != rows:
        raise DataError(
            f"{who}: {name!r} has {len(array)} rows, data.{name} has {rows}",
            "store one row of logits a sample, in the order of the data set",
        )
    if not np.isfinite(array).all():
        bad = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
        raise DataError(f"{who}: {name!r} has NaN or infinity in row {bad}", "mend that row")
    return np.asarray(array, dtype=np.float64)
