"""Images that lost their detail."""

from __future__ import annotations

from typing import ClassVar

import torch

from gapdoctor.corrections._argument import positive
from gapdoctor.corrections._base import Candidate, Context, Correction, Kind
from gapdoctor.corrections._resize import round_trip


class LowResolution(Correction):
    """The images have less detail than in training: enlarged from small ones, or blurred.

    Detail cannot be got back, so it is taken from train rows instead: made smaller by 2, 3 or 4
    and enlarged again, or blurred by a Gaussian with a deviation of 0.75, 1, 1.5 or 2 pixels.
    """

    name: ClassVar[str] = "low_resolution"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.IMAGE, Kind.MAP})
    factors: ClassVar[tuple[str, ...]] = ("2", "3", "4")
    blurs: ClassVar[tuple[str, ...]] = ("0.75", "1", "1.5", "2")

    def candidates(self, context: Context) -> list[Candidate]:
        """Return the factors that leave two pixels or more, and the blurs."""
        shortest = min(context.size)
        factors = [f for f in self.factors if shortest // int(f) >= 2]
        blurs = [f"blur {b}" for b in self.blurs] if shortest > 2 else []
        return [self.parse(argument) for argument in (*factors, *blurs)]

    def parse(self, argument: str) -> Candidate:
        """Return the candidate of a factor, or of `blur DEVIATION`."""
        word, _, text = argument.partition(" ")
        if word == "blur":
            deviation = positive(text)
            label = f"blurred, deviation {deviation:.3g} pixels"
            return Candidate(self.name, argument, label, 0, do=lambda x: _blurred(x, deviation))
        factor = positive(argument)
        if factor <= 1:
            raise ValueError("takes a factor above 1, or blur and a deviation, such as blur 1.5")
        label = f"{factor:.3g} times smaller and enlarged again"
        return Candidate(self.name, argument, label, 0, do=lambda x: round_trip(x, 1 / factor))


def _blurred(batch: torch.Tensor, deviation: float) -> torch.Tensor:
    """Separable Gaussian, the border repeated, as one product of matrices an axis."""
    height, width = batch.shape[-2:]
    exact = batch.float() if batch.dtype in (torch.float16, torch.bfloat16) else batch
    down, across = _gaussian(height, deviation).to(exact), _gaussian(width, deviation).to(exact)
    return (down @ exact @ across.T).to(batch.dtype)


def _gaussian(length: int, deviation: float) -> torch.Tensor:
    """(length, length): row i holds the weights of the pixels that make pixel i."""
    reach = max(1, round(4 * deviation))
    steps = torch.arange(-reach, reach + 1)
    weights = torch.exp(-0.5 * (steps.double() / deviation) ** 2)
    weights /= weights.sum()
    places = (torch.arange(length)[:, None] + steps).clamp(0, length - 1)
    kernel = torch.zeros(length, length, dtype=torch.float64)
    return kernel.scatter_add_(1, places, weights.expand(length, -1))
