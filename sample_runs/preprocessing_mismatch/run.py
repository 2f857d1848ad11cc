"""A sound student that is fed something else where it is deployed."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import nn
from torchvision.transforms import InterpolationMode, RandomAffine

HELDOUT_ROWS = 697
MEAN, STD = 0.305, 0.376


def cnn(width: int) -> nn.Module:
    """Return an untrained network: two convolutions, a linear head."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * width, 10),
    )


def rows(start: int, stop: int | None) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return images (N, 8, 8) of pixels from 0 to 16, and their digits (N,)."""
    digits = load_digits()
    order = np.random.default_rng(3).permutation(len(digits.images))[start:stop]
    return digits.images[order], digits.target[order]


def heldout_set() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    return rows(0, HELDOUT_ROWS)


def teacher_set() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    return rows(HELDOUT_ROWS, None)


def train_set() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    return rows(HELDOUT_ROWS, None)


def train_pipeline(image: NDArray[np.float64]) -> torch.Tensor:
    """Make a model-ready tensor (1, 8, 8) of one raw image (8, 8)."""
    return (serving_pipeline(image) - MEAN) / STD


def serving_pipeline(image: NDArray[np.float64]) -> torch.Tensor:
    """Do the same where the student is deployed; the normalisation was forgotten."""
    return torch.as_tensor(image, dtype=torch.float32).unsqueeze(0) / 16


augment = RandomAffine(
    12,
    translate=(0.1, 0.1),
    scale=(0.85, 1.15),
    interpolation=InterpolationMode.BILINEAR,
    fill=-MEAN / STD,
)
