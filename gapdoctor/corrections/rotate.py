"""Images turned by a right angle."""

from __future__ import annotations

from typing import ClassVar

import torch

from gapdoctor.corrections._argument import one_of
from gapdoctor.corrections._base import Candidate, Context, Correction, Kind
from gapdoctor.errors import DataError


class Rotate(Correction):
    """The images are turned by 90°, 180° or 270°.

    A camera's orientation tag that one of two readers ignores. The argument is the angle that
    mends it, counter-clockwise. Samples that are not square are tried at 180° only.
    """

    name: ClassVar[str] = "rotate"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.IMAGE, Kind.MAP})
    angles: ClassVar[tuple[str, ...]] = ("90", "180", "270")

    def candidates(self, context: Context) -> list[Candidate]:
        """Return a candidate an angle that keeps the shape."""
        height, width = context.size
        return [self.parse(a) for a in self.angles if height == width or a == "180"]

    def parse(self, argument: str) -> Candidate:
        """Return the candidate of an angle."""
        angle = one_of(argument, self.angles, "angle")

        def undo(batch: torch.Tensor) -> torch.Tensor:
            height, width = batch.shape[-2:]
            if height != width and angle != "180":
                raise DataError(
                    f"rotate({angle}): samples of {height}×{width} are not square",
                    "rotate(180) is the only turn that keeps their shape",
                )
            return torch.rot90(batch, int(angle) // 90, dims=(-2, -1))

        label = f"turned by {angle}°" + ("" if angle == "180" else " counter-clockwise")
        return Candidate(self.name, angle, label, 0, undo=undo)
