"""Images darker or brighter by a factor."""

from __future__ import annotations

import math
from typing import ClassVar

import torch

from gapdoctor.corrections._argument import parts, positive, written
from gapdoctor.corrections._base import Candidate, Context, Correction, Kind
from gapdoctor.corrections._pixels import PixelRange
from gapdoctor.corrections._statistics import Statistics

_AGREE = 0.1
"""Logarithm of the factor: means of a few hundred rows differ by so much by chance."""


class Brightness(Correction):
    """The images are darker or brighter by a factor.

    Another exposure, or pixels that were scaled by something else than their maximum. The factor
    is the ratio of the mean pixel of the train rows to that of the held-out rows, one fitted
    number. Where the ratio of the whitest pixels is about the same, it is taken: it is exact where
    nothing was clipped. Pixels are counted from the black of the model-ready train rows, taken as
    in `invert`. What was clipped at white is not got back.
    """

    name: ClassVar[str] = "brightness"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.IMAGE, Kind.MAP})

    def candidates(self, context: Context) -> list[Candidate]:
        """Return the fitted factor, where it is not near 1."""
        pixels = PixelRange.of(context.train)
        want, have = _mean(pixels, context.train), _mean(pixels, context.heldout)
        if min(want, have) < 1e-3 or abs(math.log(want / have)) < 0.05:
            return []
        factor, exact = want / have, _white(pixels, context.train) / _white(pixels, context.heldout)
        if abs(math.log(exact / factor)) < _AGREE:
            factor = exact
        return [self.parse(f"{written([factor])}, {pixels.text}")]

    def parse(self, argument: str) -> Candidate:
        """Return the candidate of `FACTOR, RANGE`."""
        text, span = parts(argument, 2, "a factor and a range, such as 2, imagenet")
        factor, pixels = positive(text), PixelRange.parse(span)

        def undo(batch: torch.Tensor) -> torch.Tensor:
            return pixels.ready(pixels.pixels(batch) * factor)

        return Candidate(self.name, argument, f"brightness × {factor:.3g}", 1, undo=undo)


def _mean(pixels: PixelRange, rows: Statistics) -> float:
    return float(pixels.pixels(rows.mean.reshape(1, -1)).mean())


def _white(pixels: PixelRange, rows: Statistics) -> float:
    return max(1e-3, float(pixels.pixels(rows.highs.reshape(1, -1)).max()))
