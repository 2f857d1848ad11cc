"""The rows of both splits, read in order and by position; model-ready as a pipeline makes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from gapdoctor.observe.case import Split
from gapdoctor.observe.outputs import SplitRows
from gapdoctor.observe.pipelines import Prepared
from gapdoctor.observe.splits import open_inputs, orders_of, split_rows

Indices = NDArray[np.int64]


class Reading:
    """Reads the rows of a case.

    A split has one part, or two where `[data] test` stands behind held-out; `used` rows of each
    have been looked at.

    Parameters
    ----------
    data : Prepared
        Raw rows and pipelines.
    seed : int
        Of the order.
    batch_size : int
        Rows read at once.
    """

    def __init__(self, data: Prepared, seed: int, batch_size: int) -> None:
        self._orders = orders_of(data, seed)
        self._inputs = open_inputs(data, self._orders)
        self._batch_size = batch_size

    def longest(self) -> int:
        """Return how many rows the longest part has."""
        return max(len(order) for orders in self._orders.values() for order in orders)

    def count(self, rows: int) -> int:
        """Return how many rows are read for `rows` of each part."""
        return sum(min(rows, len(o)) for orders in self._orders.values() for o in orders)

    def spans(self, split: Split, start: int, stop: int) -> list[tuple[int, int, int]]:
        """Return (part, start, stop) of what each part of a split has of these rows."""
        cut = [
            (part, min(start, len(order)), min(stop, len(order)))
            for part, order in enumerate(self._orders[split])
        ]
        return [(part, first, last) for part, first, last in cut if last > first]

    def index(self, split: Split, part: int) -> Indices:
        """Return row numbers of a part's data set, in reading order."""
        return self._orders[split][part]

    def labels(self, split: Split, part: int) -> Indices:
        """Return the labels of those rows of a part that have been read."""
        return self._inputs[split].labels[part]

    def batches(
        self, split: Split, part: int, start: int, stop: int, pipeline: str
    ) -> Iterator[torch.Tensor]:
        """Yield rows `start` to `stop` of a part as `pipeline` makes them; nobody may change them.

        Their labels are known afterwards.
        """
        return self._inputs[split].batches(part, start, stop, pipeline, self._batch_size)

    def at(self, split: Split, positions: Indices, used: int, pipeline: str) -> torch.Tensor:
        """Return the rows (n, …) at positions of the rows used of a split."""
        found, before = [], 0
        for part, start, stop in self.spans(split, 0, used):
            length = stop - start
            inside = positions[(positions >= before) & (positions < before + length)] - before
            if len(inside):
                found.append(self._inputs[split].gather(part, inside, pipeline, self._batch_size))
            before += length
        return torch.cat(found)

    def rows(self, split: Split, used: int, groups: Sequence[object] | None) -> SplitRows:
        """Return labels, halves and groups of the rows used of a split."""
        orders = self._orders[split]
        labels = [self.labels(split, part)[:used] for part in range(len(orders))]
        return split_rows(split, labels, [order[:used] for order in orders], groups)

    def differs(self, split: Split, count: int, pipelines: Iterable[str]) -> bool:
        """Tell whether the first rows of a split are others when read again."""
        names = sorted(set(pipelines))
        return any(
            self._inputs[split].differs(part, stop, name)
            for part, _, stop in self.spans(split, 0, count)
            for name in names
        )

    def seconds(self) -> float:
        """Return what reading and preparing has taken so far."""
        return sum(inputs.seconds for inputs in self._inputs.values())
