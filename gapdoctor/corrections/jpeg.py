"""Images that went through JPEG."""

from __future__ import annotations

from io import BytesIO
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from gapdoctor.corrections._argument import number, parts
from gapdoctor.corrections._base import Candidate, Context, Correction, Kind
from gapdoctor.corrections._pixels import PixelRange


class Jpeg(Correction):
    """The images went through JPEG compression that training did not see.

    What it took cannot be got back, so train rows are written and read at quality 60, 40, 20 and
    10 instead, eight bits a pixel. Pixels run from the black to the white of the model-ready train
    rows, taken as in `invert`; what lies outside is clipped. A fourth channel stays as it is.
    """

    name: ClassVar[str] = "jpeg"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.IMAGE, Kind.MAP})
    qualities: ClassVar[tuple[str, ...]] = ("60", "40", "20", "10")

    def candidates(self, context: Context) -> list[Candidate]:
        """Return a candidate a quality, at the range of the train rows."""
        span = PixelRange.of(context.train).text
        return [self.parse(f"{quality}, {span}") for quality in self.qualities]

    def parse(self, argument: str) -> Candidate:
        """Return the candidate of `QUALITY, RANGE`."""
        text, span = parts(argument, 2, "a quality and a range, such as 20, imagenet")
        quality = int(number(text))
        if not 1 <= quality <= 100 or str(quality) != text:
            raise ValueError(f"takes a whole quality from 1 to 100, not {text}")
        pixels = PixelRange.parse(span)

        def do(batch: torch.Tensor) -> torch.Tensor:
            shown = pixels.pixels(batch.unsqueeze(1) if batch.ndim == 3 else batch)
            colours = 3 if shown.shape[1] >= 3 else 1
            lossy = _written_and_read(shown[:, :colours], quality)
            made = pixels.ready(torch.cat([lossy, shown[:, colours:]], dim=1))
            return made.squeeze(1) if batch.ndim == 3 else made

        return Candidate(self.name, argument, f"JPEG at quality {quality}", 0, do=do)


def _written_and_read(pixels: torch.Tensor, quality: int) -> torch.Tensor:
    """Return pixels (n, 1 or 3, H, W) after JPEG, picture by picture."""
    values = (pixels * 255).round().clamp(0, 255).to(torch.uint8).movedim(1, -1).cpu().numpy()
    read = np.empty_like(values)
    for place, value in enumerate(values):
        read[place] = _picture(value, quality).reshape(value.shape)
    return torch.from_numpy(read).movedim(-1, 1).to(pixels) / 255


def _picture(values: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return a picture (H, W, 1 or 3) after JPEG with Pillow's own settings (colours halved)."""
    from PIL import Image

    written = BytesIO()
    Image.fromarray(values.squeeze(-1) if values.shape[-1] == 1 else values).save(
        written, "JPEG", quality=quality
    )
    return np.asarray(Image.open(written))
