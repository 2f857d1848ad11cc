"""Views: the recipe's augmentation, and mixup."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch

from gapdoctor.domain.recipe import Recipe
from gapdoctor.loading.keys import AUGMENTATIONS
from gapdoctor.observe.augmentation import KNOWN
from gapdoctor.training.views import MIXUP, MIXUP_NAME, View, Views, mixed, number, views_of

VIEW = View(
    np.arange(4), torch.tensor([[0.0], [1.0], [2.0], [3.0]]), torch.tensor([0, 1, 2, 0])
)  # fmt: skip


def test_no_augmentation_changes_nothing(planted: ModuleType) -> None:
    found = views_of(planted.healthy(50, recipe=Recipe(augment=())))
    assert isinstance(found, Views)
    assert not found.change
    assert torch.equal(found.of(VIEW.inputs), VIEW.inputs)


def test_names_are_looked_up_and_mixup_is_told_apart(planted: ModuleType) -> None:
    found = views_of(planted.healthy(50, recipe=Recipe(augment=("noise", "mixup"))))
    assert isinstance(found, Views)
    assert found.mixup == MIXUP
    assert not torch.equal(found.of(VIEW.inputs), VIEW.inputs)
    alone = views_of(planted.healthy(50, recipe=Recipe(augment="mixup")))
    assert isinstance(alone, Views)
    assert (alone.augment, alone.change) == (None, True)


def test_the_users_own_is_called_on_each_sample(planted: ModuleType) -> None:
    found = views_of(planted.healthy(50, augment=lambda sample: sample + 1))
    assert isinstance(found, Views)
    assert torch.equal(found.of(VIEW.inputs), VIEW.inputs + 1)


def test_a_recipe_of_its_own_and_the_users_own_with_mixup(planted: ModuleType) -> None:
    case = planted.healthy(50, recipe=Recipe(augment="run.py:own"), augment=lambda x: x + 1)
    found = views_of(case, Recipe(augment=("run.py:own", "mixup")))
    assert isinstance(found, Views)
    assert found.mixup == MIXUP
    assert torch.equal(found.of(VIEW.inputs), VIEW.inputs + 1)


def test_the_config_knows_the_names_that_can_be_done_and_no_others() -> None:
    assert set(AUGMENTATIONS) == {*KNOWN, MIXUP_NAME}


@pytest.mark.parametrize("augment", [None, ("cutmix",), ("mixup", "cutmix")])
def test_what_cannot_be_replayed_is_said(planted: ModuleType, augment: object) -> None:
    found = views_of(planted.healthy(50, recipe=Recipe(augment=augment)))  # type: ignore[arg-type]
    assert isinstance(found, str)
    assert "augmentation" in found


def test_mixup_mixes_rows_and_labels_by_one_share() -> None:
    found = mixed(VIEW, 1.0, np.random.default_rng(0))
    partner = np.random.default_rng(0)
    share, order = float(partner.beta(1.0, 1.0)), partner.permutation(4)
    expected = share * VIEW.inputs + (1 - share) * VIEW.inputs[order]
    assert torch.allclose(found.inputs, expected)
    targets = found.targets(3)
    assert targets.shape == (4, 3)
    assert torch.allclose(targets.sum(1), torch.ones(4))
    for row in range(4):
        one, other = VIEW.labels[row], VIEW.labels[order[row]]
        assert targets[row, one] >= share - 1e-6
        assert targets[row, other] >= 1 - share - 1e-6


def test_a_part_keeps_what_belongs_to_its_rows() -> None:
    found = mixed(VIEW, 1.0, np.random.default_rng(0))
    part = found.part(slice(1, 3))
    assert torch.equal(part.inputs, found.inputs[1:3])
    assert torch.equal(part.targets(3), found.targets(3)[1:3])
    assert torch.equal(VIEW.part(slice(2, 4)).targets(3), VIEW.labels[2:4])


def test_streams_of_other_numbers_differ() -> None:
    assert number(0, 1) == number(0, 1)
    assert len({number(0, 1), number(1, 0), number(0, 1, 0), number(0), number(0, 2)}) == 5
