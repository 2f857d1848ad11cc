"""Colour images of the tuning part: emblems on striped cloth, 16×16.

A class is where the emblem points (left or right), how the cloth is striped (along or across),
and its dye (reddish or bluish): mirroring, turning and swapping channels each exchange classes.
Dye and stripes vary so much that neighbouring classes overlap a little.
"""

from __future__ import annotations

import numpy as np

from tests.clinic.sources.drawn import Drawn, as_bytes, labels_of

CLASSES = tuple(
    f"{dye} {stripes} {side}"
    for dye in ("red", "blue")
    for stripes in ("along", "across")
    for side in ("left", "right")
)
SIZE = 16


def draw(part: str, rows: int, shift: float, priors: tuple[float, ...] | None) -> Drawn:
    """Return rows of the pool or of held-out; `shift` wears the cloth: folds, dirt, faded dye."""
    seed = {"pool": 21, "heldout": 22}[part]
    labels = labels_of(rows, len(CLASSES), priors, [seed, 0])
    rng = np.random.default_rng([seed, 1])
    dye, stripes, side = labels // 4, labels // 2 % 2, labels % 2
    cloth = _cloth(rng, dye, stripes, shift)
    mask = _emblem(rng, side)
    ink = rng.uniform(0.75, 1.0, (rows, 3, 1, 1)) * rng.choice([0.12, 1.0], (rows, 1, 1, 1))
    images = cloth * (1 - mask) + ink * mask
    images = _worn(rng, images, shift)
    noise = rng.normal(0.0, 0.06, images.shape)
    return Drawn(as_bytes((images + noise).transpose(0, 2, 3, 1)), labels)


def _grid() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    return y[None].astype(float), x[None].astype(float)


def _column(values: np.ndarray) -> np.ndarray:
    return np.asarray(values)[:, None, None]


def _cloth(
    rng: np.random.Generator, dye: np.ndarray, stripes: np.ndarray, shift: float
) -> np.ndarray:
    n = len(dye)
    y, x = _grid()
    lean = np.where(stripes == 0, 0.0, np.pi / 2) + rng.normal(0.0, 0.3 + 0.3 * shift, n)
    waves = rng.uniform(1.2, 1.9, n)
    along = _column(np.cos(lean)) * y + _column(np.sin(lean)) * x
    pattern = np.sin(_column(waves) * along + _column(rng.uniform(0, 6.28, n)))
    depth = _column(rng.uniform(0.1, 0.2, n) * (1 - 0.4 * shift))
    warm = rng.normal(0.0, 0.055, n) + np.where(dye == 0, 0.1, -0.1) * (1 - 0.35 * shift)
    base = rng.uniform(0.35, 0.6, n)
    colour = np.stack([base + warm, base + rng.normal(0, 0.05, n), base - warm], axis=1)
    return np.asarray(colour[:, :, None, None] + (depth * pattern)[:, None])


def _emblem(rng: np.random.Generator, side: np.ndarray) -> np.ndarray:
    """An arrow head that points left or right, anywhere near the middle; (N, 1, 16, 16)."""
    n = len(side)
    y, x = _grid()
    cy, cx = (_column(rng.uniform(5.5, 9.5, n)) for _ in range(2))
    half = _column(rng.uniform(3.0, 4.6, n))
    sign = _column(np.where(side == 0, -1.0, 1.0))
    turn = _column(rng.normal(0.0, 0.3, n))
    u = sign * ((x - cx) * np.cos(turn) + (y - cy) * np.sin(turn))
    v = (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
    inside = np.minimum(half - u - 1.2 * np.abs(v), u + half * 0.6)
    return np.asarray(1 / (1 + np.exp(-4 * inside)))[:, None]


def _worn(rng: np.random.Generator, images: np.ndarray, shift: float) -> np.ndarray:
    """Folds (soft dark lines) and spots; the random numbers are drawn whatever the shift."""
    n = len(images)
    y, x = _grid()
    angle, offset = rng.uniform(0, np.pi, n), rng.uniform(4, 12, n)
    distance = _column(np.cos(angle)) * (y - 8) + _column(np.sin(angle)) * (x - 8)
    fold = np.exp(-((distance - _column(offset - 8)) ** 2) / 2)
    spots = rng.random((*images.shape[:1], 1, SIZE, SIZE)) < 0.12 * shift
    stains = rng.uniform(0.0, 1.0, (*images.shape[:1], 3, 1, 1))
    worn = images * (1 - 0.6 * shift * fold[:, None])
    return np.asarray(np.where(spots, stains, worn))
