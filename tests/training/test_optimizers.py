"""From a recipe to torch's optimizer: classes, numbers, one step by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gapdoctor.domain.recipe import Optimizer, Recipe
from gapdoctor.training.defaults import completed
from gapdoctor.training.optimizers import make_optimizer, set_lr

CLASSES = {
    "sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "nadam": "NAdam", "radam": "RAdam",
    "rmsprop": "RMSprop", "adagrad": "Adagrad", "adadelta": "Adadelta",
}  # fmt: skip


@pytest.mark.parametrize("name", Optimizer)
def test_every_name_makes_its_optimizer_with_its_numbers(name: Optimizer) -> None:
    known = Recipe(optimizer=name, lr=0.25, weight_decay=0.125, momentum=0.5, betas=(0.6, 0.7))
    found = make_optimizer(nn.Linear(2, 2).parameters(), completed(known).recipe)
    assert type(found).__name__ == CLASSES[name]
    (group,) = found.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.25, 0.125)
    assert group.get("momentum", 0.5) == 0.5
    assert group.get("betas", (0.6, 0.7)) == (0.6, 0.7)


def test_a_step_of_sgd_is_that_of_the_formula() -> None:
    weight = nn.Parameter(torch.tensor([2.0]))
    recipe = Recipe(optimizer=Optimizer.SGD, lr=0.1, momentum=0.5, weight_decay=0.25)
    found = make_optimizer([weight], completed(recipe).recipe)
    weight.grad = torch.tensor([3.0])
    found.step()
    first = 2.0 - 0.1 * (3.0 + 0.25 * 2.0)
    assert weight.item() == pytest.approx(first)
    found.step()  # momentum: half of the last step's push comes again
    assert weight.item() == pytest.approx(first - 0.1 * (3.0 + 0.25 * first + 0.5 * 3.5))


def test_nesterov_is_heard_only_with_momentum() -> None:
    for momentum in (0.0, 0.9):
        known = Recipe(optimizer=Optimizer.SGD, momentum=momentum, nesterov=True)
        found = make_optimizer(nn.Linear(2, 2).parameters(), completed(known).recipe)
        assert found.param_groups[0]["nesterov"] == (momentum > 0)


def test_frozen_parameters_are_left_alone() -> None:
    model = nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    found = make_optimizer(model.parameters(), completed(Recipe()).recipe)
    assert [p is model.weight for p in found.param_groups[0]["params"]] == [True]


def test_the_rate_can_be_set() -> None:
    found = make_optimizer(nn.Linear(2, 2).parameters(), completed(Recipe()).recipe)
    set_lr(found, 0.75)
    assert found.param_groups[0]["lr"] == 0.75
