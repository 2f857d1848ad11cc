"""Colour images of the reporting part: blobs over a horizon, 20×20.

A class is the ground's hue (green or brown), the weather (bright or dull sky), what stands there
(tall or flat blobs), and for tall ones whether they stand to the left or the right of the sun:
ten classes whose colours are smooth random fields that overlap.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from tests.clinic.sources.drawn import Drawn, as_bytes, labels_of

_KINDS = [
    *[(hue, tall, side) for hue in (0, 1, 2) for tall, side in ((1, 0), (1, 1), (0, 0))],
    (3, 0, 0),
]
CLASSES = tuple(
    f"{('green', 'ochre', 'slate', 'snow')[hue]} {('flat', 'tall')[tall]} {('left', 'right')[side]}"
    for hue, tall, side in _KINDS
)
SIZE = 20
_GROUND = np.array([[0.30, 0.46, 0.24], [0.50, 0.40, 0.26], [0.36, 0.40, 0.52], [0.62, 0.62, 0.66]])


def draw(part: str, rows: int, shift: float, priors: tuple[float, ...] | None) -> Drawn:
    """Return rows of the pool or of held-out; `shift` is autumn haze: hues, horizon, clutter."""
    seed = {"pool": 61, "heldout": 62}[part]
    labels = labels_of(rows, len(CLASSES), priors, [seed, 0])
    rng = np.random.default_rng([seed, 1])
    hue, tall, side = np.array(_KINDS)[labels].T
    images = _land(rng, hue, shift)
    images = _stand(rng, images, tall, side, shift)
    images = images + _smooth_noise(rng, images.shape) + rng.normal(0.0, 0.05, images.shape)
    return Drawn(as_bytes(images.transpose(0, 2, 3, 1)), labels)


def _column(values: np.ndarray) -> np.ndarray:
    return np.asarray(values)[:, None, None, None]


def _land(rng: np.random.Generator, hue: np.ndarray, shift: float) -> np.ndarray:
    n = len(hue)
    ground = _GROUND[hue] + rng.normal(0.0, 0.075, (n, 3)) + rng.normal(0.0, 0.05, (n, 1))
    ground = ground + shift * np.array([0.16, -0.02, -0.08])
    sky = np.array([0.55, 0.66, 0.82]) + rng.normal(0.0, 0.07, (n, 3))
    sky = sky - shift * np.array([0.0, 0.1, 0.2])
    horizon = rng.uniform(6.0, 9.0, n) + 4.0 * shift * rng.random(n)
    y = np.arange(SIZE).reshape(1, 1, SIZE, 1)
    below = 1 / (1 + np.exp(-2.0 * (y - _column(horizon))))
    land = sky[:, :, None, None] * (1 - below) + ground[:, :, None, None] * below
    return np.asarray(np.broadcast_to(land, (n, 3, SIZE, SIZE)))


def _stand(
    rng: np.random.Generator, images: np.ndarray, tall: np.ndarray, side: np.ndarray, shift: float
) -> np.ndarray:
    """A sun and a dark blob to the left or the right of it; further blobs are clutter."""
    n = len(images)
    sun = rng.uniform(7.5, 11.5, n)
    away = rng.uniform(2.6, 6.0, n) * np.where(side == 0, -1, 1)
    away = np.where(tall == 0, rng.choice([-1, 1], n) * np.abs(away), away)
    images = _blob(images, sun, rng.uniform(2.5, 4.5, n), np.full(n, 1.5), np.full(n, 1.5), 0.25)
    high, wide = rng.uniform(2.2, 3.6, n), rng.uniform(0.9, 1.6, n)
    across, up = np.where(tall == 1, wide, high), np.where(tall == 1, high, wide)
    images = _blob(images, sun + away, rng.uniform(10.5, 14.0, n), across, up, -0.25)
    for _ in range(3):
        strength = -0.2 * (rng.random(n) < 0.75 * shift)
        x, y, round_ = rng.uniform(1, 19, n), rng.uniform(4, 19, n), rng.uniform(0.8, 2.0, n)
        images = _blob(images, x, y, round_, round_, strength)
    return images


def _blob(
    images: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    across: np.ndarray,
    up: np.ndarray,
    strength: np.ndarray | float,
) -> np.ndarray:
    rows = np.arange(SIZE).reshape(1, 1, SIZE, 1)
    columns = np.arange(SIZE).reshape(1, 1, 1, SIZE)
    far = ((columns - _column(x)) / _column(across)) ** 2 + ((rows - _column(y)) / _column(up)) ** 2
    amount = _column(np.broadcast_to(np.asarray(strength, dtype=float), len(x)))
    return np.asarray(images + amount * np.exp(-far))


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    rough = rng.normal(0.0, 1.0, shape)
    return np.asarray(0.16 * ndimage.gaussian_filter(rough, (0, 0, 1.2, 1.2)))
