"""Mirrored images; spectrograms with an axis the wrong way round."""

from __future__ import annotations

from typing import ClassVar

import torch

from gapdoctor.corrections._argument import one_of
from gapdoctor.corrections._base import Candidate, Context, Correction, Kind
from gapdoctor.errors import DataError


class Flip(Correction):
    """An axis runs the wrong way round, or the two axes are exchanged.

    `horizontal` (also `time`) exchanges left and right: the last axis of a spectrogram, which
    usually is time. `vertical` (also `frequency`) exchanges top and bottom: images stored from
    the bottom line up, or frequency bins from high to low. `diagonal` exchanges rows and columns:
    arrays written column by column, as MATLAB does; tried on square samples only.
    """

    name: ClassVar[str] = "flip"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.IMAGE, Kind.MAP})
    axes: ClassVar[dict[str, int]] = {"horizontal": -1, "vertical": -2, "time": -1, "frequency": -2}

    def candidates(self, context: Context) -> list[Candidate]:
        """Return the three; without the diagonal, where it would change the shape."""
        height, width = context.size
        names = ["horizontal", "vertical"] + (["diagonal"] if height == width else [])
        return [self.parse(name) for name in names]

    def parse(self, argument: str) -> Candidate:
        """Return the candidate of an axis."""
        name = one_of(argument, (*self.axes, "diagonal"), "axis")
        if name == "diagonal":
            return Candidate(self.name, name, "rows and columns exchanged", 0, undo=_transposed)
        axis = self.axes[name]
        sides = "left and right" if axis == -1 else "top and bottom"
        label = f"{sides} exchanged ({'time' if axis == -1 else 'frequency'}, in a spectrogram)"

        def undo(batch: torch.Tensor) -> torch.Tensor:
            return batch.flip(axis)

        return Candidate(self.name, name, label, 0, undo=undo)


def _transposed(batch: torch.Tensor) -> torch.Tensor:
    height, width = batch.shape[-2:]
    if height != width:
        raise DataError(
            f"flip(diagonal): samples of {height}×{width} are not square",
            "flip(horizontal) and flip(vertical) keep their shape",
        )
    return batch.transpose(-2, -1).contiguous()
