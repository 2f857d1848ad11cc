"""From a recipe to torch's optimizer."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from gapdoctor.domain.recipe import Optimizer, Recipe


def make_optimizer(parameters: Iterable[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimizer that a completed recipe names, over the parameters that are trained.

    Weight decay acts on all of them: as a penalty, decoupled for `adamw` (Loshchilov & Hutter
    2019, arXiv 1711.05101).

    Parameters
    ----------
    parameters : iterable of nn.Parameter
        Those without `requires_grad` are left alone.
    recipe : Recipe
        Completed (`gapdoctor.training.defaults`).

    Raises
    ------
    ValueError
        When there is no parameter to train.
    """
    wanted = [p for p in parameters if p.requires_grad]
    assert recipe.lr is not None
    assert recipe.optimizer is not None
    lr, decay = recipe.lr, recipe.weight_decay or 0.0
    betas, momentum = recipe.betas or (0.9, 0.999), recipe.momentum or 0.0
    match recipe.optimizer:
        case Optimizer.SGD:
            nesterov = bool(recipe.nesterov) and momentum > 0  # torch refuses it without momentum
            return torch.optim.SGD(
                wanted, lr, momentum=momentum, weight_decay=decay, nesterov=nesterov
            )
        case Optimizer.ADAM:
            return torch.optim.Adam(wanted, lr, betas=betas, weight_decay=decay)
        case Optimizer.ADAMW:
            return torch.optim.AdamW(wanted, lr, betas=betas, weight_decay=decay)
        case Optimizer.NADAM:
            return torch.optim.NAdam(wanted, lr, betas=betas, weight_decay=decay)
        case Optimizer.RADAM:
            return torch.optim.RAdam(wanted, lr, betas=betas, weight_decay=decay)
        case Optimizer.RMSPROP:
            return torch.optim.RMSprop(wanted, lr, momentum=momentum, weight_decay=decay)
        case Optimizer.ADAGRAD:
            return torch.optim.Adagrad(wanted, lr, weight_decay=decay)
        case Optimizer.ADADELTA:
            return torch.optim.Adadelta(wanted, lr, weight_decay=decay)


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Let the next step be taken at `lr`."""
    for group in optimizer.param_groups:
        group["lr"] = lr
