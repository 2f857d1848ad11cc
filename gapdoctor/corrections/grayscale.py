"""Grey images where colour was trained on."""

from __future__ import annotations

from typing import ClassVar

import torch

from gapdoctor.corrections._base import Candidate, Context, Correction, Kind
from gapdoctor.corrections._pixels import PixelRange
from gapdoctor.corrections._statistics import per_channel

_LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601), as Pillow and OpenCV take them."""


class Grayscale(Correction):
    """The images are grey where the student was trained on colour.

    Colour cannot be got back, so it is taken from train rows instead: all three channels become
    the luma of the pixels, which run from the black to the white of the model-ready train rows,
    taken as in `invert`. A fourth channel stays as it is.
    """

    name: ClassVar[str] = "grayscale"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.IMAGE})

    def candidates(self, context: Context) -> list[Candidate]:
        """Return the one candidate, at the range of the train rows."""
        return [self.parse(PixelRange.of(context.train).text)]

    def parse(self, argument: str) -> Candidate:
        """Return the candidate of `RANGE`: a pair's name, or `black:white` in numbers."""
        span = PixelRange.parse(argument)

        def do(batch: torch.Tensor) -> torch.Tensor:
            pixels = span.pixels(batch)
            colours = pixels[:, :3]
            luma = (colours * per_channel(_LUMA, colours)).sum(dim=1, keepdim=True)
            return span.ready(torch.cat([luma.expand_as(colours), pixels[:, 3:]], dim=1))

        return Candidate(self.name, argument, "grey instead of colour", 0, do=do)
