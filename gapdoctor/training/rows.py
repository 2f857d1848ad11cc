"""Train rows in any order, kept in memory once read, where they fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gapdoctor.observe.inputs import prepare
from gapdoctor.observe.pipelines import Prepared

Indices = NDArray[np.int64]
KEPT_BYTES = 1024**3
"""Inputs that are kept in memory, at most; more is read again in each epoch."""
BLOCK = 256
"""Rows that are read at once where all are."""


@dataclass(frozen=True)
class Batch:
    """A few train rows."""

    index: Indices
    """(n,) row numbers in the data set."""
    inputs: torch.Tensor
    """(n, …) through the train pipeline."""
    labels: torch.Tensor
    """(n,) class indices."""
    teacher_inputs: torch.Tensor | None = None
    """(n, …) where the teacher has a pipeline of its own."""


class TrainingRows:
    """The train rows of a case.

    Parameters
    ----------
    count : int
        Rows there are.
    read : callable
        (n,) row numbers -> their batch, on the CPU.
    device : torch.device, optional
        Where rows are kept once read; the training's own saves a copy a step.
    keep : int
        Bytes that may be kept.
    """

    def __init__(
        self,
        count: int,
        read: Callable[[Indices], Batch],
        *,
        device: torch.device | None = None,
        keep: int = KEPT_BYTES,
    ) -> None:
        self.count = count
        self._read = read
        self._device = device or torch.device("cpu")
        self._keep = keep
        self._store: list[torch.Tensor | None] = []
        """Inputs, labels and the teacher's inputs, (count, …) each; empty before the first read."""
        self._there = np.zeros(count, dtype=bool)

    def batch(self, index: Indices) -> Batch:
        """Return the rows at `index` (n,); what was read before is not read again."""
        new = index[~self._there[index]]
        if len(new):
            fresh = self._read(new)
            if not self._store and not self._open(fresh):
                return fresh  # nothing is ever kept: all of them were new
            self._fill(fresh)
        return self._kept(index)

    def whole(self) -> Batch | None:
        """Return all rows in their order, or None where they are too many to be kept.

        Nobody may change them.
        """
        for start in range(0, self.count, BLOCK):
            self.batch(np.arange(start, min(start + BLOCK, self.count)))
            if not self._store:
                return None
        inputs, labels, theirs = self._store
        assert inputs is not None
        assert labels is not None
        return Batch(np.arange(self.count), inputs, labels, theirs)

    def _open(self, sample: Batch) -> bool:
        """Make room for all rows, where it suffices."""
        parts = (sample.inputs, sample.labels, sample.teacher_inputs)
        size = sum(p[:1].nelement() * p.element_size() for p in parts if p is not None)
        if size * self.count > self._keep:
            return False
        self._store = [
            None if p is None else p.new_empty((self.count, *p.shape[1:]), device=self._device)
            for p in parts
        ]
        return True

    def _fill(self, fresh: Batch) -> None:
        at = torch.from_numpy(fresh.index).to(self._device)
        parts = (fresh.inputs, fresh.labels, fresh.teacher_inputs)
        for store, part in zip(self._store, parts, strict=True):
            if store is not None and part is not None:
                store[at] = part.to(self._device)
        self._there[fresh.index] = True

    def _kept(self, index: Indices) -> Batch:
        at = torch.from_numpy(index).to(self._device)
        inputs, labels, theirs = (None if s is None else s[at] for s in self._store)
        assert inputs is not None
        assert labels is not None
        return Batch(index, inputs, labels, theirs)


def rows_of_tensors(
    inputs: torch.Tensor, labels: torch.Tensor, teacher_inputs: torch.Tensor | None = None
) -> TrainingRows:
    """Return train rows of model-ready tensors (n, …) and labels (n,) in memory."""

    def read(index: Indices) -> Batch:
        at = torch.from_numpy(index)
        theirs = None if teacher_inputs is None else teacher_inputs[at]
        return Batch(index, inputs[at], labels[at].long(), theirs)

    return TrainingRows(len(labels), read)


def rows_of_case(
    data: Prepared, *, device: torch.device | None = None, with_teacher: bool = True
) -> TrainingRows:
    """Return all train rows of prepared data, each through the train pipeline.

    `with_teacher`: through the teacher's too, where it has one of its own.

    Reading raises what the data set and the pipelines raise, as one line (`UserCodeError`,
    `DataError`).
    """
    train = data.train
    shared = not with_teacher or data.same["teacher"] == data.same["train"]

    def read(index: Indices) -> Batch:
        raw = train.read(index)
        inputs = prepare(raw.inputs, data.pipelines["train"], train.name)
        theirs = None
        if not shared:
            theirs = prepare(raw.inputs, data.pipelines["teacher"], train.name)
        return Batch(index, inputs, torch.from_numpy(raw.labels), theirs)

    return TrainingRows(train.count, read, device=device)
