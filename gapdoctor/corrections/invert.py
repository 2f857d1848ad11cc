"""Black for white."""

from __future__ import annotations

from typing import ClassVar

import torch

from gapdoctor.corrections._base import Candidate, Context, Correction, Kind
from gapdoctor.corrections._pixels import PixelRange


class Invert(Correction):
    """Black and white are exchanged: a negative.

    Dark digits on white paper where the student was trained on white strokes. Undone by
    exchanging black and white as they lie in the model-ready train rows: those of the usual pair
    of mean and deviation that the rows touch, else their smallest and largest value a channel.
    """

    name: ClassVar[str] = "invert"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.IMAGE, Kind.MAP})

    def candidates(self, context: Context) -> list[Candidate]:
        """Return the one candidate, at the range of the train rows."""
        return [self.parse(PixelRange.of(context.train).text)]

    def parse(self, argument: str) -> Candidate:
        """Return the candidate of `RANGE`: a pair's name, or `black:white` in numbers."""
        pixels = PixelRange.parse(argument)

        def undo(batch: torch.Tensor) -> torch.Tensor:
            return pixels.ready(1 - pixels.pixels(batch))

        return Candidate(self.name, argument, "black and white exchanged", 0, undo=undo)
