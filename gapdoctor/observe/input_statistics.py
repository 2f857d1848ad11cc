"""What model-ready inputs look like, a few numbers a row: no model is asked."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from gapdoctor.observe.case import Split
from gapdoctor.observe.observations import Observations

Floats = NDArray[np.float64]

ROWS_LOOKED_AT = 2_500
"""Rows of a split whose statistics are taken, at most, by all who ask for them."""
CHUNK = 256
"""Rows in memory at a time."""

GRID = 4
"""Cells a side of the thumbnail: coarse enough to be cheap, fine enough to see a rotation."""
COLUMNS = 256
"""Columns that are taken as they are; longer rows (sound, flattened images) are summed up."""
CELLS = 64
"""Stretches that a long row is averaged over."""
COMPARED = 96
"""Statistics that `distance` looks at, evenly chosen: each costs a sort."""
SAME = 1e-4
"""Standard deviations within which two values count as equal: rounding is no difference."""


def input_statistics(batch: torch.Tensor) -> Floats:
    """Return (n, k) numbers a row that a change of preprocessing moves.

    Images and maps: per channel mean, standard deviation, and the mean of a 4 × 4 grid of cells;
    over channels the mean absolute step along each axis and the mean absolute Laplacian (what blur
    and compression take away), smallest and largest value. Columns: the columns themselves, up to
    256; longer rows: the means of 64 stretches, standard deviation, mean step, smallest and largest
    value.

    Parameters
    ----------
    batch : tensor (n, C, H, W), (n, H, W), (n, d) or any (n, …)
        Model-ready inputs; whole numbers are taken as numbers.
    """
    rows = batch.cpu().float()
    if rows.ndim == 3:
        rows = rows[:, None]
    if rows.ndim != 4 or min(rows.shape[2:]) < GRID:
        return _of_columns(rows.reshape(len(rows), -1)).double().numpy()
    cells = functional.adaptive_avg_pool2d(rows, GRID).flatten(1)
    down, across = rows.diff(dim=2).abs(), rows.diff(dim=3).abs()
    bend = rows.diff(n=2, dim=2).abs().mean(dim=(1, 2, 3)) + rows.diff(n=2, dim=3).abs().mean(
        dim=(1, 2, 3)
    )
    parts = [
        rows.mean(dim=(2, 3)),
        _spread(rows.flatten(2)),
        cells,
        down.mean(dim=(1, 2, 3))[:, None],
        across.mean(dim=(1, 2, 3))[:, None],
        bend[:, None],
        rows.amin(dim=(1, 2, 3))[:, None],
        rows.amax(dim=(1, 2, 3))[:, None],
    ]
    return torch.cat(parts, dim=1).double().numpy()


def _spread(rows: torch.Tensor) -> torch.Tensor:
    """Standard deviation over the last axis; torch's own takes sixteen times as long."""
    away = rows - rows.mean(dim=-1, keepdim=True)
    length: torch.Tensor = torch.linalg.vector_norm(away, dim=-1)
    return length / math.sqrt(max(1, rows.shape[-1] - 1))


def _of_columns(rows: torch.Tensor) -> torch.Tensor:
    if rows.shape[1] <= COLUMNS:
        return rows
    parts = [
        functional.adaptive_avg_pool1d(rows[:, None], CELLS)[:, 0],
        _spread(rows)[:, None],
        rows.diff(dim=1).abs().mean(dim=1)[:, None],
        rows.amin(dim=1)[:, None],
        rows.amax(dim=1)[:, None],
    ]
    return torch.cat(parts, dim=1)


def mended_batches(
    seen: Observations, split: Split, positions: NDArray[np.int64]
) -> Iterator[torch.Tensor]:
    """Yield the mended inputs at positions of a split, a few rows at a time."""
    for at in range(0, len(positions), CHUNK):
        yield seen.mended_inputs(split, positions[at : at + CHUNK])


def looked_at(seen: Observations, split: Split) -> NDArray[np.int64]:
    """Return the positions of the first rows that the gap is taken over, at most 2,500."""
    return seen.some(split, seen.rows(split).in_gap, ROWS_LOOKED_AT)


def mended_statistics(
    seen: Observations, split: Split, positions: NDArray[np.int64] | None = None
) -> Floats:
    """Return (n, k) statistics of rows of a split, mended by what was proven.

    Parameters
    ----------
    seen : Observations
        The pair.
    split : Split
        Which.
    positions : array (n,), optional
        Ascending; left out, those of `looked_at`, whose statistics are taken once.
    """
    known = looked_at(seen, split)
    if positions is not None:
        at = np.searchsorted(known, positions).clip(max=max(0, len(known) - 1))
        if not np.array_equal(known[at], positions):
            return _statistics(seen, split, positions)
    name = f"statistics of {split} on {len(seen.stack.interventions)} interventions"
    found = seen.once(name, lambda: _statistics(seen, split, known))
    return found if positions is None else np.asarray(found[at])


def _statistics(seen: Observations, split: Split, positions: NDArray[np.int64]) -> Floats:
    return np.concatenate([input_statistics(b) for b in mended_batches(seen, split, positions)])


def distance(first: Floats, second: Floats) -> float:
    """Return how far two samples are apart, 0 to 1: Kolmogorov–Smirnov over the columns.

    The root of the mean square, so that a few columns that are far off are not lost among many.
    Values nearer than 1e-4 of a column's standard deviation are taken for equal: undoing a
    transform leaves rounding behind.

    Parameters
    ----------
    first, second : array (n, k), (m, k)
        From `input_statistics`.
    """
    step = -(-first.shape[1] // COMPARED)
    found = distances(first[:, ::step], second[:, ::step])
    return float(np.sqrt(np.square(found).mean()))


def distances(first: Floats, second: Floats) -> Floats:
    """Return the Kolmogorov–Smirnov distance of each column (k,), 0 to 1; see `distance`."""
    pooled = np.concatenate([first, second])
    order = np.argsort(pooled, axis=0, kind="stable")
    values = np.take_along_axis(pooled, order, axis=0)
    apart = np.cumsum(np.where(order < len(first), 1 / len(first), -1 / len(second)), axis=0)
    # A distribution function is read behind the last of equal values.
    last = np.ones(values.shape, dtype=bool)
    last[:-1] = np.diff(values, axis=0) > SAME * _scale(values)
    return np.asarray(np.where(last, np.abs(apart), 0.0).max(axis=0))


def layout(statistics: Floats, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which columns (k,) of the statistics say where it is bright, not how sharp it is.

    Channel means and grid cells of images and maps; all columns of anything else. What was made
    smaller and is enlarged again has the first back, not the second.

    Parameters
    ----------
    statistics : array (n, k)
        From `input_statistics`.
    shape : tuple of int
        Of one sample.
    """
    channels = shape[0] if len(shape) == 3 else 1
    kept = np.ones(statistics.shape[1], dtype=bool)
    if statistics.shape[1] == channels * (2 + GRID**2) + 5:
        kept[channels : 2 * channels] = False
        kept[-5:] = False
    return kept


def _scale(values: Floats) -> Floats:
    """Standard deviation a column; a constant column is judged by its size.

    A tenth of it: corrections are written to 6 digits, which puts white off by up to 5e-6.
    """
    return np.asarray(np.maximum(values.std(axis=0), 0.1 * np.abs(values).max(axis=0)))
