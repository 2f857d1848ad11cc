"""Grey images of the reporting part: written letters of straight strokes, 16×16.

Some letters turn into others when turned or mirrored (N and Z, L and its mirror image); letters
are leant, moved, shaken and written with different pens.
"""

from __future__ import annotations

import numpy as np

from tests.clinic.sources.drawn import Bytes, Drawn, as_bytes, labels_of

_LETTERS: dict[str, list[tuple[float, float, float, float]]] = {
    "L": [(0, 0, 0, 1), (0, 1, 1, 1)],
    "J": [(1, 0, 1, 1), (1, 1, 0, 1)],
    "T": [(0, 0, 1, 0), (0.5, 0, 0.5, 1)],
    "V": [(0, 0, 0.5, 1), (0.5, 1, 1, 0)],
    "N": [(0, 1, 0, 0), (0, 0, 1, 1), (1, 1, 1, 0)],
    "Z": [(0, 0, 1, 0), (1, 0, 0, 1), (0, 1, 1, 1)],
    "H": [(0, 0, 0, 1), (1, 0, 1, 1), (0, 0.5, 1, 0.5)],
    "Y": [(0, 0, 0.5, 0.5), (1, 0, 0.5, 0.5), (0.5, 0.5, 0.5, 1)],
    "F": [(0, 0, 0, 1), (0, 0, 1, 0), (0, 0.5, 0.8, 0.5)],
    "K": [(0, 0, 0, 1), (0, 0.5, 1, 0), (0, 0.5, 1, 1)],
}
CLASSES = tuple(_LETTERS)
SIZE = 16


def draw(part: str, rows: int, shift: float, priors: tuple[float, ...] | None) -> Drawn:
    """Return rows of the pool or of held-out; `shift` is haste: bent, leant, thin, crossed out."""
    seed = {"pool": 51, "heldout": 52}[part]
    labels = labels_of(rows, len(CLASSES), priors, [seed, 0])
    rng = np.random.default_rng([seed, 1])
    lines = _written(rng, labels, shift)
    pen = rng.uniform(0.55, 1.15, rows) * (1 - 0.3 * shift)
    ink = rng.uniform(0.45, 1.0, rows)
    images = ink[:, None, None] * _drawn_lines(lines, pen)
    paper = rng.uniform(0.0, 0.15, rows)[:, None, None]
    noise = rng.normal(0.0, 0.17, images.shape)
    return Drawn(as_bytes(paper + (1 - paper) * images + noise), labels)


def _written(rng: np.random.Generator, labels: np.ndarray, shift: float) -> np.ndarray:
    """Ends of strokes (N, 4, 2, 2) in pixels; a letter of fewer strokes repeats its last."""
    templates = np.stack(
        [
            np.array([*strokes, *[strokes[-1]] * (4 - len(strokes))]).reshape(4, 2, 2)
            for strokes in _LETTERS.values()
        ]
    )
    n = len(labels)
    points = templates[labels] - 0.5
    points = points + rng.normal(0.0, 0.10 + 0.06 * shift, points.shape)
    turn, lean = rng.normal(0.0, 0.16 + 0.3 * shift, n), rng.normal(0.0, 0.2 + 0.2 * shift, n)
    wide, high = rng.uniform(5.5, 10.0, n), rng.uniform(7.0, 11.0, n)
    x = points[..., 0] * wide[:, None, None] + lean[:, None, None] * points[..., 1] * 8
    y = points[..., 1] * high[:, None, None]
    c, s = np.cos(turn)[:, None, None], np.sin(turn)[:, None, None]
    moved = rng.uniform(6.3, 8.7, (n, 1, 1, 2))
    lines = np.stack([c * x - s * y, s * x + c * y], axis=-1) + moved
    crossing = rng.uniform(2, 14, (n, 2, 2))
    crossed = rng.random(n) < 0.5 * shift
    lines[crossed, 3] = crossing[crossed]
    return np.asarray(lines)


def _drawn_lines(lines: np.ndarray, pen: np.ndarray) -> np.ndarray:
    """Distance to the nearest stroke, turned to ink; (N, 16, 16)."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(float)
    pixels = np.stack([x, y], axis=-1).reshape(1, -1, 2)
    nearest = np.full((len(lines), SIZE * SIZE), np.inf)
    for stroke in range(lines.shape[1]):
        start, end = lines[:, stroke, 0][:, None], lines[:, stroke, 1][:, None]
        along = end - start
        length = np.maximum((along**2).sum(-1), 1e-6)
        t = np.clip((((pixels - start) * along).sum(-1)) / length, 0, 1)
        foot = start + t[..., None] * along
        nearest = np.minimum(nearest, np.sqrt(((pixels - foot) ** 2).sum(-1)))
    ink = 1 / (1 + np.exp(4 * (nearest - pen[:, None])))
    return np.asarray(ink.reshape(-1, SIZE, SIZE))


__all__ = ["CLASSES", "Bytes", "draw"]
