"""Images with another gamma."""

from __future__ import annotations

from typing import ClassVar

import torch

from gapdoctor.corrections._argument import parts, positive
from gapdoctor.corrections._base import Candidate, Context, Correction, Kind
from gapdoctor.corrections._pixels import PixelRange
from gapdoctor.corrections._statistics import misfit


class Gamma(Correction):
    """The images are linear where gamma-encoded ones are wanted, or the other way round.

    Undone by raising the pixels to the power 1/2.2, 2.2 (sRGB, nearly), ½ or 2: one fitted
    number, chosen from these. A power is tried only where it brings the quantiles of the held-out
    rows nearer to those of the train rows. Pixels run from the black to the white of the
    model-ready train rows, taken as in `invert`; what lies below black is black.
    """

    name: ClassVar[str] = "gamma"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.IMAGE, Kind.MAP})
    powers: ClassVar[tuple[str, ...]] = ("1/2.2", "2.2", "1/2", "2")

    def candidates(self, context: Context) -> list[Candidate]:
        """Return the powers that bring the quantiles nearer."""
        span = PixelRange.of(context.train)
        have = context.heldout.quantiles
        return [
            self.parse(f"{power}, {span.text}")
            for power in self.powers
            if misfit(_raised(have.T, span, positive(power)).T, context.train)
            < misfit(have, context.train)
        ]

    def parse(self, argument: str) -> Candidate:
        """Return the candidate of `POWER, RANGE`."""
        text, span = parts(argument, 2, "a power and a range, such as 2.2, imagenet")
        power, pixels = positive(text), PixelRange.parse(span)

        def undo(batch: torch.Tensor) -> torch.Tensor:
            return _raised(batch, pixels, power)

        return Candidate(self.name, argument, f"pixels to the power {text}", 1, undo=undo)


def _raised(batch: torch.Tensor, span: PixelRange, power: float) -> torch.Tensor:
    return span.ready(span.pixels(batch).clamp(min=0) ** power)
