"""From raw samples to model-ready tensors, and the steps in which that can go wrong."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

Step = Callable[[torch.Tensor], torch.Tensor]
"""On pixels or decibels (n, C, H, W), before they are normalised."""


@dataclass(frozen=True, eq=False)
class ImagePipeline:
    """Bytes (n, H, W) or (n, H, W, 3) -> (n, C, H, W): scale, steps, mean and deviation."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = 255.0
    steps: tuple[Step, ...] = ()
    late: tuple[Step, ...] = ()
    """Steps after normalising."""

    def __call__(self, raw: NDArray[Any]) -> torch.Tensor:
        pixels = torch.from_numpy(np.asarray(raw, dtype=np.float32)) / self.scale
        pixels = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
        for step in self.steps:
            pixels = step(pixels)
        mean, std = (torch.tensor(v).reshape(1, -1, 1, 1) for v in (self.mean, self.std))
        ready = ((pixels - mean) / std).contiguous()
        for step in self.late:
            ready = step(ready)
        return ready

    def one(self, sample: NDArray[Any]) -> torch.Tensor:
        """Return the tensor of one raw sample, as most users' pipelines do."""
        return self(np.asarray(sample)[None])[0]


@dataclass(frozen=True, eq=False)
class SoundPipeline:
    """Linear power (n, F, T) -> (n, 1, F, T): decibels above a floor, normalised."""

    log: str = "db"
    """`db`, `ln` (natural logarithm instead of decibels) or `linear` (no logarithm)."""
    floor: float = -40.0
    mean: float = -12.0
    std: float = 10.0
    gain: float = 0.0
    """Decibels added: a microphone set louder."""
    steps: tuple[Step, ...] = ()

    def __call__(self, raw: NDArray[Any]) -> torch.Tensor:
        power = torch.from_numpy(np.asarray(raw, dtype=np.float32)).unsqueeze(1)
        power = power * 10 ** (self.gain / 10)
        if self.log == "db":
            values = (10 * torch.log10(power.clamp(min=1e-12))).clamp(min=self.floor)
        elif self.log == "ln":
            values = torch.log(power.clamp(min=1e-12)).clamp(min=self.floor * np.log(10) / 10)
        else:
            values = power
        for step in self.steps:
            values = step(values)
        return ((values - self.mean) / self.std).contiguous()

    def one(self, sample: NDArray[Any]) -> torch.Tensor:
        """Return the tensor of one raw sample."""
        return self(np.asarray(sample)[None])[0]


@dataclass(frozen=True, eq=False)
class TablePipeline:
    """Rows (n, d) -> standardised (n, d)."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    order: tuple[int, ...] | None = None
    """Columns of the raw table in the order in which they are taken."""
    factors: tuple[float, ...] | None = None
    """On the raw columns: another unit."""

    def __call__(self, raw: NDArray[Any]) -> torch.Tensor:
        rows = torch.from_numpy(np.asarray(raw, dtype=np.float32))
        if self.order is not None:
            rows = rows[:, list(self.order)]
        if self.factors is not None:
            rows = rows * torch.tensor(self.factors)
        return ((rows - torch.tensor(self.mean)) / torch.tensor(self.std)).contiguous()

    def one(self, sample: NDArray[Any]) -> torch.Tensor:
        """Return the tensor of one raw sample."""
        return self(np.asarray(sample)[None])[0]


AnyPipeline = ImagePipeline | SoundPipeline | TablePipeline


# -- steps that go wrong -----------------------------------------------------------------------


def turned(quarters: int) -> Step:
    """Turn by right angles."""
    return lambda x: torch.rot90(x, quarters, dims=(-2, -1)).contiguous()


def flipped(axis: int) -> Step:
    """Mirror an axis."""
    return lambda x: x.flip(axis)


def swapped(x: torch.Tensor) -> torch.Tensor:
    """BGR for RGB."""
    return x.flip(1)


def dimmed(factor: float) -> Step:
    """Darken (or brighten, clipped at white)."""
    return lambda x: (x * factor).clamp(max=1.0)


def powered(power: float) -> Step:
    """Gamma."""
    return lambda x: x.clamp(min=0) ** power


def blurred(deviation: float) -> Step:
    """Smooth by a Gaussian."""
    reach = max(1, round(3 * deviation))
    offsets = torch.arange(-reach, reach + 1).float()
    kernel = torch.exp(-0.5 * (offsets / deviation) ** 2)
    kernel = kernel / kernel.sum()

    def step(x: torch.Tensor) -> torch.Tensor:
        channels = x.shape[1]
        padded = torch.nn.functional.pad(x, (reach,) * 4, mode="replicate")
        down = kernel.reshape(1, 1, -1, 1).expand(channels, 1, -1, 1)
        across = kernel.reshape(1, 1, 1, -1).expand(channels, 1, 1, -1)
        smooth = torch.nn.functional.conv2d(padded, down, groups=channels)
        return torch.nn.functional.conv2d(smooth, across, groups=channels)

    return step


def shrunk(factor: float) -> Step:
    """Make smaller and enlarge again."""

    def step(x: torch.Tensor) -> torch.Tensor:
        size = [max(2, round(side / factor)) for side in x.shape[-2:]]
        small = torch.nn.functional.interpolate(x, size, mode="bilinear", antialias=True)
        return torch.nn.functional.interpolate(small, x.shape[-2:], mode="bilinear")

    return step


def zoomed(share: float) -> Step:
    """Show only the centre, enlarged (share < 1), or all of it smaller in a frame (share > 1)."""

    def step(x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        kept = [max(2, round(side * min(share, 1 / share))) for side in (height, width)]
        top, left = ((whole - part) // 2 for whole, part in zip((height, width), kept, strict=True))
        if share < 1:
            part = x[..., top : top + kept[0], left : left + kept[1]]
            return torch.nn.functional.interpolate(part, (height, width), mode="bilinear")
        small = torch.nn.functional.interpolate(x, kept, mode="bilinear", antialias=True)
        around = (left, width - kept[1] - left, top, height - kept[0] - top)
        return torch.nn.functional.pad(small, around, mode="replicate")

    return step


def compressed(quality: int) -> Step:
    """Write as JPEG and read again, sample by sample."""

    def step(x: torch.Tensor) -> torch.Tensor:
        images = (x.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        read = np.stack([_jpeg(image, quality) for image in images])
        return torch.from_numpy(read.astype(np.float32) / 255).permute(0, 3, 1, 2).contiguous()

    return step


def _jpeg(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    grey = image.shape[2] == 1
    Image.fromarray(image[..., 0] if grey else image).save(buffer, "JPEG", quality=quality)
    read = np.asarray(Image.open(buffer))
    return read[..., None] if grey else read


# -- augmentation ------------------------------------------------------------------------------

Augment = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
"""A model-ready batch and a source of chance -> another view of it."""


def random_crop(pad: int) -> Augment:
    """Move seven in ten images by up to `pad` pixels, the border repeated."""

    def augment(batch: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
        n, _, height, width = batch.shape
        padded = torch.nn.functional.pad(batch, (pad,) * 4, mode="replicate")
        down, across = (torch.randint(2 * pad + 1, (n, 1), generator=chance) for _ in range(2))
        still = torch.rand((n, 1), generator=chance) < 0.3
        down, across = (torch.where(still, pad, move) for move in (down, across))
        rows = (down + torch.arange(height)).reshape(n, 1, height, 1)
        columns = (across + torch.arange(width)).reshape(n, 1, 1, width)
        number = torch.arange(n).reshape(n, 1, 1, 1)
        channel = torch.arange(batch.shape[1]).reshape(1, -1, 1, 1)
        return padded[number, channel, rows, columns]

    return augment


def random_noise(deviation: float) -> Augment:
    """Add Gaussian noise to standardised values."""

    def augment(batch: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
        return batch + deviation * torch.randn(batch.shape, generator=chance)

    return augment


def in_turn(steps: Sequence[Augment]) -> Augment:
    """Do one after the other."""

    def augment(batch: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
        for step in steps:
            batch = step(batch, chance)
        return batch

    return augment


def one_view(augment: Augment) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the augmentation as users write it: of one model-ready sample, torch's own chance."""

    def of_one(sample: torch.Tensor) -> torch.Tensor:
        chance = torch.Generator().manual_seed(int(torch.randint(2**31, (1,))))
        return augment(sample[None], chance)[0]

    return of_one
