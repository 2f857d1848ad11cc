"""Random access to the raw samples of one split, whatever form the data come in."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, default_collate

from gapdoctor.errors import DataError
from gapdoctor.observe.labels import class_names, known_labels
from gapdoctor.observe.loaders import keeping_generator, loader_rows
from gapdoctor.observe.samples import Indices, Raw, Reader, is_scalar

STREAM_ROWS = 10_000
"""Rows that a stream is read for, at most, unless told otherwise."""
SHUFFLE_BUFFER = 4
"""A stream is read this many times farther than needed, so that its first rows are not all."""


@dataclass(frozen=True)
class Rows:
    """The raw samples of a split.

    `read` takes row numbers and gives their samples. `labels` are known without reading any
    sample, or None. `length` is None where only a stream's first rows are at hand.
    """

    name: str
    count: int
    """Rows that can be read."""
    length: int | None
    """Rows that there are; None for a stream."""
    read: Callable[[Indices], Raw]
    labels: Indices | None = None
    classes: tuple[str, ...] | None = None
    dataset: Any = None
    """The data set behind, where there is one (its `.transform` may be the pipeline)."""


def as_rows(
    source: Any,
    name: str,
    *,
    keys: tuple[str, str] = ("input", "label"),
    stream_rows: int = STREAM_ROWS,
    seed: int = 0,
) -> Rows:
    """Return random access to `source`.

    Parameters
    ----------
    source : Dataset, DataLoader, (inputs, labels), iterable of samples, or callable giving one
        A sample is `(input, label)`, a dict with `keys`, or what a DataLoader's own collate makes
        of it. A dict of arrays under `keys` is read as (inputs, labels).
    name : str
        `train`, `heldout` or `test`, for messages.
    keys : (str, str)
        Keys of the input and the label where a sample is a dict.
    stream_rows : int
        Rows that are kept of a stream, drawn from a buffer `SHUFFLE_BUFFER` times as long.
    seed : int
        Of that draw.

    Raises
    ------
    DataError
        When the source is empty, of an unknown form, or its labels are no class indices.
    UserCodeError
        When the source itself raises; names the row.
    """
    if isinstance(source, Rows):
        return source
    reader = Reader(name, keys)
    if callable(source) and not _is_data(source):
        source = reader.guarded("raised when called", source)
    rows = _rows(source, reader, stream_rows, seed)
    if rows.count == 0:
        raise DataError(f"data.{name}: has no rows", "name a data set with at least one sample")
    return rows


def _is_data(source: Any) -> bool:
    return isinstance(source, Dataset) or (
        not isinstance(source, type)
        and (hasattr(source, "__getitem__") or isinstance(source, Iterable))
    )


def _rows(source: Any, reader: Reader, stream_rows: int, seed: int) -> Rows:
    if isinstance(source, DataLoader):
        return _of_loader(source, reader, stream_rows, seed)
    if isinstance(source, TensorDataset) and _is_plain(source):
        return _of_arrays(source.tensors[0], source.tensors[1], reader, source)
    if isinstance(source, Mapping) and all(k in source for k in reader.keys):
        return _of_arrays(source[reader.keys[0]], source[reader.keys[1]], reader, None)
    if isinstance(source, Mapping):
        raise DataError(
            f"data.{reader.name}: a dict with the keys {sorted(map(str, source))}, not "
            f"{reader.keys[0]!r} and {reader.keys[1]!r}",
            "give (inputs, labels), or name the keys",
        )
    if isinstance(source, str | Path):
        raise DataError(
            f"data.{reader.name}: {str(source)!r} is a path, not a data set",
            "open it, or name it in gapdoctor.toml and use gapdoctor.load_case",
        )
    if _is_pair(source):
        return _of_arrays(source[0], source[1], reader, None)
    if isinstance(source, IterableDataset):
        return _of_stream(source, reader, stream_rows, seed)
    if hasattr(source, "__getitem__") and hasattr(source, "__len__"):
        return _of_dataset(source, reader, None)
    if isinstance(source, Iterable):
        return _of_stream(source, reader, stream_rows, seed)
    lacks = " without __len__" if isinstance(source, Dataset) else ""
    raise DataError(
        f"data.{reader.name}: {type(source).__name__}{lacks} is not a data set",
        "give a Dataset, a DataLoader, (inputs, labels) or a callable giving one",
    )


def _is_plain(dataset: TensorDataset) -> bool:
    """Whether its two tensors are all there is to it: a subclass may do more to a row."""
    own = type(dataset).__getitem__ is not TensorDataset.__getitem__
    return len(dataset.tensors) == 2 and not own


def _is_pair(source: Any) -> bool:
    """(inputs, labels), not a data set of two samples."""
    if not (isinstance(source, tuple | list) and len(source) == 2):
        return False
    inputs, labels = source
    if any(isinstance(p, str | Mapping) or not hasattr(p, "__len__") for p in source):
        return False
    if hasattr(inputs, "shape"):
        return len(inputs.shape) > 0
    return len(inputs) == len(labels) and all(is_scalar(y) for y in labels)


def _of_arrays(inputs: Any, labels: Any, reader: Reader, dataset: Any) -> Rows:
    if hasattr(inputs, "iloc"):  # a pandas table: its rows are not found by `[…]`
        inputs = inputs.to_numpy()
    count = len(inputs) if hasattr(inputs, "__len__") else 0
    targets = reader.labels(labels)
    if count != len(targets):
        raise DataError(
            f"data.{reader.name}: {count} inputs but {len(targets)} labels",
            "both arrays need one entry a row",
        )

    def read(index: Indices) -> Raw:
        picked = reader.guarded("rows cannot be read", lambda: _picked(inputs, index))
        return Raw(picked, targets[index])

    return Rows(reader.name, count, count, read, targets, None, dataset)


def _picked(inputs: Any, index: Indices) -> Any:
    if isinstance(inputs, torch.Tensor):
        return inputs[torch.from_numpy(index)]
    if not hasattr(inputs, "shape"):
        return [inputs[int(i)] for i in index]
    order = np.argsort(index)  # files on disk (HDF5, memory maps) are read in their order
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return inputs[index[order]][back]


def _of_dataset(dataset: Any, reader: Reader, collate: Callable[[Any], Any] | None) -> Rows:
    def read(index: Indices) -> Raw:
        samples = [
            reader.guarded(f"row {i} cannot be read", lambda i=i: dataset[i])  # type: ignore[misc]
            for i in index.tolist()
        ]
        if collate is None:
            return reader.one_by_one(samples, index)
        batch = reader.guarded("the collate function raised", lambda: collate(samples))
        return reader.collated(batch, index)

    count = reader.guarded("its length cannot be told", lambda: len(dataset))
    known = known_labels(dataset, count)
    return Rows(reader.name, count, count, read, known, class_names(dataset), dataset)


def _of_loader(loader: DataLoader[Any], reader: Reader, stream_rows: int, seed: int) -> Rows:
    if isinstance(loader.dataset, IterableDataset) or loader.batch_sampler is None:
        with keeping_generator(loader):
            return _of_stream(reader.unbatched(loader), reader, stream_rows, seed)
    dataset = reader.guarded("its sampler raised", lambda: loader_rows(loader))
    if loader.collate_fn is not default_collate:
        return _of_dataset(dataset, reader, loader.collate_fn)
    return _rows(dataset, reader, stream_rows, seed)


def _of_stream(stream: Iterable[Any], reader: Reader, rows: int, seed: int) -> Rows:
    """Keep `rows` of the first `SHUFFLE_BUFFER · rows` samples (Vitter 1985, algorithm R)."""
    draw = random.Random(seed)
    kept: list[tuple[Any, Any, int]] = []
    for position, sample in enumerate(islice(reader.guarded_stream(stream), rows * SHUFFLE_BUFFER)):
        slot = position if position < rows else draw.randrange(position + 1)
        if slot >= rows:
            continue
        if slot == len(kept):
            kept.append((None, None, 0))
        kept[slot] = (*reader.pair(sample), position)
    origin = np.array([position for _, _, position in kept], dtype=np.int64)
    targets = reader.labels([label for _, label, _ in kept], origin)

    def read(index: Indices) -> Raw:
        return Raw([kept[int(i)][0] for i in index], targets[index])

    return Rows(reader.name, len(kept), None, read, targets)
