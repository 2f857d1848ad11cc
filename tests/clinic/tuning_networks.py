"""Families of the tuning part."""

from __future__ import annotations

import torch
from torch import nn

Shape = tuple[int, ...]


def plain_cnn(shape: Shape, classes: int, width: int) -> nn.Module:
    """Two convolutions with BatchNorm and pooling."""
    channels, height, across = shape
    flat = 2 * width * (height // 4) * (across // 4)
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(flat, classes),
    )


def plain_mlp(shape: Shape, classes: int, width: int) -> nn.Module:
    """Two hidden layers with dropout, no normalisation."""
    inputs = int(torch.tensor(shape).prod())
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(inputs, 4 * width),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(4 * width, 2 * width),
        nn.ReLU(),
        nn.Linear(2 * width, classes),
    )


class _Residual(nn.Module):
    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.inside = inside

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        added: torch.Tensor = x + self.inside(x)
        return added


def residual_cnn(shape: Shape, classes: int, width: int) -> nn.Module:
    """A stem, two residual blocks with BatchNorm, means over a 4×4 grid, a head."""

    def block(channels: int) -> nn.Module:
        return _Residual(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
                nn.Conv2d(channels, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
            )
        )

    return nn.Sequential(
        nn.Conv2d(shape[0], width, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        block(width),
        nn.Conv2d(width, 2 * width, 1),
        nn.ReLU(),
        block(2 * width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(32 * width, classes),
    )


def batchnorm_mlp(shape: Shape, classes: int, width: int) -> nn.Module:
    """Two hidden layers with BatchNorm."""
    inputs = int(torch.tensor(shape).prod())
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(inputs, 4 * width),
        nn.BatchNorm1d(4 * width),
        nn.ReLU(),
        nn.Linear(4 * width, 2 * width),
        nn.BatchNorm1d(2 * width),
        nn.ReLU(),
        nn.Linear(2 * width, classes),
    )


def residual_mlp(shape: Shape, classes: int, width: int) -> nn.Module:
    """A linear stem and two residual blocks with LayerNorm."""
    inputs, inside = int(torch.tensor(shape).prod()), 2 * width

    def block() -> nn.Module:
        return _Residual(
            nn.Sequential(
                nn.LayerNorm(inside),
                nn.Linear(inside, 2 * inside),
                nn.GELU(),
                nn.Linear(2 * inside, inside),
            )
        )

    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(inputs, inside),
        block(),
        block(),
        nn.LayerNorm(inside),
        nn.Linear(inside, classes),
    )
