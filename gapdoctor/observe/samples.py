"""One sample, or one collated batch, taken apart into input and label."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Number
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from gapdoctor.errors import DataError, GapDoctorError, UserCodeError
from gapdoctor.observe.labels import as_class_indices

Indices = NDArray[np.int64]
T = TypeVar("T")


@dataclass(frozen=True)
class Raw:
    """A few raw samples: `inputs` one by one or stacked, `labels` (n,)."""

    inputs: Sequence[Any] | torch.Tensor | NDArray[Any]
    labels: Indices


def is_scalar(value: Any) -> bool:
    """Tell whether a label is one value, right or wrong, rather than several."""
    return isinstance(value, str | Number | np.generic) or getattr(value, "ndim", None) == 0


@dataclass(frozen=True)
class Reader:
    """Takes samples apart, and says in one line what is wrong with one.

    Parameters
    ----------
    name : str
        `train`, `heldout` or `test`, for messages.
    keys : (str, str)
        Keys of the input and the label where a sample is a dict.
    """

    name: str
    keys: tuple[str, str] = ("input", "label")

    def guarded(self, what: str, call: Callable[[], T]) -> T:
        """Return `call()`; whatever a user's code raises becomes one line that names `what`."""
        try:
            return call()
        except GapDoctorError:
            raise
        except Exception as error:  # a user's data set may raise anything
            raise UserCodeError(
                f"data.{self.name}: {what}: {type(error).__name__}: {error}",
                "try it by hand in Python; leave the row out or mend the data set",
            ) from error

    def guarded_stream(self, stream: Iterable[T]) -> Iterator[T]:
        """Yield what `stream` yields, guarded likewise."""
        items = self.guarded("cannot be iterated", lambda: iter(stream))
        position = 0
        end = object()
        while True:
            at = position
            item = self.guarded(f"stopped at item {at} of the stream", lambda: next(items, end))
            if item is end:
                return
            yield item  # type: ignore[misc]
            position += 1

    def pair(self, sample: Any) -> tuple[Any, Any]:
        """Return the input and the label of a sample."""
        if isinstance(sample, Mapping):
            missing = [k for k in self.keys if k not in sample]
            if not missing:
                return sample[self.keys[0]], sample[self.keys[1]]
            raise DataError(
                f"data.{self.name}: a sample has no key {missing[0]!r}; "
                f"it has {sorted(map(str, sample))}",
                'name the keys: [data] input = "…" and label = "…"',
            )
        if isinstance(sample, tuple | list) and len(sample) >= 2:
            return sample[0], sample[1]
        raise DataError(
            f"data.{self.name}: a sample is {type(sample).__name__}, not (input, label)",
            "yield (input, label), or a dict with the keys input and label",
        )

    def labels(self, labels: Any, rows: Indices | None = None) -> Indices:
        """Return labels as class indices (n,); `rows` are their row numbers, for messages."""
        return as_class_indices(labels, f"data.{self.name}", rows)

    def one_by_one(self, samples: Sequence[Any], rows: Indices) -> Raw:
        """Return the raw samples of rows that were read one by one."""
        pairs = [self.pair(s) for s in samples]
        return Raw([x for x, _ in pairs], self.labels([label for _, label in pairs], rows))

    def collated(self, batch: Any, rows: Indices) -> Raw:
        """Return the raw samples in what a user's collate function made of `rows`."""
        inputs, labels = self.pair(batch)
        targets = self.labels(labels, rows)
        made = len(inputs) if hasattr(inputs, "__len__") else 0
        if made != len(rows) or len(targets) != len(rows):
            raise DataError(
                f"data.{self.name}: the collate function made {made} inputs and {len(targets)} "
                f"labels of {len(rows)} samples",
                "a collate function must keep one entry a sample",
            )
        return Raw(inputs, targets)

    def unbatched(self, batches: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """Yield the samples of batches; what is no batch but a sample is handed on."""
        for batch in self.guarded_stream(batches):
            inputs, labels = self.pair(batch)
            if is_scalar(labels):
                yield inputs, labels
                continue
            targets = self.labels(labels)
            if len(targets) != len(inputs):
                raise DataError(
                    f"data.{self.name}: a batch has {len(inputs)} inputs and {len(targets)} labels",
                    "a batch needs one label an input",
                )
            yield from zip(inputs, targets.tolist(), strict=True)
