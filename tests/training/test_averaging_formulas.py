"""Averaged weights and fresh BatchNorm statistics against the formulas of their papers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from gapdoctor.domain.recipe import Average, Recipe
from gapdoctor.observe.batchnorm import re_estimate
from gapdoctor.training.averaging import averaging_of, renew_statistics
from gapdoctor.training.callbacks import Callback, Running
from gapdoctor.training.defaults import completed
from gapdoctor.training.loop import Length, fit
from gapdoctor.training.rows import rows_of_tensors

Data = tuple[torch.Tensor, torch.Tensor]
RecipeOf = Callable[..., Recipe]
Linear = Callable[..., nn.Linear]
Floats = NDArray[np.float64]
EPOCHS, STEPS = 3, 12


class Steps(Callback):
    """Notes the weights after each step."""

    def __init__(self) -> None:
        self.seen: list[Floats] = []

    def step_ended(self, run: Running, loss: float) -> None:
        self.seen.append(flat(run.student))


def flat(model: nn.Module) -> Floats:
    return np.concatenate([p.detach().double().numpy().ravel() for p in model.parameters()])


def trained(data: Data, recipe: Recipe, student: nn.Module) -> tuple[Floats, list[Floats]]:
    """Return the averaged weights, and those after each of the steps."""
    rows, steps = rows_of_tensors(*data), Steps()
    averaging = averaging_of(completed(recipe).recipe, STEPS, rows)
    made = fit(
        student, None, rows, recipe, Length(epochs=EPOCHS), callbacks=[steps, *averaging]
    )  # fmt: skip
    assert len(steps.seen) == STEPS
    return flat(made.student), steps.seen


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.99])
def test_the_moving_average_is_adams_corrected_for_its_start(
    data: Data, plain: RecipeOf, linear: Linear, decay: float
) -> None:
    """Kingma & Ba 2015, algorithm 1: m = β·m + (1 − β)·w from m = 0, and m / (1 − βᵗ)."""
    found, seen = trained(data, plain(average=Average.EMA, average_decay=decay), linear())
    moving = np.zeros_like(seen[0])
    for weights in seen:
        moving = decay * moving + (1 - decay) * weights
    assert found == pytest.approx(moving / (1 - decay**STEPS), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("after", [0, 6, 9])
def test_the_plain_mean_is_the_running_one_of_izmailov(
    data: Data, plain: RecipeOf, linear: Linear, after: int
) -> None:
    """Izmailov et al. 2018, algorithm 1: w_SWA = (w_SWA·n + w) / (n + 1), at every step here."""
    recipe = plain(average=Average.SWA, average_from=after / STEPS)
    found, seen = trained(data, recipe, linear())
    running = np.zeros_like(seen[0])
    for models, weights in enumerate(seen[after:]):
        running = (running * models + weights) / (models + 1)
    assert found == pytest.approx(running, rel=1e-4, abs=1e-6)


# -- BatchNorm -----------------------------------------------------------------------------------


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6, momentum=0.01), nn.Dropout(0.5), nn.Linear(6, 3)
    )


Renew = Callable[[nn.Sequential, list[torch.Tensor]], nn.Module]


def in_place(student: nn.Sequential, batches: list[torch.Tensor]) -> nn.Module:
    renew_statistics(student.train(), batches)
    return student


def on_a_copy(student: nn.Sequential, batches: list[torch.Tensor]) -> nn.Module:
    return re_estimate(student, batches, torch.device("cpu"))


RENEW = pytest.mark.parametrize("renew", [in_place, on_a_copy])


@RENEW
@pytest.mark.parametrize("sizes", [[10] * 5, [16, 17, 17]], ids=str)
def test_fresh_statistics_are_the_means_over_the_batches(
    data: Data, renew: Renew, sizes: list[int]
) -> None:
    """Ioffe & Szegedy 2015 (arXiv 1502.03167), algorithm 2: E[μ_B] and E[σ²_B]·m/(m − 1)."""
    student = network()
    parts = list(data[0].split(sizes))
    hidden = [student[0](part).detach().double().numpy() for part in parts]
    student(100 * torch.randn(50, 4))  # what it had seen before is forgotten
    norm = renew(student, parts)[1]  # type: ignore[index]
    means = np.mean([h.mean(0) for h in hidden], axis=0)
    variances = np.mean([h.var(0) * len(h) / (len(h) - 1) for h in hidden], axis=0)
    assert norm.running_mean.numpy() == pytest.approx(means, rel=1e-5, abs=1e-6)
    assert norm.running_var.numpy() == pytest.approx(variances, rel=1e-5)


@RENEW
def test_they_come_near_those_of_all_rows_at_once(renew: Renew) -> None:
    """Wu & Johnson 2021, section 3: E[μ_B] and E[μ_B² + σ²_B] − E[μ_B]², so of all rows.

    The mean is the same. The variance leaves out the scatter of the batches' means and divides by
    m − 1 instead of m: each is 1/m of the whole for rows in random order, and they cancel.
    """
    rows = torch.randn(1_000, 4, generator=torch.Generator().manual_seed(0))
    student = network()
    parts = list(rows.split(50))
    hidden = [student[0](part).detach().double().numpy() for part in parts]
    first = np.mean([h.mean(0) for h in hidden], axis=0)
    second = np.mean([h.mean(0) ** 2 + h.var(0) for h in hidden], axis=0)
    norm = renew(student, parts)[1]  # type: ignore[index]
    assert norm.running_mean.numpy() == pytest.approx(first, rel=1e-4, abs=1e-6)
    assert norm.running_var.numpy() == pytest.approx(second - first**2, rel=0.02)
