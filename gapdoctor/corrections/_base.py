"""What every correction is: candidates that undo a transform, or do it to train rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import torch

from gapdoctor.corrections._statistics import Statistics
from gapdoctor.discovery import find_plugins

Transform = Callable[[torch.Tensor], torch.Tensor]


class Kind(StrEnum):
    """What a model-ready sample looks like, by its shape alone."""

    IMAGE = "image"
    """(C, H, W) with C = 3 or 4."""
    MAP = "map"
    """(1, H, W) or (H, W): a grey image or a spectrogram; nobody can tell by the shape."""
    COLUMNS = "columns"
    """(d,): features or a row of a table."""
    OTHER = "other"


def kind_of(shape: tuple[int, ...]) -> Kind:
    """Return the kind of a model-ready sample of this shape (without batch axis)."""
    if len(shape) == 3 and shape[0] in (3, 4):
        return Kind.IMAGE
    if len(shape) == 2 or (len(shape) == 3 and shape[0] == 1):
        return Kind.MAP
    return Kind.COLUMNS if len(shape) == 1 else Kind.OTHER


@dataclass(frozen=True, slots=True)
class Context:
    """What candidates may be made from. Held-out statistics are those of half A."""

    train: Statistics
    heldout: Statistics
    shape: tuple[int, ...]
    """Of one model-ready sample."""

    @property
    def kind(self) -> Kind:
        """Image, map, columns or other."""
        return kind_of(self.shape)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, of images and maps."""
        return self.shape[-2], self.shape[-1]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way in which the inputs may have gone wrong, and how to tell.

    Exactly one of `undo` and `do` is given. Both take a batch of model-ready floating-point rows
    (n, C, H, W), (n, H, W) or (n, d) and return a new one of the same shape, type and device.
    """

    correction: str
    """Its id."""
    argument: str
    """With the id it says the whole of it: `rescale_input(255)`; empty where there is nothing."""
    label: str
    """For a reader. With `undo`, what mends the rows: `input × 255`. With `do`, what may have
    happened to them: `JPEG at quality 20`."""
    fitted: int
    """Numbers fitted to held-out rows; 0 for a fixed transform. Fewer is more specific. Numbers
    of the train rows (black and white, mean, standard deviation) are not counted: they are known
    whatever went wrong."""
    undo: Transform | None = None
    """Model-ready held-out batch -> what the model should have been fed."""
    do: Transform | None = None
    """Model-ready train batch -> what it would look like had this gone wrong: for transforms
    that cannot be undone."""

    @property
    def text(self) -> str:
        """How the config writes it."""
        return f"{self.correction}({self.argument})" if self.argument else self.correction


class Correction(ABC):
    """A transform that may have gone wrong.

    A subclass sits alone in a file of this folder that bears its `name`; its docstring is its
    manual page.
    """

    name: ClassVar[str]
    kinds: ClassVar[frozenset[Kind]]
    """Kinds of sample that it makes sense for."""

    @abstractmethod
    def candidates(self, context: Context) -> list[Candidate]:
        """Return the candidates to try on samples of this context; none is a sound answer."""

    @abstractmethod
    def parse(self, argument: str) -> Candidate:
        """Return the candidate that `argument` names, as `Candidate.argument` wrote it.

        Raises
        ------
        ValueError
            When the argument is none of this correction's.
        """


def all_corrections() -> list[Correction]:
    """Return every correction found in this folder, by name."""
    return find_plugins("gapdoctor.corrections", Correction)


def all_candidates(context: Context) -> list[Candidate]:
    """Return the whole grid for samples of this context: by correction, each in its own order."""
    return [
        candidate
        for correction in all_corrections()
        if context.kind in correction.kinds
        for candidate in correction.candidates(context)
    ]
