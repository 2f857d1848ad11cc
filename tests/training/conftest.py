"""Tiny rows, a tiny pair and a plain recipe for the training loop."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from gapdoctor.domain.recipe import Distillation, Optimizer, Recipe, Schedule
from gapdoctor.domain.trials import TrialSpec
from gapdoctor.observe.borrow import own_random_state

PLAIN = Recipe(
    epochs=3, batch_size=16, optimizer=Optimizer.SGD, lr=0.1, momentum=0.9, nesterov=False,
    weight_decay=0.0, schedule=Schedule.CONSTANT, task_weight=0.5, temperature=2.0,
    scale_by_t2=True, distillation=Distillation.KL, label_smoothing=0.0,
)  # fmt: skip


@pytest.fixture
def plain() -> Callable[..., Recipe]:
    """A recipe with nothing left to assume, and what is changed of it."""
    return lambda **changed: Recipe(**PLAIN.known() | changed)


@pytest.fixture
def data() -> tuple[torch.Tensor, torch.Tensor]:
    """50 rows of 4 features in 3 classes."""
    chance = torch.Generator().manual_seed(0)
    inputs = torch.randn(50, 4, generator=chance)
    return inputs, torch.randint(3, (50,), generator=chance)


@pytest.fixture
def linear() -> Callable[..., nn.Linear]:
    """A linear model whose weights all have one value, or are drawn by a seed."""

    def build(value: float | None = None, *, seed: int = 1, classes: int = 3) -> nn.Linear:
        model = nn.Linear(4, classes)
        chance = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                drawn = torch.randn(parameter.shape, generator=chance)
                parameter.copy_(drawn if value is None else torch.full_like(parameter, value))
        return model

    return build


@pytest.fixture
def weights_of() -> Callable[[nn.Module], dict[str, Any]]:
    """All numbers of a model as bytes, so that they compare exactly."""
    return lambda model: {k: v.detach().numpy().tobytes() for k, v in model.state_dict().items()}


def small() -> nn.Sequential:
    """A student with BatchNorm and Dropout, untrained."""
    return nn.Sequential(
        nn.Linear(4, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.1), nn.Linear(12, 3)
    )


@pytest.fixture
def pair(planted: ModuleType) -> Callable[..., Any]:
    """A case whose student can be built anew; what is changed of it."""

    def build(n: int = 60, **more: Any) -> Any:
        with own_random_state(99):
            student = small()
        return planted.healthy(n, **{"student": student, "student_factory": small, **more})

    return build


@pytest.fixture
def spec(plain: Callable[..., Recipe]) -> Callable[..., TrialSpec]:
    """A short trial; fields of its recipe may be given."""

    def build(
        fix: str = "control", seed: int = 0, epochs: int = 3, start: Any = "scratch",
        anneal: bool = False, larger: bool = False, **recipe: Any,
    ) -> TrialSpec:  # fmt: skip
        changed = plain(**{"augment": (), "epochs": epochs, **recipe})
        return TrialSpec(fix, seed, start, changed, epochs, anneal, larger)

    return build
