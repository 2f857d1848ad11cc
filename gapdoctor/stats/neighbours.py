"""Near-duplicates between train and held-out rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.neighbors import NearestNeighbors

from gapdoctor.domain.findings import Floats, Interval
from gapdoctor.stats.intervals import wilson

CLOSE = 0.1
"""Share of the usual distance to a nearest neighbour below which two rows are near-duplicates."""


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
    index = NearestNeighbors(n_neighbors=1).fit(train)
    within, _ = index.kneighbors()
    across, nearest = index.kneighbors(heldout)
    limit = close * _usual_distance(within[:, 0])
    found = np.flatnonzero(across[:, 0] <= limit)
    return DuplicateReading(
        share=wilson(len(found), len(heldout)),
        usual=float((within[:, 0] <= limit).mean()),
        heldout_rows=found,
        train_rows=np.asarray(nearest[found, 0], dtype=np.int64),
    )


def _usual_distance(within: Floats) -> float:
    """Median distance between train neighbours, exact copies left out where they are the most."""
    middle = float(np.median(within))
    apart = within[within > 0]
    return middle if middle > 0 or len(apart) == 0 else float(np.median(apart))
