"""Objects larger or smaller in the picture than in training."""

from __future__ import annotations

from typing import ClassVar

import torch

from gapdoctor.corrections._argument import positive
from gapdoctor.corrections._base import Candidate, Context, Correction, Kind
from gapdoctor.corrections._resize import centre_zoomed, framed, part

_WORDS = ("crop", "pad", "framed")


class CropZoom(Correction):
    """The images show less, or more, around the object than in training.

    `crop 0.875`: held-out images are the centre of what was trained on, resized to the whole. What
    was cut off cannot be got back, so the crop is done to train rows instead. `pad 0.875`:
    held-out images are smaller, with a frame (letterbox, or a plain resize where training
    cropped); undone by zooming into their centre. That brings back their size, not their
    sharpness: where too much of it is lost, `framed 0.875` does it to train rows instead, with the
    border repeated. A resize to 256 with a crop of 224 against a
    plain resize is the share 0.875 (Touvron et al. 2019, FixRes).
    """

    name: ClassVar[str] = "crop_zoom"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.IMAGE, Kind.MAP})
    shares: ClassVar[tuple[str, ...]] = ("0.875", "0.75", "0.65", "0.5")

    def candidates(self, context: Context) -> list[Candidate]:
        """Return the three for each share that makes another whole number of pixels."""
        height, width = context.size
        sizes = {(part(height, float(s)), part(width, float(s))): s for s in reversed(self.shares)}
        sizes.pop((height, width), None)
        shares = [s for s in self.shares if s in sizes.values()] if min(context.size) > 2 else []
        return [self.parse(f"{word} {share}") for word in _WORDS for share in shares]

    def parse(self, argument: str) -> Candidate:
        """Return the candidate of `crop SHARE`, `pad SHARE` or `framed SHARE`."""
        word, _, text = argument.partition(" ")
        if word not in _WORDS or not text.strip():
            raise ValueError("takes crop, pad or framed and a share, such as crop 0.875")
        share = positive(text)
        if share >= 1:
            raise ValueError(f"takes a share below 1, not {text}")

        def zoomed(batch: torch.Tensor) -> torch.Tensor:
            return centre_zoomed(batch, share)

        if word == "crop":
            label = f"only the centre {share:.3g} of height and width, zoomed in"
            return Candidate(self.name, argument, label, 0, do=zoomed)
        if word == "framed":
            label = f"shrunk to {share:.3g} of height and width, in a frame"
            return Candidate(self.name, argument, label, 0, do=lambda x: framed(x, share))
        label = f"zoomed into the centre {share:.3g} of height and width"
        return Candidate(self.name, argument, label, 0, undo=zoomed)
