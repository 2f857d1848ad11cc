"""One sample as a small PNG, for people to look at."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from gapdoctor.observe.case import Split
from gapdoctor.observe.observations import Observations
from gapdoctor.observe.splits import parts_of

if TYPE_CHECKING:
    from PIL.Image import Image

SMALLEST = 96
"""Pixels of the longer side, at least: a picture of 8 × 8 is enlarged, each pixel a block."""
LONGEST = 192
"""Pixels of the longer side, at most."""
AREA = 96 * 96
"""Pixels of a reduced picture, at most: 24 such photographs take a quarter of a megabyte."""
NARROWEST = 4
"""Pixels of the shorter side from which an array is looked at as a picture."""
PLAIN_BYTES = 5_000
"""A larger PNG is written in 256 colours of its own, which takes a third."""


def pictures_of(seen: Observations, positions: NDArray[np.int64]) -> list[bytes | None]:
    """Return a PNG of each held-out row that can be looked at.

    Parameters
    ----------
    seen : Observations
        After looking.
    positions : (n,) int
        Of the reporting half, among the rows used.

    Returns
    -------
    list of bytes or None
        The raw sample where it is a PIL image, else what the student eats (see `picture`).

    Raises
    ------
    GapDoctorError
        When a row cannot be read again.
    """
    if not len(positions):
        return []
    numbers = seen.rows(Split.HELDOUT).index[positions]
    part = parts_of(seen.data, Split.HELDOUT)[-1]  # half B: test's rows where given
    raw = [picture(sample) if _is_image(sample) else None for sample in part.read(numbers).inputs]
    eaten = seen.inputs(Split.HELDOUT, positions)
    return [found or picture(sample) for found, sample in zip(raw, eaten, strict=True)]


def picture(sample: Any) -> bytes | None:
    """Return a sample as PNG without any metadata; None where it is no picture.

    Parameters
    ----------
    sample : PIL image or tensor
        A tensor is a picture when it is (H, W), (1, H, W) or (3, H, W), floating or bytes, and
        not thinner than `NARROWEST`. Its values are scaled from its own least to its own largest.

    Returns
    -------
    bytes or None
        Enlarged, each pixel to a block, until the longer side has `SMALLEST` pixels at least; or
        reduced to `AREA` pixels where it has more.
    """
    try:
        image = _of_image(sample) if _is_image(sample) else _of_tensor(sample)
        return None if image is None else _png(_sized(image))
    except (OSError, ValueError, SyntaxError):  # a file that is cut short shows when it is decoded
        return None


def _is_image(sample: object) -> bool:
    from PIL import Image

    return isinstance(sample, Image.Image)


def _of_image(image: Image) -> Image:
    if image.mode in ("1", "L"):
        return image.convert("L")
    if image.mode[0] in "IF":  # of 16 or 32 bits, which `convert` would cut off at 255
        return _grey_or_colour(np.asarray(image))
    return image.convert("RGB")


def _of_tensor(sample: torch.Tensor) -> Image | None:
    if not (sample.is_floating_point() or sample.dtype is torch.uint8):
        return None
    if sample.ndim == 3 and sample.shape[0] in (1, 3):
        pixels = sample.movedim(0, -1).squeeze(-1).numpy()
    elif sample.ndim == 2:
        pixels = sample.numpy()
    else:
        return None
    return _grey_or_colour(pixels) if min(pixels.shape[:2]) >= NARROWEST else None


def _grey_or_colour(pixels: NDArray[Any]) -> Image:
    """Return (H, W) or (H, W, 3) numbers as an image, from black at the least to the largest."""
    from PIL import Image

    numbers = pixels.astype(np.float64)
    known = numbers[np.isfinite(numbers)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
    if high <= low:
        return Image.fromarray(np.full(numbers.shape, 128, dtype=np.uint8))
    clear = np.nan_to_num(numbers, nan=low, posinf=high, neginf=low)
    return Image.fromarray(np.round(255 * (clear - low) / (high - low)).astype(np.uint8))


def _sized(image: Image) -> Image:
    from PIL.Image import Resampling

    width, height = image.size
    longer = max(width, height)
    if longer < SMALLEST:
        times = math.ceil(SMALLEST / longer)
        return image.resize((width * times, height * times), Resampling.NEAREST)
    scale = min(LONGEST / longer, math.sqrt(AREA / (width * height)))
    if scale >= 1:
        return image
    smaller = (max(1, int(width * scale)), max(1, int(height * scale)))
    return image.resize(smaller, Resampling.BICUBIC)


def _png(image: Image) -> bytes:
    from PIL import Image as Images

    # Made anew of its pixels alone: a photograph's own metadata tell where it was taken.
    bare = Images.frombytes(image.mode, image.size, image.tobytes())
    exact = _saved(bare)
    if len(exact) <= PLAIN_BYTES or image.mode != "RGB":
        return exact
    return _saved(bare.quantize(256, dither=Images.Dither.NONE))


def _saved(image: Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="png", optimize=True)
    return stream.getvalue()
