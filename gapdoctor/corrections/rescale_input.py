"""Inputs on another scale: 0–255 for 0–1, or the other way round."""

from __future__ import annotations

from typing import ClassVar

import torch

from gapdoctor.corrections._argument import parts, positive
from gapdoctor.corrections._base import Candidate, Context, Correction, Kind
from gapdoctor.corrections._pixels import PixelRange


class RescaleInput(Correction):
    """The inputs are a constant factor too large or too small.

    Pixels from 0 to 255 where the student was trained on 0 to 1, or a division by 255 that was
    made twice. Undone by the factor 255, 1/255, 2, ½, 16 or 1/16 (the last for 4-bit data).

    Images that are normalised after the wrong scaling are off by more than a factor: their black
    does not stay where it was. For them, 255 and 1/255 are also tried on the pixels, counted from
    the black of the train rows: `rescale_input(1/255, imagenet)`.
    """

    name: ClassVar[str] = "rescale_input"
    kinds: ClassVar[frozenset[Kind]] = frozenset(Kind)
    factors: ClassVar[tuple[str, ...]] = ("255", "1/255", "2", "1/2", "16", "1/16")
    pixel_factors: ClassVar[tuple[str, ...]] = ("255", "1/255")

    def candidates(self, context: Context) -> list[Candidate]:
        """Return a candidate a factor; two more where black is not 0."""
        found = list(self.factors)
        if context.kind in (Kind.IMAGE, Kind.MAP):
            pixels = PixelRange.of(context.train)
            if any(pixels.black):
                found += [f"{factor}, {pixels.text}" for factor in self.pixel_factors]
        return [self.parse(argument) for argument in found]

    def parse(self, argument: str) -> Candidate:
        """Return the candidate of `FACTOR` or `FACTOR, RANGE`; a factor may be a fraction."""
        text, comma, span = argument.partition(",")
        text = parts(text, 1, "a factor, such as 255 or 1/255")[0]
        factor = positive(text)
        sign = f"÷ {text[2:]}" if text.startswith("1/") else f"× {text}"
        if not comma:
            return Candidate(self.name, argument, f"input {sign}", 0, undo=lambda x: x * factor)
        pixels = PixelRange.parse(span)

        def undo(batch: torch.Tensor) -> torch.Tensor:
            return pixels.ready(pixels.pixels(batch) * factor)

        label = f"pixels {sign} before they are normalised"
        return Candidate(self.name, argument, label, 0, undo=undo)
