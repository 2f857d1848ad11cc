"""Augmentation of model-ready batches: the user's own, or names that may be put together.

Every step takes a batch (n, …) and returns a new one of the same shape, type and device, each row
changed on its own, by what the global generators draw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn import functional

from gapdoctor.errors import UserCodeError
from gapdoctor.observe.case import Case

Augment = Callable[[torch.Tensor], torch.Tensor]

OWN = "own"
"""Stands for the user's own augmentation among names; so does its `where:what`."""
NOISE = 0.1
"""Standard deviation of noise, of that of the batch or the column (Um et al. 2017, jittering)."""
SCALE = 0.1
"""Standard deviation of the factor of `scale` around 1 (Um et al. 2017, arXiv 1706.00527)."""
DEGREES = 10.0
"""Of `rotate`, to either side: a 6 does not come near a 9."""
COLOR = 0.2
"""Of `color_jitter`: shares by which brightness, contrast and saturation move at most."""
SHIFT_SHARE, MASK_SHARE = 8, 8
"""A row is shifted, and a time or frequency mask is wide, by one part in so many of a side."""
FEWEST_PLACES = 4
"""A side below it counts channels rather than places."""


def augmentation_of(case: Case) -> Augment | str | None:
    """Return what augments a batch, None where nothing does, or why it cannot be done.

    `mixup` and `cutmix` change the labels, and the gradients at hand know only one label a row.

    The user's own augmentation is called row by row; what it raises, or gives that is no tensor of
    the same shape for every row, becomes a UserCodeError.
    """
    names = augmentation_names(case.recipe_record.recipe.augment, has_own=case.augment is not None)
    if names is None:
        return "the augmentation is not known; give [recipe] augment, or [] for none"
    return augmentation_by(names, case.augment)


def augmentation_names(
    given: str | tuple[str, ...] | None, *, has_own: bool
) -> tuple[str, ...] | None:
    """Return what a recipe's `augment` means, name by name; None where it is not known.

    A user's own augmentation that no name stands for is all there is.
    """
    names = (given,) if isinstance(given, str) else given
    if has_own and not any(_is_own(name) for name in names or ()):
        return (OWN,)
    return names


def augmentation_by(
    names: tuple[str, ...], own: Callable[[Any], Any] | None = None
) -> Augment | str | None:
    """Return what does the named steps one after the other, None for no name, or why it cannot.

    Parameters
    ----------
    names : tuple of str
        From `KNOWN`; `own` or a `where:what` stands for the user's.
    own : callable, optional
        On one model-ready sample.
    """
    steps: list[Augment] = []
    for name in names:
        if _is_own(name) and own is not None:
            steps.append(_of_user(own))
        elif name in KNOWN:
            steps.append(KNOWN[name])
        else:
            return f"the augmentation {name!r} cannot be replayed; name it as file.py:function"
    if not steps:
        return None

    def together(batch: torch.Tensor) -> torch.Tensor:
        for step in steps:
            batch = step(batch)
        return batch

    return together


def _is_own(name: str) -> bool:
    return name == OWN or (name not in KNOWN and ":" in name)


def default_augmentation(
    kind: str, shape: tuple[int, ...], *, floating: bool = True
) -> tuple[str, ...]:
    """Return the names that leave a sample's label as it is, whatever the classes; () for none.

    Nothing is mirrored, for a mirrored digit, letter or arrow is another one, nothing is masked
    or erased in pictures, and colours, which may be what tells classes apart, stay.

    Parameters
    ----------
    kind : {'image', 'map', 'columns', 'other'}
        What a sample looks like (`gapdoctor.corrections`).
    shape : tuple of int
        Of one model-ready sample.
    floating : bool
        Whether it holds floating numbers; nothing is safe to do to whole ones (tokens).
    """
    if not floating or kind == "other":
        return ()
    if kind == "columns":
        return ("noise",)
    high, wide = shape[-2:]
    if high < FEWEST_PLACES:  # channels of a signal
        return ("crop", "noise")
    if kind == "map" and high != wide:  # few pictures are grey and oblong; most spectrograms are
        return ("time_mask", "frequency_mask", "noise")
    return ("crop", "rotate", "noise")


def _of_user(own: Callable[[Any], Any]) -> Augment:
    def augment(batch: torch.Tensor) -> torch.Tensor:
        try:
            made = torch.stack([torch.as_tensor(own(x.clone())) for x in batch])
        except Exception as error:  # a user's augmentation may raise anything
            shape = "×".join(map(str, batch.shape[1:]))
            raise UserCodeError(
                f"recipe.augment: {type(error).__name__} on a sample of shape {shape}: {error}",
                "it gets one model-ready tensor and gives one of the same shape for every sample",
            ) from error
        return made.to(batch.device)

    return augment


# -- places --------------------------------------------------------------------------------------


def flip(batch: torch.Tensor) -> torch.Tensor:
    """Mirror each row along its last axis with probability ½."""
    which = torch.rand(len(batch)) < 0.5
    return torch.where(_by_row(which, batch), batch.flip(-1), batch)


def crop(batch: torch.Tensor) -> torch.Tensor:
    """Shift each row by up to an eighth of its last two sides, zeros coming in (a padded crop).

    A side below four is left as it is: it counts channels rather than places.
    """
    if batch.ndim < 3:
        return batch
    for axis in (-2, -1):
        batch = _shifted(batch, axis)
    return batch


def _shifted(batch: torch.Tensor, axis: int) -> torch.Tensor:
    side = batch.shape[axis]
    if side < FEWEST_PLACES:
        return batch
    most = max(1, side // SHIFT_SHARE)
    by = torch.randint(-most, most + 1, (len(batch),))
    places = (torch.arange(side)[None] + by[:, None]).to(batch.device)
    shape = [1] * batch.ndim
    shape[0], shape[axis] = len(batch), side
    inside = ((places >= 0) & (places < side)).reshape(shape)
    index = places.clamp(0, side - 1).reshape(shape).expand_as(batch)
    return torch.where(inside, batch.gather(axis, index), batch.new_zeros(()))


def rotate(batch: torch.Tensor) -> torch.Tensor:
    """Turn each row by up to 10 degrees around its middle, bilinear, zeros coming in.

    As torchvision's `RandomRotation`, a row at a time. Whole numbers are left as they are.
    """
    if batch.ndim < 3 or not batch.is_floating_point() or min(batch.shape[-2:]) < FEWEST_PLACES:
        return batch
    high, wide = batch.shape[-2:]
    planes = batch.reshape(len(batch), -1, high, wide)
    angle = math.radians(DEGREES) * (2 * torch.rand(len(batch)) - 1)
    cos, sin, none = angle.cos(), angle.sin(), torch.zeros(len(batch))
    rows = (cos, -sin * high / wide, none, sin * wide / high, cos, none)
    turn = torch.stack(rows, dim=1).reshape(-1, 2, 3).to(batch)
    size = list(planes.shape)
    grid = functional.affine_grid(turn, size, align_corners=False)
    return functional.grid_sample(planes, grid, align_corners=False).reshape(batch.shape)


def erase(batch: torch.Tensor) -> torch.Tensor:
    """Zero a square of a quarter of the side in each image (Zhong et al. 2020, 1708.04896)."""
    if batch.ndim < 3:
        return batch
    high, wide = (max(1, side // 4) for side in batch.shape[-2:])
    return batch.masked_fill(_span(batch, -2, high) & _span(batch, -1, wide), 0)


def time_mask(batch: torch.Tensor) -> torch.Tensor:
    """Hide up to an eighth of the last axis of each row behind the row's mean.

    SpecAugment (Park et al. 2019, arXiv 1904.08779).
    """
    return _masked(batch, -1)


def frequency_mask(batch: torch.Tensor) -> torch.Tensor:
    """Hide up to an eighth of the axis before the last of each row behind the row's mean.

    SpecAugment (Park et al. 2019, arXiv 1904.08779).
    """
    return _masked(batch, -2)


def _masked(batch: torch.Tensor, axis: int) -> torch.Tensor:
    if batch.ndim < 3 or not batch.is_floating_point() or batch.shape[axis] < FEWEST_PLACES:
        return batch
    most = max(1, batch.shape[axis] // MASK_SHARE)
    width = torch.randint(0, most + 1, (len(batch),))
    mean = batch.mean(dim=tuple(range(1, batch.ndim)), keepdim=True)
    return torch.where(_span(batch, axis, width), mean, batch)


def _span(batch: torch.Tensor, axis: int, width: int | torch.Tensor) -> torch.Tensor:
    """Return where each row of a batch lies in a span of its own along an axis, broadcastable."""
    side = batch.shape[axis]
    start = (torch.rand(len(batch)) * (side - width + 1)).long()[:, None]
    stop = start + (width if isinstance(width, int) else width[:, None])
    places = torch.arange(side)[None]
    shape = [1] * batch.ndim
    shape[0], shape[axis] = len(batch), side
    return ((places >= start) & (places < stop)).reshape(shape).to(batch.device)


# -- values --------------------------------------------------------------------------------------


def noise(batch: torch.Tensor) -> torch.Tensor:
    """Add normal noise of a tenth of the standard deviation: of the batch, of a column in a table.

    Columns of a table have units of their own. Whole numbers (tokens) are left as they are.
    """
    if not batch.is_floating_point():
        return batch
    spread = batch.std(dim=0, correction=0) if batch.ndim == 2 else batch.std(correction=0)
    return batch + NOISE * spread * torch.randn_like(batch)


def scale(batch: torch.Tensor) -> torch.Tensor:
    """Multiply each row by a factor of its own, 1 give or take a tenth."""
    if not batch.is_floating_point():
        return batch
    return batch * _by_row((1 + SCALE * torch.randn(len(batch))).to(batch), batch)


def color_jitter(batch: torch.Tensor) -> torch.Tensor:
    """Move brightness, contrast and saturation of each image by up to a fifth.

    As torchvision's `ColorJitter` without hue. Model-ready pixels may be normalized: brightness
    moves by a share of the batch's standard deviation, contrast around the image's own mean.
    """
    if batch.ndim != 4 or batch.shape[1] < 3 or not batch.is_floating_point():
        return batch
    drawn = (COLOR * (2 * torch.rand(3, len(batch)) - 1)).to(batch)
    lighter, sharper, brighter = (_by_row(share, batch) for share in drawn)
    mean = batch.mean(dim=(1, 2, 3), keepdim=True)
    found = mean + (1 + sharper) * (batch - mean)
    colors = found[:, :3]
    grey = colors.mean(dim=1, keepdim=True)
    colors = grey + (1 + brighter) * (colors - grey) + lighter * batch.std(correction=0)
    return torch.cat([colors, batch[:, 3:]], dim=1)


def _by_row(values: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
    """Return one value a row, broadcastable over the batch."""
    return values.to(batch.device).reshape(-1, *([1] * (batch.ndim - 1)))


KNOWN: Mapping[str, Augment] = {
    "flip": flip,
    "crop": crop,
    "rotate": rotate,
    "erase": erase,
    "color_jitter": color_jitter,
    "time_mask": time_mask,
    "frequency_mask": frequency_mask,
    "noise": noise,
    "scale": scale,
}
"""Augmentations by the name that a recipe gives them."""
