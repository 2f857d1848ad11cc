"""Labels as class indices, and what a data set says of them without reading a sample."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from gapdoctor.errors import DataError

Indices = NDArray[np.int64]


def as_class_indices(labels: Any, what: str, rows: Indices | None = None) -> Indices:
    """Return `labels` as int64 class indices (n,).

    Parameters
    ----------
    labels : tensor, array or sequence of scalars
        Whole numbers, of whatever type.
    what : str
        For messages, such as `data.train`.
    rows : (n,) array, optional
        Row numbers, for messages.

    Raises
    ------
    DataError
        When a label is a string, a fraction, negative, or a vector; names the first such row.
    """
    array = _array(labels, what)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        shown = f"vectors of {array.shape[1]} numbers" if array.ndim == 2 else "no list of numbers"
        raise DataError(
            f"{what}: labels are {shown}, not class indices",
            "give whole numbers from 0 to classes − 1 (argmax of one-hot vectors)",
        )
    bad = _bad(array)
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        row = int(rows[at]) if rows is not None else at
        shown = repr(array[at].item() if isinstance(array[at], np.generic) else array[at])
        raise DataError(
            f"{what}: label {shown} of row {row} is no class index",
            "give whole numbers from 0 to classes − 1; leave out rows to ignore (−100)",
        )
    return array.astype(np.int64)


def _array(labels: Any, what: str) -> NDArray[Any]:
    mixed = False
    if isinstance(labels, Sequence) and not isinstance(labels, str):
        labels = [x.item() if isinstance(x, torch.Tensor) and x.ndim == 0 else x for x in labels]
        mixed = any(isinstance(x, str | bytes) for x in labels)
    try:
        if isinstance(labels, torch.Tensor):
            return np.asarray(labels.detach().cpu().numpy())
        return np.asarray(labels, dtype=object if mixed else None)  # numpy makes "1" of 1
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{what}: labels cannot be read: {error}", "give one number a row"
        ) from error


def _bad(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Which entries are no whole numbers from 0 on."""
    if array.dtype.kind not in "iufb":
        whole = [isinstance(x, Real) and float(x) >= 0 and float(x).is_integer() for x in array]
        return ~np.array(whole, dtype=bool)
    return np.asarray(~np.isfinite(array) | (array != np.floor(array)) | (array < 0))


def known_labels(dataset: Any, count: int) -> Indices | None:
    """Return the labels of a data set that knows them without reading samples, else None.

    Reads `targets` or `labels` (torchvision's data sets, class folders) or the second tensor of a
    `TensorDataset`, through `Subset` and `ConcatDataset`. Used to stratify only: the labels that
    count are those that the samples carry.
    """
    if isinstance(dataset, Subset):
        inner = _known_of(dataset.dataset)
        return None if inner is None else inner[np.asarray(dataset.indices, dtype=np.int64)]
    if isinstance(dataset, ConcatDataset):
        known = [k for d in dataset.datasets if (k := _known_of(d)) is not None]
        return np.concatenate(known) if len(known) == len(dataset.datasets) else None
    if getattr(dataset, "target_transform", None) is not None:
        return None
    candidates = [getattr(dataset, attribute, None) for attribute in ("targets", "labels")]
    if isinstance(dataset, TensorDataset) and len(dataset.tensors) > 1:
        candidates.append(dataset.tensors[1])
    for found in candidates:
        try:
            if found is not None and len(found) == count:
                return as_class_indices(found, "targets")
        except (DataError, TypeError):  # strings, vectors, or something without a length
            continue
    return None


def _known_of(dataset: Any) -> Indices | None:
    return known_labels(dataset, len(dataset)) if hasattr(dataset, "__len__") else None


def class_names(dataset: Any) -> tuple[str, ...] | None:
    """Return the class names that a data set carries (`classes`), else None."""
    if isinstance(dataset, Subset):
        return class_names(dataset.dataset)
    if isinstance(dataset, ConcatDataset):
        found = {class_names(d) for d in dataset.datasets}
        return found.pop() if len(found) == 1 else None
    names = getattr(dataset, "classes", None)
    if isinstance(names, list | tuple) and names and all(isinstance(n, str) for n in names):
        return tuple(names)
    return None
