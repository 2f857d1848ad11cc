"""What a model says of rows, and which rows those are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdoctor.stats.calibration import cross_entropy

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Outputs:
    """What one model says of the rows used of one split, in reading order."""

    logits: NDArray[np.float32]
    """(n, C); zeros on rows where the model gave NaN or infinity."""
    features: NDArray[np.float32] | None
    """(n, d) what the linear head was fed, or None; zeros on rows that hold NaN or infinity."""
    loss: Floats
    """(n,) cross-entropy in nats at T = 1."""
    correct: NDArray[np.bool_]
    """(n,)"""

    @classmethod
    def of(
        cls,
        logits: NDArray[np.float32],
        labels: NDArray[np.int64],
        features: NDArray[np.float32] | None = None,
    ) -> Outputs:
        """Return the outputs of rows with these logits (n, C) and labels (n,).

        A row with NaN or infinity is no answer: it counts as wrong, at the loss of a uniform
        guess.
        """
        lost = broken_rows(logits)
        if lost.any():  # argmax would give a broken row a plausible class
            logits = np.where(lost[:, None], np.float32(0), logits)
        if features is not None and (unfit := broken_rows(features)).any():
            features = np.where(unfit[:, None], np.float32(0), features)
        correct = (logits.argmax(axis=1) == labels) & ~lost
        return cls(logits, features, cross_entropy(logits, labels), correct)


@dataclass(frozen=True)
class SplitRows:
    """The rows used of one split, in reading order."""

    labels: NDArray[np.int64]
    """(n,)"""
    index: NDArray[np.int64]
    """(n,) row numbers in the data set (the test set's, where `from_test`)."""
    choosing: NDArray[np.bool_]
    """(n,) half A; all True on train rows."""
    from_test: NDArray[np.bool_]
    """(n,)"""
    groups: NDArray[np.object_] | None
    """(n,) group ids of held-out rows, where given."""

    @property
    def reporting(self) -> NDArray[np.bool_]:
        """Half B."""
        return ~self.choosing

    @property
    def in_gap(self) -> NDArray[np.bool_]:
        """Rows that gap and metrics are taken over: test's where given, else all."""
        return self.from_test if self.from_test.any() else np.ones(len(self.labels), dtype=bool)


def broken_rows(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which rows (n,) of logits or features (n, k) hold NaN or infinity."""
    return np.asarray(~np.isfinite(values).all(axis=1))


def joined(parts: Sequence[Outputs]) -> Outputs:
    """Return the rows of all parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    features = [p.features for p in parts if p.features is not None]
    return Outputs(
        np.concatenate([p.logits for p in parts]),
        np.concatenate(features) if len(features) == len(parts) else None,
        np.concatenate([p.loss for p in parts]),
        np.concatenate([p.correct for p in parts]),
    )
