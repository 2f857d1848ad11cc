"""Tables of the tuning part: 24 columns in different units, six classes of three clusters each.

The columns are nonlinear mixtures of eight hidden numbers; a third of them is skewed (incomes),
a third counts something, and each has its own unit and offset, as tables do.
"""

from __future__ import annotations

import numpy as np

from tests.clinic.sources.drawn import Drawn, labels_of

CLASSES = tuple("ABCDEF")
COLUMNS = 24
_HIDDEN = 8
_CLUSTERS = 3


def draw(part: str, rows: int, shift: float, priors: tuple[float, ...] | None) -> Drawn:
    """Return rows of the pool or of held-out; `shift` moves the clusters: another region."""
    seed = {"pool": 31, "heldout": 32}[part]
    labels = labels_of(rows, len(CLASSES), priors, [seed, 0])
    rng = np.random.default_rng([seed, 1])
    world = np.random.default_rng(30)
    centres = world.normal(0.0, 1.7, (len(CLASSES), _CLUSTERS, _HIDDEN))
    drift = world.normal(0.0, 1.0, (len(CLASSES), _CLUSTERS, _HIDDEN))
    cluster = rng.integers(0, _CLUSTERS, rows)
    hidden = centres[labels, cluster] + shift * drift[labels, cluster]
    hidden = hidden + rng.normal(0.0, 1.0, hidden.shape)
    mixed = np.tanh(hidden @ world.normal(0.0, 0.45, (_HIDDEN, 20))) @ world.normal(
        0.0, 0.6, (20, COLUMNS)
    )
    mixed = mixed + 0.35 * hidden @ world.normal(0.0, 0.5, (_HIDDEN, COLUMNS))
    mixed = mixed + rng.normal(0.0, 0.35, mixed.shape)
    return Drawn(_in_units(mixed, world), labels)


def _in_units(mixed: np.ndarray, world: np.random.Generator) -> np.ndarray:
    kind = np.arange(COLUMNS) % 3
    values = np.where(
        kind == 0, np.exp(0.6 * mixed), np.where(kind == 1, np.rint(3 * mixed), mixed)
    )
    units = 10.0 ** world.uniform(-1.5, 2.5, COLUMNS)
    offsets = world.normal(0.0, 3.0, COLUMNS)
    return np.asarray((values + offsets) * units, dtype=np.float32)
