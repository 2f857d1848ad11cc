"""What is known of a split's model-ready rows without keeping them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gapdoctor.errors import DataError

_LEVELS = (0.01, *(round(0.05 * step, 2) for step in range(1, 20)), 0.99)
"""Of the quantiles; the ends are pulled in, so that a single odd value moves neither."""
_VALUES_READ = 8192
"""Values a channel that quantiles are taken of: their error stays near 1 % of a rank."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of model-ready rows, a channel (a column, where a sample is a row of columns)."""

    mean: torch.Tensor
    """(C,)"""
    std: torch.Tensor
    """(C,)"""
    lows: torch.Tensor
    """(C,) smallest values."""
    highs: torch.Tensor
    """(C,) largest values."""
    quantiles: torch.Tensor
    """(C, 21) at 1, 5, 10, …, 95, 99 %. A rising function of the values maps them alike, so that
    such a function can be told from the quantiles of both splits."""
    class_means: torch.Tensor
    """(C, K) mean of each class's rows, NaN for a class without rows; K = 0 without labels."""

    @property
    def low(self) -> float:
        """Smallest value of all."""
        return float(self.lows.min())

    @property
    def high(self) -> float:
        """Largest value of all."""
        return float(self.highs.max())

    @classmethod
    def of(
        cls, batch: torch.Tensor, labels: torch.Tensor | None = None, classes: int = 0
    ) -> Statistics:
        """Return the statistics of a batch (n, C, …), (n, H, W) or (n, d), on the CPU.

        Parameters
        ----------
        batch : tensor
            Model-ready rows.
        labels : integer tensor (n,), optional
            The rows' classes, 0 to `classes` − 1. They tell columns of one shape apart, and are
            read for rows of columns only.
        classes : int
            K, where labels are given; the same for both splits.

        Raises
        ------
        ValueError
            When there is no value, or one that is not finite.
        """
        values = channels_first(batch).float().cpu()
        if values.numel() == 0 or not bool(torch.isfinite(values).all()):
            raise ValueError("no statistics of an empty batch or of values that are not finite")
        return cls(
            values.mean(dim=1),
            values.std(dim=1, unbiased=False),
            values.amin(dim=1),
            values.amax(dim=1),
            _quantiles(values),
            _class_means(values, labels if batch.ndim == 2 else None, classes),
        )


def channels_first(batch: torch.Tensor) -> torch.Tensor:
    """Return (C, values): (n, C, …) and (n, d) by their second axis, (n, H, W) as one."""
    if batch.ndim in (1, 3):
        return batch.reshape(1, -1)
    return batch.transpose(0, 1).reshape(batch.shape[1], -1)


def per_channel(values: Sequence[float], batch: torch.Tensor) -> torch.Tensor:
    """Return one value, or one a channel, so that it broadcasts against `batch`, in its type.

    Raises
    ------
    DataError
        When there are several values, but not one a channel.
    """
    channels = 1 if batch.ndim in (1, 3) else batch.shape[1]
    if len(values) not in (1, channels):
        raise DataError(
            f"a correction is written for {len(values)} channels, but a sample has {channels}",
            "give it one number for all channels or one for each",
        )
    return batch.new_tensor(values).reshape([-1 if axis == 1 else 1 for axis in range(batch.ndim)])


def misfit(mapped: torch.Tensor, train: Statistics) -> float:
    """Return how far quantiles (C, 21) lie from those of train: mean, in standard deviations."""
    scale = train.std.mean().clamp(min=1e-12)
    return float(((mapped - train.quantiles).abs() / scale).mean())


def _quantiles(values: torch.Tensor) -> torch.Tensor:
    count = values.shape[1]
    if count > _VALUES_READ:  # drawn at random: a stride could meet the same image column only
        drawn = torch.randint(count, (_VALUES_READ,), generator=torch.Generator().manual_seed(0))
        values = values[:, drawn]
    return torch.quantile(values, torch.tensor(_LEVELS), dim=1).T


def _class_means(values: torch.Tensor, labels: torch.Tensor | None, classes: int) -> torch.Tensor:
    if labels is None:
        return values.new_zeros(len(values), 0)
    index = labels.cpu().long()
    counts = torch.bincount(index, minlength=classes)
    sums = values.new_zeros(len(values), len(counts)).index_add_(1, index, values)
    return torch.where(counts > 0, sums / counts, torch.nan)
