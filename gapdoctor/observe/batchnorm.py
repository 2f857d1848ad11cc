"""Fresh BatchNorm statistics: the plain mean over some rows, on a copy."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gapdoctor.observe.borrow import own_random_state


def tracks(module: nn.Module) -> bool:
    """Return whether a module holds running statistics."""
    return isinstance(module, _BatchNorm) and module.track_running_stats


def re_estimate(
    student: nn.Module, batches: Iterable[torch.Tensor], device: torch.device, seed: int = 0
) -> nn.Module:
    """Return a copy whose BatchNorm statistics are the plain mean over the batches.

    Only BatchNorm modules are in train mode; dropout stays off. A mean over 10³ to 10⁴ rows is
    better than the running one (Wu & Johnson 2021, arXiv 2105.07576).

    Parameters
    ----------
    student : nn.Module
        Left as it is.
    batches : iterable of tensor (n, …)
        Model-ready, of about one size: each weighs the same.
    device : torch.device
        Where the copy runs and stays.
    seed : int
        Of whatever draws at random.
    """
    twin = copy.deepcopy(student).eval().to(device)
    for layer in twin.modules():
        if isinstance(layer, _BatchNorm) and tracks(layer):
            layer.reset_running_stats()
            layer.momentum = None  # a cumulative average over all batches
            layer.train()
    dtype = next((p.dtype for p in twin.parameters() if p.is_floating_point()), torch.float32)
    with torch.no_grad(), own_random_state(seed):
        for batch in batches:
            twin(batch.to(device, dtype if batch.is_floating_point() else batch.dtype, copy=True))
    return twin.eval()
