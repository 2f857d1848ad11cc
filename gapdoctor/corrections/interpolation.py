"""Images resized by another filter."""

from __future__ import annotations

from typing import ClassVar

import torch

from gapdoctor.corrections._argument import one_of
from gapdoctor.corrections._base import Candidate, Context, Correction, Kind
from gapdoctor.corrections._resize import Mode, round_trip


class Interpolation(Correction):
    """The images were resized by another filter than in training.

    Pillow smooths before it makes an image smaller, tensors were long resized without that
    (antialias), OpenCV takes the nearest or mixes two pixels. The original is gone, so train rows
    are resized to ¾ and back by the filter instead, without antialias: a mild damage of the same
    sort. `nearest`, `bilinear` and `bicubic` are tried.
    """

    name: ClassVar[str] = "interpolation"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.IMAGE, Kind.MAP})
    modes: ClassVar[dict[str, Mode]] = {
        "nearest": "nearest-exact",
        "bilinear": "bilinear",
        "bicubic": "bicubic",
    }
    share: ClassVar[float] = 0.75

    def candidates(self, context: Context) -> list[Candidate]:
        """Return a candidate a filter."""
        return [self.parse(name) for name in self.modes] if min(context.size) > 2 else []

    def parse(self, argument: str) -> Candidate:
        """Return the candidate of a filter."""
        name = one_of(argument, self.modes, "filter")
        mode = self.modes[name]

        def do(batch: torch.Tensor) -> torch.Tensor:
            return round_trip(batch, self.share, mode, antialias=False)

        return Candidate(self.name, name, f"resized by {name} without antialias", 0, do=do)
