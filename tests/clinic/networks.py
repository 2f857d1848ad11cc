"""Networks of the clinic: families that take a width, all ending in a linear head.

No family is used in both parts (`tests.clinic.parts`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from tests.clinic.reporting_networks import (
    attention,
    depthwise_cnn,
    groupnorm_cnn,
    patch_mixer,
    time_cnn,
)
from tests.clinic.tuning_networks import (
    batchnorm_mlp,
    plain_cnn,
    plain_mlp,
    residual_cnn,
    residual_mlp,
)

Shape = tuple[int, ...]


def build(family: str, shape: Shape, classes: int, width: int, seed: int) -> nn.Module:
    """Return an untrained network of a family; `shape` is that of one model-ready sample."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FAMILIES[family](shape, classes, width)


def factory(
    family: str, shape: Shape, classes: int, width: int, seed: int
) -> Callable[[], nn.Module]:
    """Return what builds it."""
    return partial(build, family, shape, classes, width, seed)


def parameters(model: nn.Module) -> int:
    """Return how many numbers a network learns."""
    return sum(p.numel() for p in model.parameters())


FAMILIES: dict[str, Callable[[Shape, int, int], nn.Module]] = {
    f.__name__: f
    for f in (
        plain_cnn,
        plain_mlp,
        residual_cnn,
        batchnorm_mlp,
        residual_mlp,
        depthwise_cnn,
        patch_mixer,
        groupnorm_cnn,
        time_cnn,
        attention,
    )
}
