"""Raw rows with their labels, and what every generator does with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Drawn:
    """Raw samples (N, …), as a user's files hold them, and class indices (N,)."""

    raw: NDArray[Any]
    labels: Indices

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Indices) -> Drawn:
        """Return the rows at `index`."""
        return Drawn(self.raw[index], self.labels[index])

    def first(self, rows: int) -> Drawn:
        """Return the first rows."""
        return Drawn(self.raw[:rows], self.labels[:rows])


def joined(parts: Sequence[Drawn]) -> Drawn:
    """Return the rows of all parts."""
    if len(parts) == 1:
        return parts[0]
    raw = np.concatenate([part.raw for part in parts])
    return Drawn(raw, np.concatenate([part.labels for part in parts]))


def as_bytes(pixels: NDArray[np.float64]) -> Bytes:
    """Return pixels from 0 to 1 as bytes, what lies outside clipped."""
    return np.clip(np.rint(pixels * 255), 0, 255).astype(np.uint8)


def labels_of(rows: int, classes: int, priors: tuple[float, ...] | None, seed: Any) -> Indices:
    """Return class indices (rows,) drawn with these priors; None: all alike."""
    rng = np.random.default_rng(seed)
    weights = np.full(classes, 1.0) if priors is None else np.asarray(priors)
    return rng.choice(classes, size=rows, p=weights / weights.sum()).astype(np.int64)


def with_priors(
    drawn: Drawn, rows: int, priors: tuple[float, ...] | None, rng: np.random.Generator
) -> Drawn:
    """Return rows of a finite set, thinned out so that the classes stand in these proportions."""
    if priors is None:
        return drawn.first(rows)
    counts = np.bincount(drawn.labels, minlength=len(priors))
    weights = np.asarray(priors) / np.max(np.asarray(priors) / counts)
    keep = rng.random(len(drawn)) < (weights / counts)[drawn.labels]
    return drawn.take(np.flatnonzero(keep)[:rows].astype(np.int64))
