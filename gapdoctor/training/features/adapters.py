"""Features of two layers made comparable: positions by pooling, channels by a learned map."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional


def as_maps(features: torch.Tensor, axis: int) -> torch.Tensor:
    """Return features as (n, channels, …positions), whichever axis holds the channels."""
    return features.movedim(axis, 1)


def aligned(one: torch.Tensor, other: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return two maps as (n, positions, channels) at the same positions.

    The larger one is pooled to the smaller one's size, axis by axis, as for attention maps
    (Zagoruyko & Komodakis 2017, arXiv 1612.03928). Tokens beside an image are laid out as one where
    their number is a square, a class token in front left out; positions that have no counterpart at
    all are averaged.

    Parameters
    ----------
    one, other : tensor (n, channels, …positions)
        None, one or two axes of positions each.
    """
    if one.ndim != other.ndim:
        one, other = _on_a_grid(one, other.ndim), _on_a_grid(other, one.ndim)
    if one.ndim != other.ndim:
        one, other = (x.flatten(2).mean(2) if x.ndim > 2 else x for x in (one, other))
    size = tuple(min(pair) for pair in zip(one.shape[2:], other.shape[2:], strict=True))
    return _rows(_pooled(one, size)), _rows(_pooled(other, size))


def adapter(student: int, teacher: int) -> nn.Linear:
    """Return what maps the student's channels to the teacher's: a 1 × 1 convolution.

    The regressor of FitNets (Romero et al. 2015, arXiv 1412.6550, section 2.2), at each position.
    """
    return nn.Linear(student, teacher)


def _on_a_grid(tokens: torch.Tensor, wanted: int) -> torch.Tensor:
    """Tokens (n, channels, N) as an image, where the other side is one and N allows it."""
    if tokens.ndim != 3 or wanted != 4:
        return tokens
    for first in (0, 1):
        side = math.isqrt(tokens.shape[2] - first)
        if side > 1 and side * side == tokens.shape[2] - first:
            return tokens[:, :, first:].reshape(*tokens.shape[:2], side, side)
    return tokens


def _pooled(maps: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    if maps.shape[2:] == size:
        return maps
    if len(size) == 1:
        return functional.adaptive_avg_pool1d(maps, size[0])
    return functional.adaptive_avg_pool2d(maps, (size[0], size[1]))


def _rows(maps: torch.Tensor) -> torch.Tensor:
    """(n, channels, …positions) as (n, positions, channels); one position where there is none."""
    return maps.unsqueeze(2).transpose(1, 2) if maps.ndim == 2 else maps.flatten(2).transpose(1, 2)
