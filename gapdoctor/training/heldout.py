"""All held-out rows as the student meets them when deployed: half A is watched, both are scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gapdoctor.errors import DataError
from gapdoctor.observe.case import Split
from gapdoctor.observe.classes import check_labels
from gapdoctor.observe.forward import Forward
from gapdoctor.observe.inputs import CACHE_BYTES, Indices, Inputs
from gapdoctor.observe.outputs import Outputs, SplitRows
from gapdoctor.observe.pipelines import Prepared
from gapdoctor.observe.splits import check_groups, parts_of, split_rows
from gapdoctor.stats.assignment import reorder
from gapdoctor.stats.calibration import cross_entropy, fit_temperature
from gapdoctor.training.arrays import read_arrays, write_arrays
from gapdoctor.training.callbacks import Labelled


@dataclass(frozen=True)
class HeldoutOutputs:
    """What a student says of all held-out rows, in the order of the data sets, test's behind."""

    logits: NDArray[np.float32]
    """(n, C) as the student gives them: no output temperature is applied."""
    labels: NDArray[np.int64]
    """(n,)"""
    positions: NDArray[np.int64]
    """(n,) row numbers in the data set (the test set's, where `from_test`)."""
    choosing: NDArray[np.bool_]
    """(n,) half A; the others are half B."""
    from_test: NDArray[np.bool_]
    """(n,)"""
    groups: NDArray[np.str_] | None = None
    """(n,) group ids, where given: they are resampled whole."""

    def choosing_loss(self) -> float:
        """Return the mean cross-entropy on half A in nats, at the temperature fitted there."""
        labels = self.labels[self.choosing]
        logits = Outputs.of(self.logits[self.choosing], labels).logits  # NaN: a uniform guess
        return float(cross_entropy(logits / fit_temperature(logits, labels), labels).mean())

    def write(self, path: Path) -> None:
        """Write it as an `.npz`, whole or not at all."""
        write_arrays(self, path)


def read_outputs(path: Path) -> HeldoutOutputs:
    """Return what `HeldoutOutputs.write` wrote.

    Raises
    ------
    IncompleteRun
        When the file is missing or damaged.
    """
    return read_arrays(HeldoutOutputs, path)


class Heldout:
    """Held-out rows through the student's deployed pipeline, kept in memory where they fit.

    Rows of half A are read before the others, so that watching them alone reads no others.

    Parameters
    ----------
    data : Prepared
        Raw rows and pipelines.
    groups : sequence or None
        One id a row of the held-out data set.
    batch_size : int
        Rows a forward pass.
    class_order : (C,) array, optional
        `order[class of the train labels] = class of the held-out labels`, where they differ.

    Raises
    ------
    DataError
        When there is not one group id a row, or no row falls into half A.
    """

    def __init__(
        self,
        data: Prepared,
        groups: Sequence[Any] | None,
        batch_size: int,
        class_order: NDArray[np.int64] | None = None,
    ) -> None:
        check_groups(groups, data.heldout.count)
        parts = parts_of(data, Split.HELDOUT)
        self._groups, self._batch_size, self._order = groups, batch_size, class_order
        self._index: list[Indices] = [np.arange(part.count, dtype=np.int64) for part in parts]
        in_a = self._rows([np.zeros_like(i) for i in self._index]).choosing[: parts[0].count]
        self._index[0] = np.concatenate([np.flatnonzero(in_a), np.flatnonzero(~in_a)])
        self._watched = int(in_a.sum())
        if not self._watched:
            raise DataError(
                f"data.heldout: none of {parts[0].count} rows falls into the half that chooses",
                "give more held-out rows, more groups, or [data] test",
            )
        pipeline = {"inference": data.pipelines["inference"]}
        self._inputs = Inputs(list(zip(parts, self._index, strict=True)), pipeline, [CACHE_BYTES])

    def watched(self) -> Iterator[Labelled]:
        """Yield the rows of half A, with the labels by which a student is trained."""
        at = 0
        for batch in self._batches(0, 0, self._watched):
            labels = self._inputs.labels[0][at : at + len(batch)]
            at += len(batch)
            if self._order is not None:
                labels = np.argsort(self._order)[labels]
            yield batch, torch.from_numpy(labels)

    def outputs(self, student: nn.Module, device: torch.device) -> HeldoutOutputs:
        """Return what a student says of all rows, in single precision; it is left as it was.

        Raises
        ------
        GapDoctorError
            When the student cannot take the rows, or has no class for a label.
        """
        halves = ((0, 0, self._watched), (0, self._watched, len(self._index[0])))
        test = [(1, 0, len(index)) for index in self._index[1:]]
        batches = chain.from_iterable(self._batches(*span) for span in (*halves, *test))
        found = Forward(student, "student", device, self._batch_size).run(batches).logits
        if self._order is not None:
            found = reorder(found, self._order).astype(np.float32)
        rows = self._rows(self._inputs.labels)
        check_labels(rows.labels, rows.index, found.shape[1], "student", "heldout")
        order = np.lexsort((rows.index, rows.from_test))
        groups = None if rows.groups is None else rows.groups[order].astype(np.str_)
        return HeldoutOutputs(
            found[order], rows.labels[order], rows.index[order], rows.choosing[order],
            rows.from_test[order], groups,
        )  # fmt: skip

    def _batches(self, part: int, start: int, stop: int) -> Iterator[torch.Tensor]:
        return self._inputs.batches(part, start, stop, "inference", self._batch_size)

    def _rows(self, labels: Sequence[Indices]) -> SplitRows:
        return split_rows(Split.HELDOUT, labels, self._index, self._groups)
