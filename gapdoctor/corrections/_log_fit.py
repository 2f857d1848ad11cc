"""Logarithmic scales, and the one that takes the quantiles of one split to those of another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gapdoctor.corrections._statistics import Statistics

_POINTS = 6
"""Quantiles that a fit needs."""
_PRECISE = 2e-6
"""Share of a value: less than it is not resolved beside an offset, in single precision."""
_EXPLAINED = 0.97
"""Least share of the variance of the quantiles that the logarithm must explain."""
_BETTER = 0.25
"""What it leaves must be less than this share of what a straight line leaves."""


@dataclass(frozen=True, slots=True)
class LogScale:
    """log = a·ln(linear − c) + b; linear = exp((log − b)/a) + c."""

    a: float
    b: float
    c: float

    def to_log(self, batch: torch.Tensor, floor: float) -> torch.Tensor:
        """Return the logarithm of linear values, nothing below `floor`."""
        tiny = torch.finfo(batch.dtype).tiny
        return (self.a * (batch - self.c).clamp(min=tiny).log() + self.b).clamp(min=floor)

    def to_linear(self, batch: torch.Tensor, ceiling: float) -> torch.Tensor:
        """Return linear values of logarithms, nothing above `ceiling`."""
        return (((batch - self.b) / self.a).exp() + self.c).clamp(max=ceiling)


def fitted_scale(linear: Statistics, log: Statistics) -> LogScale | None:
    """Return the scale that takes the quantiles of `linear` to those of `log`, or None.

    Least squares for a and b over the quantiles that are above the floors of both. c is 0 where no
    linear value is negative, or the smallest linear value (the silence of a normalised
    spectrogram), whichever fits better. None: one is not the logarithm of the other.
    """
    offsets = [linear.low] + ([0.0] if linear.low > 0 else [])
    found = [fit for c in offsets if (fit := _fitted(linear, log, c)) is not None]
    return min(found, key=lambda fit: fit[0])[1] if found else None


def _fitted(linear: Statistics, log: Statistics, c: float) -> tuple[float, LogScale] | None:
    """Return what the logarithm above c leaves unexplained, and its scale; None: too much."""
    values = linear.quantiles.double().numpy().ravel()
    x, y = values - c, log.quantiles.double().numpy().ravel()
    # Below these, single precision or the floor of the logarithm has cut the values off.
    used = (x > _PRECISE * abs(values)) & (y > log.low + 1e-3 * (log.high - log.low)) & (x > 0)
    x, y = x[used], y[used]
    if len(x) < _POINTS or np.ptp(x) <= 0 or np.ptp(y) <= 0:
        return None
    a, b, left = _line(np.log(x), y)
    if a <= 0 or left > 1 - _EXPLAINED or left > _BETTER * _line(x, y)[2]:
        return None
    return left, LogScale(a, b, c)


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return slope, offset and the share of the variance that the line leaves (least squares)."""
    apart = x - x.mean()
    slope = float(apart @ (y - y.mean()) / max(float(apart @ apart), np.finfo(float).tiny))
    offset = float(y.mean() - slope * x.mean())
    return slope, offset, float((y - slope * x - offset).var() / y.var())
