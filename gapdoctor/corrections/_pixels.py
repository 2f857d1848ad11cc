"""Which model-ready values are black and white: the way back from a normalised tensor to pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from gapdoctor.corrections._argument import numbers, one_of, written
from gapdoctor.corrections._statistics import Statistics, per_channel


class Pair(NamedTuple):
    """Mean and standard deviation that pixels from 0 to 1 are normalised with."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


PAIRS: dict[str, Pair] = {
    "none": Pair((0.0,), (1.0,)),
    "bytes": Pair((0.0,), (1 / 255,)),  # pixels from 0 to 255
    "half": Pair((0.5,), (0.5,)),
    "imagenet": Pair((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "cifar10": Pair((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    # The mean of each picture's own deviation, copied through many CIFAR-10 repositories.
    "cifar10_narrow": Pair((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": Pair((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "clip": Pair((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "mnist": Pair((0.1307,), (0.3081,)),
    "fashion_mnist": Pair((0.2860,), (0.3530,)),
}
"""The usual pairs, as torchvision, timm, open_clip and the data sets' examples write them."""

_ANY_CHANNELS = ("none", "bytes", "half")
_OUTSIDE = 0.01
"""Share of a pair's range by which values may leave it: resizing overshoots."""
_EMPTY = 0.1
"""Share that they may leave empty: few photographs of one scene reach both black and white."""
_EMPTY_LIKELY = 0.3
"""The same for 0–1, 0–255 and −1–1, and where values are bytes under the pair."""
_EMPTY_STANDARD = 0.02
"""The same for rows of mean 0 and deviation 1: their own mean and deviation are as likely."""


@dataclass(frozen=True, slots=True)
class PixelRange:
    """Where black and white lie, one value for all channels or one a channel."""

    text: str
    """A pair's name, or `black:white` in numbers."""
    black: tuple[float, ...]
    white: tuple[float, ...]

    @property
    def title(self) -> str:
        """For a reader: a pair's name, as numbers are too many."""
        return "its own black and white" if ":" in self.text else self.text

    @classmethod
    def parse(cls, text: str) -> PixelRange:
        """Return the range that `text` writes; ValueError where it writes none."""
        name = text.strip()
        if ":" not in name:
            pair = PAIRS[one_of(name, PAIRS, "pixel range")]
            black = tuple(-m / s + 0.0 for m, s in zip(*pair, strict=True))
            return cls(name, black, tuple((1 - m) / s for m, s in zip(*pair, strict=True)))
        low, high = (numbers(side) for side in name.split(":", 1))
        if len(low) != len(high) or any(b >= w for b, w in zip(low, high, strict=True)):
            raise ValueError(f"{name!r}: as many values of black as of white, each below it")
        return cls(name, low, high)

    @classmethod
    def of(cls, train: Statistics) -> PixelRange:
        """Return the range of the train rows: a usual pair's where they fill it, else their own."""
        named = [cls.parse(name) for name in pairs_for(len(train.mean))]
        fits = [fit for span in named if (fit := _fit(span, train)) is not None]
        if fits:
            return min(fits, key=lambda fit: fit[:2])[2]
        low, high = train.lows, train.highs
        flat = high - low <= 1e-4 * torch.maximum(low.abs(), high.abs())  # a channel of one value
        high = torch.where(flat, low + low.abs().clamp(min=1), high)
        if len(low) > 1 and bool((low == low[0]).all() and (high == high[0]).all()):
            low, high = low[:1], high[:1]
        return cls.parse(f"{written(low.tolist())}:{written(high.tolist())}")

    def pixels(self, batch: torch.Tensor) -> torch.Tensor:
        """Return model-ready rows as pixels: 0 black, 1 white. x·s + m, for a pair (m, s)."""
        black, white = per_channel(self.black, batch), per_channel(self.white, batch)
        return (batch - black) / (white - black)

    def ready(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return pixels as model-ready rows. (p − m)/s, for a pair (m, s)."""
        black, white = per_channel(self.black, pixels), per_channel(self.white, pixels)
        return black + pixels * (white - black)


def _fit(span: PixelRange, rows: Statistics) -> tuple[bool, float, PixelRange] | None:
    """How well rows fill a pair's range, less being better; None where they do not."""
    black, white = (
        span.pixels(values.reshape(1, -1)).flatten() for values in (rows.lows, rows.highs)
    )
    empty = float((black + 1 - white).max())
    # Bytes stay whole numbers of 1/255 under their own pair, and under hardly any other.
    ends = 255 * torch.cat([black, white])
    odd = float((ends - ends.round()).abs().max()) > 0.02
    standard = bool(((rows.mean.abs() < 0.02) & ((rows.std - 1).abs() < 0.02)).all())
    likely = span.text in _ANY_CHANNELS or not odd
    most = _EMPTY_LIKELY if likely else _EMPTY_STANDARD if standard else _EMPTY
    if min(float(black.min()), float((1 - white).min())) < -_OUTSIDE or empty > most:
        return None
    uneven = float(black.max() - black.min() + white.max() - white.min())
    return odd, empty + uneven, span


def pairs_for(channels: int) -> list[str]:
    """Return the names of the pairs for so many channels."""
    return [
        name for name, pair in PAIRS.items() if name in _ANY_CHANNELS or len(pair.mean) == channels
    ]
