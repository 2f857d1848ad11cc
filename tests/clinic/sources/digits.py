"""Grey images of the tuning part: scikit-learn's handwritten digits with sensor noise."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import ndimage
from sklearn.datasets import load_digits

from tests.clinic.sources.drawn import Bytes, Drawn, Indices, as_bytes, with_priors

CLASSES = tuple(str(digit) for digit in range(10))
HELDOUT = 697
NOISE = 0.16


def draw(part: str, rows: int, shift: float, priors: tuple[float, ...] | None) -> Drawn:
    """Return the first rows of the pool or of held-out.

    `shift` turns the digits by up to 45° and makes their strokes wider: other writers.
    """
    images, labels = _all_digits()
    images, labels = (
        (images[:HELDOUT], labels[:HELDOUT])
        if part == "heldout"
        else (images[HELDOUT:], labels[HELDOUT:])
    )
    rng = np.random.default_rng([11, len(part)])
    clean = images if shift == 0 else _other_writers(images, shift, rng)
    noisy = as_bytes(clean + rng.normal(0.0, NOISE, clean.shape))
    return with_priors(Drawn(noisy, labels), rows, priors, np.random.default_rng(12))


@cache
def _all_digits() -> tuple[np.ndarray, Indices]:
    found = load_digits()
    order = np.random.default_rng(10).permutation(len(found.images))
    return found.images[order] / 16.0, found.target[order].astype(np.int64)


def _other_writers(images: np.ndarray, shift: float, rng: np.random.Generator) -> np.ndarray:
    angles = rng.uniform(-45, 45, len(images)) * shift
    turned = [
        ndimage.rotate(image, angle, reshape=False, order=1)
        for image, angle in zip(images, angles, strict=True)
    ]
    wide = np.stack([ndimage.grey_dilation(image, size=(2, 2)) for image in turned])
    return np.asarray((1 - 0.5 * shift) * np.stack(turned) + 0.5 * shift * wide)


__all__ = ["CLASSES", "Bytes", "draw"]
