"""Held-out loss and early stopping, on curves that are known beforehand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from gapdoctor.domain.recipe import Recipe
from gapdoctor.training.callbacks import EarlyStopping, HeldoutLoss, watching
from gapdoctor.training.records import EpochRow, Stopped


class FakeRun:
    """A training whose epochs a test plays through."""

    def __init__(self, student: nn.Module) -> None:
        self.student = student
        self.step = 0
        self.stopped: Stopped = ""

    def stop(self, reason: Stopped) -> None:
        self.stopped = reason

    def state(self) -> dict[str, Any]:
        return {}


def row(epoch: int, loss: float | None = None) -> EpochRow:
    return EpochRow(epoch, epoch, 1.0, 1.0, None, 0.1, loss)


def test_heldout_loss_is_that_of_eval_mode(linear: Callable[..., nn.Linear]) -> None:
    student = nn.Sequential(nn.Dropout(0.9), linear(0.0)).train()
    read = lambda: [(torch.ones(n, 4), torch.zeros(n, dtype=torch.int64)) for n in (3, 1)]  # noqa: E731
    found = HeldoutLoss(read).epoch_ended(FakeRun(student), row(1))
    assert found.heldout_loss == pytest.approx(math.log(3))
    assert found.heldout_accuracy == 1.0
    assert student.training


def play(stopping: EarlyStopping, run: FakeRun, losses: list[float], first: int = 1) -> int:
    """Play epochs, a weight of each being its number, until it stops; return the last one."""
    for epoch, loss in enumerate(losses, start=first):
        with torch.no_grad():
            run.student.weight.fill_(epoch)  # type: ignore[operator, union-attr]
        stopping.epoch_ended(run, row(epoch, loss))
        if run.stopped:
            break
    return epoch


def test_patience_ends_a_training_and_the_best_weights_come_back(
    linear: Callable[..., nn.Linear],
) -> None:
    run, stopping = FakeRun(linear(0.0)), EarlyStopping(2)
    assert play(stopping, run, [1.0, 0.5, 0.6, 0.4, 0.5, 0.41, 0.1]) == 6
    assert run.stopped == "early"
    stopping.ended(run)
    assert run.student.weight[0, 0].item() == 4.0  # type: ignore[index, operator]


def test_a_nan_is_no_improvement(linear: Callable[..., nn.Linear]) -> None:
    run, stopping = FakeRun(linear(0.0)), EarlyStopping(1)
    assert play(stopping, run, [1.0, math.nan, 0.5]) == 2


def test_it_goes_on_from_where_it_was(linear: Callable[..., nn.Linear]) -> None:
    run, stopping = FakeRun(linear(0.0)), EarlyStopping(2)
    play(stopping, run, [0.5, 0.6])
    again = EarlyStopping(2)
    again.restore(stopping.state())
    assert play(again, run, [0.7, 0.1], first=3) == 3
    again.ended(run)
    assert run.student.weight[0, 0].item() == 1.0  # type: ignore[index, operator]


@pytest.mark.parametrize(("patience", "kinds"), [(0, 1), (None, 1), (3, 2)])
def test_early_stopping_is_the_recipes(patience: int | None, kinds: int) -> None:
    assert len(watching(Recipe(early_stopping=patience), list)) == kinds
