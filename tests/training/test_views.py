"""Views: the recipe's augmentation, and mixup."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest

from gapdoctor.domain.recipe import Recipe
from gapdoctor.loading.keys import AUGMENTATIONS
from gapdoctor.observe.augmentation import KNOWN
from gapdoctor.training.losses import task_loss
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


def test_mixup_is_that_of_zhang() -> None:
    """Zhang et al. 2018, equation 1: λ·x_i + (1 − λ)·x_j and the same of one-hot labels."""
    for seed in range(5):
        found = mixed(VIEW, 0.4, np.random.default_rng(seed))
        drawn = np.random.default_rng(seed)
        share, order = float(drawn.beta(0.4, 0.4)), drawn.permutation(4)
        x, one_hot = VIEW.inputs.numpy(), np.eye(3)[VIEW.labels.numpy()]
        for i, j in enumerate(order):
            assert found.inputs[i].numpy() == pytest.approx(share * x[i] + (1 - share) * x[j])
            targets = share * one_hot[i] + (1 - share) * one_hot[j]
            assert found.targets(3)[i].numpy() == pytest.approx(targets)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_the_share_is_drawn_from_a_beta_distribution(alpha: float) -> None:
    rng = np.random.default_rng(0)
    drawn = [mixed(VIEW, alpha, rng).share for _ in range(2_000)]
    assert kstest(drawn, beta(alpha, alpha).cdf).pvalue > 1e-3
    assert kstest(drawn, beta(2 * alpha, 2 * alpha).cdf).pvalue < 1e-6


def test_the_loss_of_mixed_labels_is_the_mixed_loss_of_the_labels() -> None:
    """λ·CE(ŷ, y_i) + (1 − λ)·CE(ŷ, y_j), as the authors' code has it; smoothed or not."""
    found = mixed(VIEW, 1.0, np.random.default_rng(0))
    assert found.others is not None
    logits = np.random.default_rng(1).normal(size=(4, 3))
    surprise = np.log(np.exp(logits).sum(1, keepdims=True)) - logits
    for smoothing in (0.0, 0.1):
        rows = []
        for row, own, other in zip(surprise, found.labels, found.others, strict=True):
            one, two = ((1 - smoothing) * row[y] + smoothing * row.mean() for y in (own, other))
            rows.append(found.share * one + (1 - found.share) * two)
        loss = task_loss(torch.from_numpy(logits), found.targets(3).double(), smoothing)
        assert loss.item() == pytest.approx(np.mean(rows), rel=1e-6)


def test_a_part_keeps_what_belongs_to_its_rows() -> None:
    found = mixed(VIEW, 1.0, np.random.default_rng(0))
    part = found.part(slice(1, 3))
    assert torch.equal(part.inputs, found.inputs[1:3])
    assert torch.equal(part.targets(3), found.targets(3)[1:3])
    assert torch.equal(VIEW.part(slice(2, 4)).targets(3), VIEW.labels[2:4])


def test_streams_of_other_numbers_differ() -> None:
    assert number(0, 1) == number(0, 1)
    assert len({number(0, 1), number(1, 0), number(0, 1, 0), number(0), number(0, 2)}) == 5
