"""What folds of the train rows say: when to stop, how sure that is, how usual held-out rows are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from gapdoctor.domain.findings import Floats, Interval
from gapdoctor.stats.intervals import LEVEL, bootstrap_means, interval_of

SMOOTHED = 3
"""Epochs over which the mean curve is averaged before its minimum is looked for: a single low
epoch is luck (measured on nine pairs: one, three and five differ by 0.003 nats on average)."""


@dataclass(frozen=True)
class FoldReading:
    """What the curves of k folds show; losses in nats."""

    epoch: int
    """After which the mean loss is lowest, from 1."""
    epochs: int
    """That all folds were trained."""
    lowest: Floats
    """(k,) loss of each fold after that epoch."""
    last: Floats
    """(k,) after the last."""
    gain: Interval
    """Of stopping: loss after the last epoch − after the epoch that the other folds choose, mean
    over folds, so that no fold is judged by its own choice. Positive is better."""
    better: int
    """Folds that gain."""
    others: tuple[int, int]
    """The earliest and the latest epoch that all folds but one choose."""


def read_folds(curves: Sequence[ArrayLike], sizes: Sequence[int]) -> FoldReading:
    """Return the epoch of the lowest mean loss over folds, and how stable it is.

    The lowest mean is taken, not the earliest within one standard error of it (Breiman et al.
    1984): that rule buys a simpler model and pays with loss (Chen & Yang 2021, Stats 4:868–892;
    measured on ten overfitted pairs it stops far too early, at 0.38 nats where the control loses
    0.25).

    Parameters
    ----------
    curves : k sequences of losses
        One a fold, an epoch each; what the shortest has is read.
    sizes : k whole numbers
        Rows of each fold: the mean is that over all rows.

    Raises
    ------
    ValueError
        With fewer than two folds, or without an epoch.
    """
    length = min((len(np.asarray(c)) for c in curves), default=0)
    if len(curves) < 2 or length == 0:
        raise ValueError(f"{len(curves)} folds of {length} epochs say nothing")
    table = np.array([np.asarray(c, dtype=np.float64)[:length] for c in curves])
    weights = np.asarray(sizes, dtype=np.float64)
    best = _lowest(table, weights)
    each = range(len(table))
    others = [_lowest(np.delete(table, j, 0), np.delete(weights, j)) for j in each]
    gains = np.array([table[j, -1] - table[j, e] for j, e in zip(each, others, strict=True)])
    return FoldReading(
        best + 1, length, table[:, best], table[:, -1], fold_interval(gains),
        int((gains > 0).sum()), (min(others) + 1, max(others) + 1),
    )  # fmt: skip


def fold_interval(values: ArrayLike) -> Interval:
    """Return the mean of one value a fold (k,) with an approximate 95 % interval.

    Students of two folds share (k − 2)/(k − 1) of their rows, so that values scatter less than the
    mean is uncertain: the variance is taken as (1/k + 1/(k − 1)) · s² (Nadeau & Bengio 2003,
    Machine Learning 52:239–281, with their n₂/n₁ = 1/(k − 1)), on k − 1 degrees of freedom. No
    estimate from one round of folds is unbiased (Bengio & Grandvalet 2004, JMLR 5:1089–1105).
    """
    column = np.asarray(values, dtype=np.float64)
    k = len(column)
    error = float(column.std(ddof=1)) * float(np.sqrt(1 / k + 1 / (k - 1)))
    half = float(stats.t.ppf((1 + LEVEL) / 2, k - 1)) * error
    mean = float(column.mean())
    return Interval(mean, mean - half, mean + half)


def heldout_beside_folds(
    left_out: ArrayLike,
    heldout: ArrayLike,
    rng: np.random.Generator,
    *,
    train_groups: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> Interval:
    """Return the loss on held-out rows − on train rows that a student lacked, in nats.

    Both of the same students, so that it is no matter how many rows these were trained on: what
    differs is the rows. Intervals hold for these students; the two kinds of rows are resampled
    apart.

    Parameters
    ----------
    left_out : array (n,)
        Each train row's loss by the one student that lacked it.
    heldout : array (m,)
        Each held-out row's loss, mean over these students.
    rng : Generator
        The only source of randomness.
    train_groups, groups : arrays (n,) and (m,), optional
        One id a row: whole groups are resampled.
    """
    rows, others = (np.asarray(x, dtype=np.float64) for x in (heldout, left_out))
    draws = bootstrap_means(rows[:, None], rng, groups=groups)
    draws = draws - bootstrap_means(others[:, None], rng, groups=train_groups)
    return interval_of(draws[:, 0], float(rows.mean() - others.mean()))


def _lowest(curves: Floats, weights: Floats) -> int:
    """Where the smoothed mean curve is lowest, from 0."""
    mean: NDArray[np.float64] = np.average(curves, axis=0, weights=weights)
    padded = np.pad(mean, SMOOTHED // 2, mode="edge")
    return int(np.lib.stride_tricks.sliding_window_view(padded, SMOOTHED).mean(axis=1).argmin())
