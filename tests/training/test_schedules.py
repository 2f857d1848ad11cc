"""Each schedule against torch's own, step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from gapdoctor.domain.recipe import Recipe, Schedule
from gapdoctor.training.schedules import LearningRate, ends_at_zero, one_cycle

RecipeOf = Callable[..., Recipe]
EPOCHS, AN_EPOCH = 12, 5
STEPS = EPOCHS * AN_EPOCH


def rates_of_torch(
    make: Callable[[torch.optim.Optimizer], Any], steps: int, lr: float = 0.4
) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr)
    scheduler = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def rates(recipe: Recipe, steps: int = STEPS, **more: Any) -> list[float]:
    rate = LearningRate(recipe, steps, EPOCHS, **more)
    return [rate.at(step) for step in range(steps)]


def test_constant_is_constant(plain: RecipeOf) -> None:
    assert set(rates(plain(lr=0.4))) == {0.4}


def test_cosine_is_that_of_torch(plain: RecipeOf) -> None:
    ours = rates(plain(lr=0.4, schedule=Schedule.COSINE, min_lr=0.01))
    theirs = rates_of_torch(lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS, 0.01), STEPS)
    assert ours == pytest.approx(theirs)


def test_step_is_that_of_torch_epoch_by_epoch(plain: RecipeOf) -> None:
    ours = rates(plain(lr=0.4, schedule=Schedule.STEP, step_size=5, gamma=0.5))
    theirs = rates_of_torch(lambda o: lr_scheduler.StepLR(o, 5, 0.5), EPOCHS)
    assert ours[::AN_EPOCH] == ours[AN_EPOCH - 1 :: AN_EPOCH] == pytest.approx(theirs)


def test_milestones_are_those_of_torch(plain: RecipeOf) -> None:
    ours = rates(plain(lr=0.4, schedule=Schedule.STEP, milestones=(3, 4, 9), gamma=0.1))
    theirs = rates_of_torch(lambda o: lr_scheduler.MultiStepLR(o, [3, 4, 9], 0.1), EPOCHS)
    assert ours[::AN_EPOCH] == pytest.approx(theirs)


def test_onecycle_is_that_of_torch(plain: RecipeOf) -> None:
    ours = rates(plain(schedule=Schedule.ONECYCLE, max_lr=0.4))
    theirs = rates_of_torch(lambda o: lr_scheduler.OneCycleLR(o, 0.4, total_steps=STEPS), STEPS)
    assert ours == pytest.approx(theirs)


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_onecycle_stands_a_few_steps(steps: int) -> None:
    assert all(0 < one_cycle(1.0, step, steps) <= 1 for step in range(steps))


def test_plateau_is_that_of_torch(plain: RecipeOf) -> None:
    losses = [1.0, 0.9, 0.91, 0.92, 0.93, 0.899999, 0.95, 0.95, 0.95, 0.5, 0.6, 0.6, 0.6, 0.6]
    recipe = plain(lr=0.4, schedule=Schedule.PLATEAU, patience=2, factor=0.1, min_lr=0.001)
    ours = LearningRate(recipe, STEPS, EPOCHS)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.4)
    theirs = lr_scheduler.ReduceLROnPlateau(optimizer, patience=2, factor=0.1, min_lr=0.001)
    seen = set()
    for loss in losses:
        ours.epoch_ended(loss)
        theirs.step(loss)
        assert ours.at(0) == pytest.approx(optimizer.param_groups[0]["lr"])
        seen.add(round(ours.at(0), 6))
    assert len(seen) > 2  # it did drop


def test_plateau_goes_on_from_where_it_was(plain: RecipeOf) -> None:
    recipe = plain(schedule=Schedule.PLATEAU, patience=1, factor=0.5, min_lr=0.0)
    whole, first = (LearningRate(recipe, STEPS, EPOCHS) for _ in range(2))
    losses = [1.0, 1.0, 1.0, 1.0, 1.0]
    for loss in losses[:2]:
        first.epoch_ended(loss)
    second = LearningRate(recipe, STEPS, EPOCHS)
    second.restore(first.state())
    for loss in losses:
        whole.epoch_ended(loss)
    for loss in losses[2:]:
        second.epoch_ended(loss)
    assert second.at(0) == whole.at(0) == pytest.approx(0.1 * 0.5**2)


def test_warm_up_rises_step_by_step(plain: RecipeOf) -> None:
    found = rates(plain(lr=0.4, warmup_epochs=2))
    assert found[:10] == pytest.approx([0.04 * k for k in range(1, 11)])
    assert set(found[9:]) == {0.4}


def test_annealed_it_comes_down_to_zero(plain: RecipeOf) -> None:
    found = rates(plain(lr=0.4), anneal=True)
    assert found == pytest.approx([0.4 * (1 - k / STEPS) for k in range(STEPS)])
    cosine = plain(lr=0.4, schedule=Schedule.COSINE, min_lr=0.0)
    assert ends_at_zero(cosine)
    assert rates(cosine, anneal=True) == rates(cosine)  # it does so by itself


def test_shortened_it_keeps_its_shape(plain: RecipeOf) -> None:
    recipe = plain(lr=0.4, schedule=Schedule.STEP, milestones=(6, 9), gamma=0.1)
    assert rates(recipe, steps=12) == pytest.approx([0.4] * 6 + [0.04] * 3 + [0.004] * 3)


def test_beyond_its_steps_it_stays_where_it_ended(plain: RecipeOf) -> None:
    rate = LearningRate(plain(lr=0.4, schedule=Schedule.COSINE, min_lr=0.1), 10, 1)
    assert rate.at(10) == rate.at(99) == pytest.approx(0.1)
