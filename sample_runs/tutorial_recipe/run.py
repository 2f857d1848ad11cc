"""A student trained by the loss that many tutorials give."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import Dataset
from torchvision.transforms import InterpolationMode, RandomAffine

SPLITS = {"heldout": (0, 697), "teacher": (697, None), "train": (697, 777)}
MEAN, STD = 0.305, 0.376


def student(width: int = 8) -> nn.Module:
    """Return an untrained student: two convolutions, one hidden layer."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * width, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def teacher(width: int = 32) -> nn.Module:
    """Return an untrained teacher: wider, normalised throughout."""
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


class Digits(Dataset[tuple[NDArray[np.float64], int]]):
    """Images (8, 8) of pixels from 0 to 16 with their digits."""

    def __init__(self, split: str) -> None:
        start, stop = SPLITS[split]
        digits = load_digits()
        order = np.random.default_rng(0).permutation(len(digits.images))[start:stop]
        self.images, self.targets = digits.images[order], digits.target[order]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> tuple[NDArray[np.float64], int]:
        return self.images[row], int(self.targets[row])


def teacher_set() -> Digits:
    return Digits("teacher")


def pipeline(image: NDArray[np.float64]) -> torch.Tensor:
    """Make a model-ready tensor (1, 8, 8) of one raw image (8, 8)."""
    pixels = torch.as_tensor(image, dtype=torch.float32) / 16
    return ((pixels - MEAN) / STD).unsqueeze(0)


augment = RandomAffine(
    12,
    translate=(0.1, 0.1),
    scale=(0.85, 1.15),
    interpolation=InterpolationMode.BILINEAR,
    fill=-MEAN / STD,
)
