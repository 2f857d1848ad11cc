"""The data sets of the clinic: rows, the pipeline that makes tensors of them, an augmentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch

from tests.clinic.pipelines import (
    AnyPipeline,
    Augment,
    ImagePipeline,
    SoundPipeline,
    TablePipeline,
    random_crop,
    random_noise,
)
from tests.clinic.sources import digits, emblems, scenes, sounds, strokes, tables
from tests.clinic.sources.drawn import Drawn

Priors = tuple[float, ...] | None
Draw = Callable[[str, int, float, Priors], Drawn]


@dataclass(frozen=True, eq=False)
class Source:
    """A data set with what belongs to it."""

    name: str
    kind: str
    """`grey`, `colour`, `table` or `sound`."""
    draw: Draw
    classes: tuple[str, ...]
    pool_rows: int
    """Rows of which train rows are the first; a teacher may have seen all of them."""
    train_rows: int
    heldout_rows: int
    augment: Augment
    augment_names: tuple[str, ...]
    """How the recipe names the augmentation."""
    image: ImagePipeline | SoundPipeline | None = None

    def pool(self, priors: Priors = None, shift: float = 0.0) -> Drawn:
        """Return all rows that models may be trained on."""
        return _drawn(self.name, "pool", self.pool_rows, shift, priors)

    def train(self, rows: int | None = None, priors: Priors = None) -> Drawn:
        """Return the first rows of the pool."""
        return self.pool(priors).first(rows or self.train_rows)

    def heldout(self, shift: float = 0.0, priors: Priors = None) -> Drawn:
        """Return held-out rows, or those that a moved world or other priors would give."""
        return _drawn(self.name, "heldout", self.heldout_rows, shift, priors)

    @property
    def pipeline(self) -> AnyPipeline:
        """What makes tensors of raw rows; a table's is fitted to the default train rows."""
        return self.image if self.image is not None else _fitted(self.name)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one model-ready sample."""
        return tuple(self.pipeline(self.train(1).raw).shape[1:])


_MNIST = ((0.1307,), (0.3081,))
_FASHION = ((0.2860,), (0.3530,))
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

SOURCES: dict[str, Source] = {
    s.name: s
    for s in (
        Source(
            "digits", "grey", digits.draw, digits.CLASSES, 1100, 1100, 697,
            random_crop(1), ("crop",), ImagePipeline(*_MNIST),
        ),
        Source(
            "emblems", "colour", emblems.draw, emblems.CLASSES, 6000, 2000, 3000,
            random_crop(2), ("crop",), ImagePipeline(*_IMAGENET),
        ),
        Source(
            "tables", "table", tables.draw, tables.CLASSES, 6000, 2000, 3000,
            random_noise(0.15), ("noise",),
        ),
        Source(
            "strokes", "grey", strokes.draw, strokes.CLASSES, 6000, 2000, 3000,
            random_crop(2), ("crop",), ImagePipeline(*_FASHION),
        ),
        Source(
            "scenes", "colour", scenes.draw, scenes.CLASSES, 6000, 2000, 3000,
            random_crop(2), ("crop",), ImagePipeline(*_HALF),
        ),
        Source(
            "sounds", "sound", sounds.draw, sounds.CLASSES, 6000, 2000, 3000,
            random_crop(2), ("shift",), SoundPipeline(),
        ),
    )
}  # fmt: skip


@cache
def _drawn(name: str, part: str, rows: int, shift: float, priors: Priors) -> Drawn:
    return SOURCES[name].draw(part, rows, shift, priors)


@cache
def _fitted(name: str) -> TablePipeline:
    raw = torch.from_numpy(SOURCES[name].train().raw)
    return TablePipeline(tuple(raw.mean(0).tolist()), tuple(raw.std(0, unbiased=False).tolist()))
