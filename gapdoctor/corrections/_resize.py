"""Resizing of model-ready images and maps."""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn import functional

Mode = Literal["nearest-exact", "bilinear", "bicubic"]


def resized(
    batch: torch.Tensor, size: tuple[int, int], mode: Mode = "bilinear", antialias: bool = True
) -> torch.Tensor:
    """Return a batch (n, C, H, W) or (n, H, W) at another height and width.

    Half precision is computed in single; `antialias` counts where the size falls.
    """
    images = batch.float() if batch.dtype in (torch.float16, torch.bfloat16) else batch
    images = images.unsqueeze(1) if batch.ndim == 3 else images
    smooth = antialias and mode != "nearest-exact"
    made = functional.interpolate(images, size=size, mode=mode, antialias=smooth)
    return (made.squeeze(1) if batch.ndim == 3 else made).to(batch.dtype)


def round_trip(
    batch: torch.Tensor, share: float, mode: Mode = "bilinear", antialias: bool = True
) -> torch.Tensor:
    """Return a batch resized to a share of its height and width, and back."""
    height, width = batch.shape[-2:]
    small = resized(batch, (part(height, share), part(width, share)), mode, antialias)
    return resized(small, (height, width), mode, antialias)


def centre_zoomed(batch: torch.Tensor, share: float) -> torch.Tensor:
    """Return the centre of a batch, `share` of its height and width, resized to the whole."""
    height, width = batch.shape[-2:]
    high, wide = part(height, share), part(width, share)
    top, left = (height - high) // 2, (width - wide) // 2
    return resized(batch[..., top : top + high, left : left + wide], (height, width))


def framed(batch: torch.Tensor, share: float) -> torch.Tensor:
    """Return a batch at a share of its height and width, its border repeated to the whole."""
    height, width = batch.shape[-2:]
    high, wide = part(height, share), part(width, share)
    top, left = (height - high) // 2, (width - wide) // 2
    small = resized(batch, (high, wide))
    rows = (torch.arange(height) - top).clamp(0, high - 1).to(batch.device)
    columns = (torch.arange(width) - left).clamp(0, wide - 1).to(batch.device)
    return small[..., rows, :][..., columns]


def part(length: int, share: float) -> int:
    """Return that share of a length in whole pixels, at least one."""
    return max(1, round(length * share))
