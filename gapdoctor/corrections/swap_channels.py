"""BGR for RGB."""

from __future__ import annotations

from typing import ClassVar

import torch

from gapdoctor.corrections._base import Candidate, Context, Correction, Kind
from gapdoctor.corrections._pixels import PixelRange


class SwapChannels(Correction):
    """The colour channels are in reverse order: BGR for RGB.

    OpenCV reads BGR, Pillow RGB. Undone by reversing the first three channels. Where black and
    white differ by channel (ImageNet's pair), a swap before normalising also leaves each channel
    with another's mean and deviation: `swap_channels(imagenet)` reverses the pixels.
    """

    name: ClassVar[str] = "swap_channels"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.IMAGE})

    def candidates(self, context: Context) -> list[Candidate]:
        """Return the swap; and the swap of pixels, where that is another."""
        pixels = PixelRange.of(context.train)
        found = [""] if len(pixels.black) == 1 else ["", pixels.text]
        return [self.parse(argument) for argument in found]

    def parse(self, argument: str) -> Candidate:
        """Return the candidate of nothing, or of `RANGE`."""
        label = "channels reversed (BGR ↔ RGB)"
        if not argument:
            return Candidate(self.name, "", label, 0, undo=_reversed)
        pixels = PixelRange.parse(argument)

        def undo(batch: torch.Tensor) -> torch.Tensor:
            return pixels.ready(_reversed(pixels.pixels(batch)))

        return Candidate(self.name, argument, f"{label} before normalising", 0, undo=undo)


def _reversed(batch: torch.Tensor) -> torch.Tensor:
    return torch.cat([batch[:, :3].flip(1), batch[:, 3:]], dim=1)
