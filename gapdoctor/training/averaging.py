"""Averaged weights: what is watched, and kept, is their mean instead of the last ones."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import get_ema_multi_avg_fn

from gapdoctor.domain.recipe import Average, Recipe
from gapdoctor.observe.batchnorm import tracks
from gapdoctor.observe.borrow import own_random_state
from gapdoctor.observe.device import model_device
from gapdoctor.training.batches import parts_of
from gapdoctor.training.callbacks import Callback, Running
from gapdoctor.training.placement import fed
from gapdoctor.training.records import EpochRow
from gapdoctor.training.rows import BLOCK, TrainingRows

Weight = Callable[[int], float]
"""Steps averaged so far -> what the next one weighs among all of them."""
MEMORY = 0.1
"""Share of the training's steps over which `ema` forgets, where no decay is given (starting value;
Morales-Brotons et al. 2024, arXiv 2411.18704, tune it to the length of the training)."""
ROWS = 1_000
"""Train rows that BatchNorm statistics are taken from, as in the diagnosis (Wu & Johnson 2021,
arXiv 2105.07576: 10³ to 10⁴)."""


class Averaging(Callback):
    """Averages the weights after each step.

    From the end of an epoch until it is closed the student holds the average, and in the end for
    good: callbacks behind this one score, and early stopping keeps, what would be written.
    BatchNorm statistics are those of other weights and are estimated afresh each time.

    Parameters
    ----------
    weigh : callable
        `plain_mean` or `moving_average`.
    after : int
        Steps of the training that are left out.
    batches : callable
        Gives model-ready batches of train rows (n, …), for the BatchNorm statistics.
    """

    def __init__(
        self, weigh: Weight, after: int, batches: Callable[[], Iterable[torch.Tensor]]
    ) -> None:
        self._weigh, self._after, self._batches = weigh, after, batches
        self._mean: list[torch.Tensor] = []
        self._count = 0
        self._own: dict[str, Any] | None = None
        """What the student goes on with, while it holds the average."""

    def step_ended(self, run: Running, loss: float) -> None:
        """Take the weights into the average."""
        if run.step <= self._after:
            return
        now = [weight.detach() for weight in _weights(run.student)]
        if self._count == 0:
            self._mean = [weight.clone() for weight in now]
        else:
            self._mean = [mean.to(weight) for mean, weight in zip(self._mean, now, strict=True)]
            update: Any = get_ema_multi_avg_fn(1 - self._weigh(self._count))  # type: ignore[no-untyped-call]
            update(self._mean, now, self._count)
        self._count += 1

    def epoch_ended(self, run: Running, row: EpochRow) -> EpochRow:
        """Lend the average to whoever looks at the student."""
        if self._count:
            self._own = copy.deepcopy(run.student.state_dict())
            self._put(run.student)
        return row

    def epoch_closed(self, run: Running) -> None:
        """Let the training go on with its own weights."""
        if self._own is not None:
            run.student.load_state_dict(self._own)
            self._own = None

    def ended(self, run: Running) -> None:
        """Leave the average in the student."""
        if self._count and run.stopped not in ("asked", "diverged"):
            self._put(run.student)

    def state(self) -> dict[str, Any]:
        """Return the average so far."""
        return {"count": self._count, "mean": self._mean}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._count, self._mean = state["count"], list(state["mean"])

    def _put(self, student: nn.Module) -> None:
        with torch.no_grad():
            for weight, mean in zip(_weights(student), self._mean, strict=True):
                weight.copy_(mean)
        renew_statistics(student, self._batches())


def averaging_of(recipe: Recipe, steps: int, rows: TrainingRows) -> tuple[Averaging, ...]:
    """Return what averages the weights of a training, if anything does.

    Parameters
    ----------
    recipe : Recipe
        Completed: `average` and what goes with it.
    steps : int
        Of the whole training.
    rows : TrainingRows
        Of which some are read, as they are.
    """
    size = min(BLOCK, recipe.batch_size or BLOCK)
    if recipe.average == Average.EMA:
        decay = recipe.average_decay
        weigh = moving_average(usual_decay(steps) if decay is None else decay)
        return (Averaging(weigh, 0, lambda: _some(rows, size)),)
    if recipe.average == Average.SWA:
        after = int((recipe.average_from or 0.0) * steps)
        return (Averaging(plain_mean, after, lambda: _some(rows, size)),)
    return ()


def usual_decay(steps: int) -> float:
    """Return the decay whose memory, 1 / (1 − decay) steps, is a tenth of a training."""
    return max(0.0, 1 - 1 / max(1.0, MEMORY * steps))


def moving_average(decay: float) -> Weight:
    """Return the weights of a moving average: step i of n counts as decay^(n − i).

    They sum to 1 from the first step on (Kingma & Ba 2015, arXiv 1412.6980, section 3): the weights
    that a training began with do not linger.
    """
    return lambda count: (1 - decay) / (1 - decay ** (count + 1))


def plain_mean(count: int) -> float:
    """Return what one more step weighs in the mean of all."""
    return 1 / (count + 1)


def renew_statistics(student: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Estimate the BatchNorm statistics afresh, in place: the plain mean over the batches.

    Dropout stays off. As `observe.batchnorm.re_estimate`, without a copy: a student in training
    may hold on to activations, which cannot be copied.

    Parameters
    ----------
    student : nn.Module
        In train mode, and left in it.
    batches : iterable of tensor (n, …)
        Model-ready, of about one size: each weighs the same.
    """
    layers = [m for m in student.modules() if isinstance(m, _BatchNorm)]
    layers = [layer for layer in layers if tracks(layer) and layer.training]  # others are frozen
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    student.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a cumulative average over all batches
        layer.train()
    with torch.no_grad(), own_random_state(0):
        for batch in batches:
            student(fed(batch, student, model_device(student)))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    student.train()


def _weights(student: nn.Module) -> list[nn.Parameter]:
    return [weight for weight in student.parameters() if weight.is_floating_point()]


def _some(rows: TrainingRows, size: int) -> Iterator[torch.Tensor]:
    """Yield the same rows each time, in batches of about one size in which classes are mixed."""
    some = np.random.default_rng(0).permutation(rows.count)[:ROWS].astype(np.int64)
    for part in parts_of(len(some), size):
        yield rows.batch(some[part]).inputs
