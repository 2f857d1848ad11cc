"""Near-duplicates between train and held-out rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gapdoctor.domain.findings import Floats, Interval
from gapdoctor.stats.intervals import wilson

CLOSE = 0.1
"""Share of the usual distance to a nearest neighbour below which two rows are near-duplicates."""

BLOCK = 512
"""Rows whose distances to all others are held at once."""


@dataclass(frozen=True, slots=True)
class DuplicateReading:
    """How many held-out rows have a near-duplicate in train."""

    share: Interval
    """Of held-out rows, Wilson."""
    usual: float
    """The same share among train rows themselves: data with natural duplicates have some."""
    heldout_rows: NDArray[np.int64]
    """Held-out rows with a near-duplicate, ascending."""
    train_rows: NDArray[np.int64]
    """The nearest train row of each of them."""


def near_duplicates(
    train_features: ArrayLike, heldout_features: ArrayLike, close: float = CLOSE
) -> DuplicateReading:
    """Find held-out rows that lie much nearer to a train row than train rows do to each other.

    A near-duplicate's nearest train row is within `close` times the median distance of a train
    row to its nearest other, which neither the features' scale nor a rotation changes.

    Parameters
    ----------
    train_features, heldout_features : array (n, d)
        Features in one space, any unit.
    close : float
        The limit, as a share.

    Raises
    ------
    ValueError
        With fewer than two train rows or no held-out row.
    """
    train = np.asarray(train_features, dtype=np.float64)
    heldout = np.asarray(heldout_features, dtype=np.float64)
    if len(train) < 2 or len(heldout) == 0:
        raise ValueError("near-duplicates need two train rows and a held-out row at least")
    within, _ = _nearest(train, train, itself=False)
    across, nearest = _nearest(heldout, train)
    limit = close * _usual_distance(within)
    found = np.flatnonzero(across <= limit)
    return DuplicateReading(
        share=wilson(len(found), len(heldout)),
        usual=float((within <= limit).mean()),
        heldout_rows=found,
        train_rows=np.asarray(nearest[found], dtype=np.int64),
    )


def _nearest(rows: Floats, others: Floats, itself: bool = True) -> tuple[Floats, NDArray[np.int64]]:
    """Distance (n,) of each row to the nearest of the others (m, d), and which that is.

    Squared distances by ‖a‖² + ‖b‖² − 2ab, a matrix product a block; that of the nearest is then
    taken by itself, since the sum cancels where two rows are nearly equal. Without `itself`, row i
    is not its own neighbour.
    """
    middle = others.mean(axis=0)
    rows, others = rows - middle, others - middle
    lengths = (others**2).sum(axis=1)
    found = np.empty(len(rows), dtype=np.int64)
    for at in range(0, len(rows), BLOCK):
        block = rows[at : at + BLOCK]
        squared = lengths - 2 * block @ others.T  # without ‖a‖², which changes no order
        if not itself:
            own = np.arange(len(block))
            squared[own, at + own] = np.inf
        found[at : at + BLOCK] = squared.argmin(axis=1)
    return np.sqrt(((rows - others[found]) ** 2).sum(axis=1)), found


def _usual_distance(within: Floats) -> float:
    """Median distance between train neighbours, exact copies left out where they are the most."""
    middle = float(np.median(within))
    apart = within[within > 0]
    return middle if middle > 0 or len(apart) == 0 else float(np.median(apart))
