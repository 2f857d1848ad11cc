"""The losses against timm, seen in version 1.0.31."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor.domain.recipe import Average, Recipe
from gapdoctor.training.features.adapters import adapter
from gapdoctor.training.features.distances import normalised_mse
from gapdoctor.training.losses import composite_loss, task_loss
from gapdoctor.training.views import View, mixed

pytestmark = pytest.mark.peers
Peer = Callable[[str], ModuleType]
RecipeOf = Callable[..., Recipe]
Averaged = Callable[..., nn.Module]


# -- the task loss -------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_a_smoothed_label(peer: Peer, logits: Any, smoothing: float) -> None:
    theirs = peer("timm.loss").LabelSmoothingCrossEntropy(smoothing)
    ours = task_loss(logits.student, logits.labels, smoothing)
    expected = theirs(logits.student, logits.labels)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_mixed_labels(peer: Peer, smoothing: float) -> None:
    """They mix the first row with the last, where we draw which; they smooth before they mix."""
    labels = torch.tensor([0, 1, 2, 0])
    for seed in range(200):
        view = mixed(View(np.arange(4), labels[:, None], labels), 1.0, np.random.default_rng(seed))
        if view.others is not None and torch.equal(view.others, labels.flip(0)):
            break
    else:
        pytest.fail("no draw of ours is theirs")
    targets = peer("timm.data.mixup").mixup_target(labels, 3, view.share, smoothing)
    scores = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    theirs = peer("timm.loss").SoftTargetCrossEntropy()(scores, targets)
    assert task_loss(scores, view.targets(3), smoothing).item() == pytest.approx(theirs.item())


# -- whole steps of a distillation ---------------------------------------------------------------


class Net(nn.Module):
    """What timm asks of a model: features, pooled, and a head."""

    pretrained_cfg: dict[str, Any] = {"mean": (0.5,) * 3, "std": (0.5,) * 3}  # noqa: RUF012

    def __init__(self, width: int, last: nn.Module | None = None) -> None:
        super().__init__()
        self.num_features, self.num_classes, self.in_chans = width, 5, 3
        self.stem, self.last = nn.Conv2d(3, width, 3), last or nn.Identity()
        self.head = nn.Linear(width, 5)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        return self.stem(x).relu()  # type: ignore[no-any-return]

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        pooled = self.last(x.mean((2, 3)))
        return pooled if pre_logits else self.head(pooled)  # type: ignore[no-any-return]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.forward_features(x))


@pytest.fixture
def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(0)
    return torch.randn(7, 3, 8, 8, generator=chance), torch.arange(7) % 5


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_kl_beside_the_labels(
    peer: Peer, plain: RecipeOf, pictures: tuple[torch.Tensor, torch.Tensor], weight: float,
    temperature: float,
) -> None:  # fmt: skip
    """Where their task_loss_weight alone is given: then the other one is 1 − it, as with us."""
    torch.manual_seed(0)
    student, teacher = Net(6), Net(12)
    task = peer("timm.task").LogitDistillationTask(
        student, teacher, criterion=nn.CrossEntropyLoss(), task_loss_weight=weight,
        temperature=temperature,
    )  # fmt: skip
    theirs = task(*pictures)
    inputs, labels = pictures
    recipe = plain(task_weight=weight, temperature=temperature)
    ours = composite_loss(student(inputs), labels, teacher(inputs), recipe)
    assert ours.distillation is not None
    assert ours.task.item() == pytest.approx(theirs["task_loss"].item(), rel=1e-5)
    assert ours.distillation.item() == pytest.approx(theirs["kd_loss"].item(), rel=1e-4)
    assert ours.total.item() == pytest.approx(theirs["loss"].item(), rel=1e-4)


def test_hints(peer: Peer, pictures: tuple[torch.Tensor, torch.Tensor]) -> None:
    """They compare pooled features and leave the teacher's as they are; here it normalises them."""
    torch.manual_seed(0)
    student, teacher = Net(6), Net(12, nn.LayerNorm(12, elementwise_affine=False))
    task = peer("timm.task").FeatureDistillationTask(
        student, teacher, criterion=nn.CrossEntropyLoss(), distill_loss_weight=1.0
    )
    ours = adapter(6, 12)
    ours.load_state_dict(task.trainable_module.projection.state_dict())
    inputs, _ = pictures
    one, other = (
        model.forward_features(inputs).mean((2, 3))[:, None] for model in (student, teacher)
    )
    found = normalised_mse(ours(one), other)
    assert found.item() == pytest.approx(task(*pictures)["kd_loss"].item(), rel=1e-5)


# -- averaged weights ----------------------------------------------------------------------------


def flat(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten().clone() for p in model.parameters()])


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.99])
def test_the_moving_average(peer: Peer, averaged: Averaged, small: nn.Module, decay: float) -> None:
    """Theirs begins with the untrained weights w, which linger with decayⁿ.

    ours = (theirs − decayⁿ·w) / (1 − decayⁿ) after n = 12 steps.
    """
    untrained = flat(small)
    theirs = peer("timm.utils").ModelEmaV3(small, decay=decay)
    ours = averaged(small, theirs.update, average=Average.EMA, average_decay=decay)
    left = decay**12
    expected = (flat(theirs.module) - left * untrained) / (1 - left)
    assert torch.allclose(flat(ours), expected, atol=1e-5)


@pytest.mark.parametrize("after", [0, 6])
def test_the_plain_mean(peer: Peer, averaged: Averaged, small: nn.Module, after: int) -> None:
    """Their warm-up with γ = 1 and power 1 has the decay n/(n + 1) throughout."""
    theirs = peer("timm.utils").ModelEmaV3(
        small, decay=1.0, use_warmup=True, warmup_gamma=1.0, warmup_power=1.0,
        update_after_step=after,
    )  # fmt: skip
    steps = iter(range(1, 13))
    ours = averaged(
        small, lambda student: theirs.update(student, step=next(steps)),
        average=Average.SWA, average_from=after / 12,
    )  # fmt: skip
    assert torch.allclose(flat(ours), flat(theirs.module), atol=1e-6)
