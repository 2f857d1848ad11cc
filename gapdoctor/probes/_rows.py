"""Which rows the corrections grid looks at, and what candidates are made from."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from gapdoctor.corrections._base import Context, Kind, kind_of
from gapdoctor.corrections._statistics import Statistics
from gapdoctor.observe.case import Split
from gapdoctor.observe.observations import Observations

Rows = NDArray[np.int64]

ROWS = 320
"""Rows of each split whose inputs are looked at."""
VALUES = 20_000_000
"""Numbers that these rows may hold; fewer rows of large samples."""
SHORT_VALUES = 48_000
"""Numbers that are looked at of rows of columns, where that is more rows: most columns are as they
were, and a few must stand out."""
MOST_ROWS = 2_000
"""Rows of columns, at most."""


def look_count(shape: tuple[int, ...]) -> int:
    """Return how many rows of samples of this shape are looked at."""
    size = max(1, int(np.prod(shape)))
    short = min(MOST_ROWS, SHORT_VALUES // size) if kind_of(shape) is Kind.COLUMNS else 0
    return min(max(ROWS, short), max(1, VALUES // size))


def finite_rows(seen: Observations, split: Split, positions: Rows) -> Rows:
    """Return the positions whose inputs are finite, through each pipeline that is compared."""
    keep = np.ones(len(positions), dtype=bool)
    for pipeline in ("train", "inference") if split is Split.HELDOUT else ("train",):
        inputs = seen.inputs(split, positions, pipeline)
        keep &= inputs.reshape(len(inputs), -1).isfinite().all(dim=1).numpy()
    return positions[keep]


def context_of(
    seen: Observations, train: tuple[torch.Tensor, Rows], heldout: tuple[torch.Tensor, Rows]
) -> Context:
    """Return what candidates are made from: inputs and labels of train and held-out rows."""
    classes = len(seen.classes)
    found = [
        Statistics.of(batch, torch.from_numpy(labels), classes)
        for batch, labels in (train, heldout)
    ]
    return Context(found[0], found[1], tuple(train[0].shape[1:]))
