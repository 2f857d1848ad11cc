"""What gapdoctor.toml names: two models, the digits, what makes tensors of them, an augmentation.

The data are scikit-learn's handwritten digits: 1,797 grey images of 8 × 8 pixels from 0 to 16.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import nn
from torchvision.transforms import InterpolationMode, RandomAffine

HELDOUT_ROWS = 697
STUDENT_ROWS = 80
MEAN, STD = 0.305, 0.376

Split = tuple[NDArray[np.float64], NDArray[np.int64]]


def student(width: int = 8, dropout: float = 0.0) -> nn.Module:
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
        nn.Dropout(dropout),
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


def teacher_set() -> Split:
    """Return the 1,100 rows that the teacher was trained on."""
    return _rows(HELDOUT_ROWS, None)


def train_set() -> Split:
    """Return the student's few rows, a part of the teacher's."""
    return _rows(HELDOUT_ROWS, HELDOUT_ROWS + STUDENT_ROWS)


def heldout_set() -> Split:
    """Return 697 rows that neither model was trained on."""
    return _rows(0, HELDOUT_ROWS)


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


def _rows(start: int, stop: int | None) -> Split:
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.images))[start:stop]
    return digits.images[order], digits.target[order]
