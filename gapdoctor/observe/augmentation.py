"""The recipe's augmentation on model-ready batches: the user's own, or one of known names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gapdoctor.errors import UserCodeError
from gapdoctor.observe.case import Case

Augment = Callable[[torch.Tensor], torch.Tensor]


def augmentation_of(case: Case) -> Augment | str | None:
    """Return what augments a batch, None where nothing does, or why it cannot be done.

    Known names: `flip`, `crop`, `noise`, `erase`. `mixup` and `cutmix` change the labels, and the
    gradients at hand know only one label a row.

    The user's own augmentation is called row by row; what it raises, or gives that is no tensor of
    the same shape for every row, becomes a UserCodeError.
    """
    if case.augment is not None:
        return _of_user(case.augment)
    names = case.recipe_record.recipe.augment
    if names is None:
        return "the augmentation is not known; give [recipe] augment, or [] for none"
    if isinstance(names, str):
        names = (names,)
    known = {"flip": flip, "crop": crop, "noise": noise, "erase": erase}
    missing = [n for n in names if n not in known]
    if missing:
        return f"the augmentation {missing[0]!r} cannot be replayed; name it as file.py:function"
    chosen = [known[n] for n in names]
    if not chosen:
        return None

    def together(batch: torch.Tensor) -> torch.Tensor:
        for step in chosen:
            batch = step(batch)
        return batch

    return together


def _of_user(own: Callable[[Any], Any]) -> Augment:
    def augment(batch: torch.Tensor) -> torch.Tensor:
        try:
            return torch.stack([torch.as_tensor(own(x.clone())) for x in batch])
        except Exception as error:  # a user's augmentation may raise anything
            shape = "×".join(map(str, batch.shape[1:]))
            raise UserCodeError(
                f"recipe.augment: {type(error).__name__} on a sample of shape {shape}: {error}",
                "it gets one model-ready tensor and gives one of the same shape for every sample",
            ) from error

    return augment


def flip(batch: torch.Tensor) -> torch.Tensor:
    """Mirror each row along its last axis with probability ½."""
    which = torch.rand(len(batch)) < 0.5
    return torch.where(which.reshape(-1, *([1] * (batch.ndim - 1))), batch.flip(-1), batch)


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
    if side < 4:
        return batch
    most = max(1, side // 8)
    by = torch.randint(-most, most + 1, (len(batch),))
    places = torch.arange(side)[None] + by[:, None]
    shape = [1] * batch.ndim
    shape[0], shape[axis] = len(batch), side
    inside = ((places >= 0) & (places < side)).reshape(shape)
    index = places.clamp(0, side - 1).reshape(shape).expand_as(batch)
    return torch.where(inside, batch.gather(axis, index), torch.zeros((), dtype=batch.dtype))


def noise(batch: torch.Tensor) -> torch.Tensor:
    """Add normal noise of a tenth of the standard deviation: of the batch, of a column in a table.

    Columns of a table have units of their own. Whole numbers (tokens) are left as they are.
    """
    if not batch.is_floating_point():
        return batch
    spread = batch.std(dim=0, correction=0) if batch.ndim == 2 else batch.std(correction=0)
    return batch + 0.1 * spread * torch.randn_like(batch)


def erase(batch: torch.Tensor) -> torch.Tensor:
    """Zero a square of a quarter of the side in each image."""
    if batch.ndim < 3:
        return batch
    high, wide = (max(1, side // 4) for side in batch.shape[-2:])
    found = batch.clone()
    for x in found:
        top = int(torch.randint(0, x.shape[-2] - high + 1, ()))
        left = int(torch.randint(0, x.shape[-1] - wide + 1, ()))
        x[..., top : top + high, left : left + wide] = 0
    return found
