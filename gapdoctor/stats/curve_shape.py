"""The numbers that a learning curve is read by: level, scatter, slope. All robust to noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from gapdoctor.domain.findings import Floats

_MAD_TO_SIGMA = 1.4826
# Theil–Sen looks at all pairs; a log of every step must not make a million of millions of them.
_MOST = 1000


def by_epoch(epoch: ArrayLike, *columns: ArrayLike | None) -> tuple[Floats, tuple[Floats, ...]]:
    """Return the distinct epochs in order, and each column with one value an epoch.

    Of several rows of one epoch each column's last value that is not NaN counts (loggers write
    train and held-out losses in rows of their own). A column that is None is all NaN.

    Raises
    ------
    ValueError
        When a column is not as long as `epoch`.
    """
    number = np.asarray(epoch, dtype=np.float64)
    distinct, index = np.unique(number, return_inverse=True)
    merged = []
    for column in columns:
        values = np.full(len(number), np.nan) if column is None else np.asarray(column, np.float64)
        if len(values) != len(number):
            raise ValueError(f"{len(values)} values for {len(number)} epochs")
        out = np.full(len(distinct), np.nan)
        told = ~np.isnan(values)
        out[index[told]] = values[told]
        merged.append(out[np.isfinite(distinct)])
    return distinct[np.isfinite(distinct)], tuple(merged)


def running_median(curve: Floats, window: int) -> Floats:
    """Return the medians of all full windows, (n − window + 1,); empty for a shorter curve."""
    if len(curve) < window:
        return curve[:0]
    return np.median(np.lib.stride_tricks.sliding_window_view(curve, window), axis=1)


def scatter(curve: Floats) -> float:
    """Return the standard deviation from epoch to epoch in the last half, at least 5 values.

    From the median size of the second differences, √6 times as large (Gasser et al. 1986), so
    that neither a trend nor a single drop of the learning rate counts. 0 for fewer than 3 values.
    """
    bends = np.diff(curve[-max(5, len(curve) // 2) :], 2)
    if len(bends) == 0:
        return 0.0
    return _MAD_TO_SIGMA * float(np.median(np.abs(bends))) / float(np.sqrt(6.0))


def level_noise(curve: Floats, window: int) -> float:
    """Return the standard error of a median of `window` values of a curve that drifts slowly.

    Scatter and lag-1 correlation are those of what is left of a parabola, or of a single step
    where that fits much better. Correlated values count for fewer: the variance of their mean is
    (1 + ρ)/(1 − ρ) times as large (Bartlett 1946), at most that of a single value. A median's
    error is 1.25 times a mean's. Over few values the error is enlarged as Student's t is.
    0 for fewer than 5 values.
    """
    if len(curve) < 5:
        return 0.0
    left, other, free = _left_of_parabola(curve), _left_of_step(curve), len(curve) - 3
    if float(other @ other) < 0.5 * float(left @ left):
        left = other
    power = float(left @ left)
    if power == 0.0:
        return 0.0
    correlation = min(max(float(left[1:] @ left[:-1]) / power, 0.0), 0.9)
    inflation = (1 + correlation) / (1 - correlation)
    share = min(1.0, 1.2533 * float(np.sqrt(inflation / window)))
    few = float(stats.t.ppf(0.975, free) / stats.norm.ppf(0.975))
    return float(np.sqrt(power / free)) * share * few


def end_slope(at: Floats, curve: Floats) -> tuple[float, float, float]:
    """Return (slope, its upper 95 % limit, change) over the last fifth, at least 5 values.

    Theil–Sen (Sen 1968), in the curve's unit per epoch; `change` is slope times the epochs
    covered. NaN for fewer than 5 values.
    """
    window = min(_MOST, max(5, -(-len(curve) // 5)))
    if len(curve) < 5:
        return np.nan, np.nan, np.nan
    x, y = at[-window:], curve[-window:]
    found = stats.theilslopes(y, x, alpha=0.95)
    slope = float(found.slope)
    return slope, float(found.high_slope), slope * float(x[-1] - x[0])


def _left_of_parabola(curve: Floats) -> Floats:
    x = np.linspace(-1.0, 1.0, len(curve))
    design = np.stack([np.ones_like(x), x, x * x], axis=1)
    return curve - design @ np.linalg.lstsq(design, curve, rcond=None)[0]


def _left_of_step(curve: Floats) -> Floats:
    """Distances from the two levels, of at least two values each, that fit best."""
    n = len(curve)
    before = np.arange(2, n - 1)
    sums = np.cumsum(curve)
    explained = sums[before - 1] ** 2 / before + (sums[-1] - sums[before - 1]) ** 2 / (n - before)
    at = int(before[np.argmax(explained)])
    return np.concatenate([curve[:at] - curve[:at].mean(), curve[at:] - curve[at:].mean()])
