"""Train rows left out of a training in turn, and what the student says of those that it lacks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gapdoctor.errors import DataError
from gapdoctor.observe.forward import Forward
from gapdoctor.observe.outputs import Outputs
from gapdoctor.stats.calibration import cross_entropy, fit_temperature
from gapdoctor.training.arrays import read_arrays, write_arrays
from gapdoctor.training.callbacks import HeldoutLoss, Labelled, Running
from gapdoctor.training.records import EpochRow
from gapdoctor.training.rows import BLOCK, Batch, Indices, TrainingRows


def fold_numbers(
    count: int,
    folds: int,
    seed: int,
    labels: Indices | None = None,
    groups: Sequence[Any] | None = None,
) -> Indices:
    """Return the number of the fold of each row, (count,) from 1.

    Each row is in one fold. Folds are about equally large and, where labels are known, hold the
    classes in proportion (Kohavi 1995); rows of one group are in one fold.

    Parameters
    ----------
    count : int
        Train rows.
    folds : int
        How many.
    seed : int
        Of the draw.
    labels : (count,) array, optional
        Class indices.
    groups : sequence of `count` ids, optional
        Rows that belong together (a patient's, a speaker's).

    Raises
    ------
    DataError
        When there is not one id a row, or rows or groups are too few to make so many folds.
    """
    whole = _codes(groups, count)
    units = count if whole is None else len(np.unique(whole))
    named = "rows" if whole is None else "groups of train rows"
    if units < folds:
        raise _too_few(units, named, folds)
    found = np.zeros(count, dtype=np.int64)
    for number, at in enumerate(_split(count, folds, seed, labels, whole), 1):
        found[at] = number
    if len(np.unique(found)) < folds:
        raise _too_few(units, named, folds)
    return found


def _split(
    count: int, folds: int, seed: int, labels: Indices | None, groups: Indices | None
) -> list[Indices]:
    """The rows of each fold."""
    # imported here: it costs half a second, which only folds need
    from sklearn.model_selection import KFold, StratifiedGroupKFold, StratifiedKFold

    # a class that is rarer than folds are many cannot be in all of them
    divided = labels is not None and np.bincount(labels).max() >= folds
    classes = labels if divided else np.zeros(count, dtype=np.int64)
    kind = KFold if groups is None and not divided else StratifiedKFold
    splitter = (kind if groups is None else StratifiedGroupKFold)(
        folds, shuffle=True, random_state=seed
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        return [at for _, at in splitter.split(np.zeros(count), classes, groups)]


def _codes(groups: Sequence[Any] | None, count: int) -> Indices | None:
    if groups is None:
        return None
    if len(groups) != count:
        raise DataError(
            f"data.groups: {len(groups)} ids for {count} train rows", "give one id a train row"
        )
    codes: dict[str, int] = {}
    return np.array([codes.setdefault(str(one), len(codes)) for one in groups], dtype=np.int64)


def _too_few(units: int, named: str, folds: int) -> DataError:
    return DataError(
        f"data.train: {units} {named} cannot make {folds} folds", "--skip cross_validate"
    )


@dataclass(frozen=True)
class Fold:
    """One of the folds of the train rows."""

    rows: TrainingRows
    """All train rows."""
    inside: Indices
    """(m,) numbers of the rows that are left out, ascending."""

    @cached_property
    def outside(self) -> Indices:
        """(n − m,) numbers of the others, on which a student is trained."""
        return np.setdiff1d(np.arange(self.rows.count), self.inside)

    def without(self, rows: TrainingRows) -> TrainingRows:
        """Return all train rows but those of this fold; they keep their numbers.

        So a teacher that is asked about a row for one fold need not be asked for another.
        """
        outside = self.outside

        def read(index: Indices) -> Batch:
            return rows.batch(outside[index])

        return TrainingRows(len(outside), read, keep=0)  # the whole keeps them already

    def watched(self) -> Iterator[Labelled]:
        """Yield the rows that are left out, through the train pipeline, not augmented."""
        for start in range(0, len(self.inside), BLOCK):
            batch = self.rows.batch(self.inside[start : start + BLOCK])
            yield batch.inputs, batch.labels


@dataclass(frozen=True)
class FoldOutputs:
    """What a student says of the train rows that it was trained without."""

    logits: NDArray[np.float32]
    """(m, C) at the end of its training."""
    labels: NDArray[np.int64]
    """(m,)"""
    positions: NDArray[np.int64]
    """(m,) row numbers in the train set."""
    losses: NDArray[np.float64]
    """(epochs,) mean cross-entropy after each epoch, each at its own temperature; nats."""

    def loss(self) -> float:
        """Return the mean cross-entropy in nats, at the temperature fitted to these rows."""
        return loss_at_own_temperature(self.logits, self.labels)

    def write(self, path: Path) -> None:
        """Write it as an `.npz`, whole or not at all."""
        write_arrays(self, path)


def read_fold(path: Path) -> FoldOutputs:
    """Return what `FoldOutputs.write` wrote.

    Raises
    ------
    IncompleteRun
        When the file is missing or damaged.
    """
    return read_arrays(FoldOutputs, path)


class FoldLoss(HeldoutLoss):
    """Scores the student after each epoch on the rows of a fold, as it is and at its temperature.

    A loss that rises because the logits grow is mended by a temperature, without stopping any
    earlier; so `losses` are those by which an epoch is chosen. (Measured on small digits with a
    fifth of the labels wrong, by SGD and by Adam: broken off at the minimum of the plain loss a
    student loses 0.49 and 0.41 nats, at that of these 0.32 and 0.25, at its end 0.30 and 0.25.)
    """

    def __init__(self, fold: Fold) -> None:
        super().__init__(fold.watched)
        self.fold = fold
        self.losses: list[float] = []

    def epoch_ended(self, run: Running, row: EpochRow) -> EpochRow:
        """Add loss and accuracy to the row, and the loss at its own temperature to `losses`."""
        run.student.eval()
        with torch.no_grad():
            said = [(self._logits(run.student, rows), labels) for rows, labels in self._read()]
        run.student.train()
        logits, labels = (torch.cat([part.cpu() for part in parts]).numpy()
                          for parts in zip(*said, strict=True))  # fmt: skip
        found = Outputs.of(logits, labels)
        self.losses.append(loss_at_own_temperature(logits, labels))
        return replace(
            row, heldout_loss=float(found.loss.mean()), heldout_accuracy=float(found.correct.mean())
        )

    def outputs(self, student: nn.Module, device: torch.device, batch_size: int) -> FoldOutputs:
        """Return what the trained student says of these rows; it is left as it was."""
        inputs = (rows.cpu() for rows, _ in self._read())
        logits = Forward(student, "student", device, batch_size).run(inputs).logits
        labels = torch.cat([labels.cpu() for _, labels in self._read()]).numpy()
        return FoldOutputs(logits, labels, self.fold.inside, np.asarray(self.losses))

    def state(self) -> dict[str, Any]:
        """Return the losses so far."""
        return {"losses": list(self.losses)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.losses = list(state["losses"])


def loss_at_own_temperature(logits: NDArray[Any], labels: Indices) -> float:
    """Return the mean cross-entropy in nats at the temperature fitted to these very rows.

    Parameters
    ----------
    logits : array (n, C)
        A row with NaN or infinity counts as a uniform guess.
    labels : array (n,)
        Class indices.
    """
    scores = Outputs.of(logits, labels).logits
    return float(cross_entropy(scores / fit_temperature(scores, labels), labels).mean())
