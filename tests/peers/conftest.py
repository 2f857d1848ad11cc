"""Logits and features to compare losses on, a training to average, and the other libraries."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from gapdoctor.domain.recipe import Distillation, Optimizer, Recipe, Schedule
from gapdoctor.observe.borrow import own_random_state
from gapdoctor.training.averaging import averaging_of
from gapdoctor.training.callbacks import Callback, Running
from gapdoctor.training.defaults import completed
from gapdoctor.training.loop import Length, fit
from gapdoctor.training.rows import rows_of_tensors

REQUIRED = "GAPDOCTOR_PEERS"
"""Environment variable: 1 where a library that is missing is a failure (`make peers`)."""
ROWS, CLASSES, STEPS = 7, 5, 12


@pytest.fixture(scope="session")
def peer() -> Callable[[str], ModuleType]:
    """Import a module of another library, or skip the test and say how it would run."""

    def found(name: str) -> ModuleType:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            library = name.partition(".")[0]
            if error.name != library:
                raise  # it is there, and broken
            why = f"needs {library}, which `make peers` installs"
            if os.environ.get(REQUIRED) == "1":
                pytest.fail(why)
            pytest.skip(why)

    return found


class Logits(NamedTuple):
    """Of the same rows, (n, C) in float64, and their labels (n,)."""

    student: torch.Tensor
    teacher: torch.Tensor
    labels: torch.Tensor


@pytest.fixture
def logits() -> Logits:
    """7 rows in 5 classes."""
    chance = torch.Generator().manual_seed(0)
    student, teacher = (
        3 * torch.randn(ROWS, CLASSES, generator=chance, dtype=torch.float64) for _ in range(2)
    )
    return Logits(student, teacher, torch.randint(CLASSES, (ROWS,), generator=chance))


class Maps(NamedTuple):
    """Feature maps (n, channels, height, width) in float64; the channels differ in number."""

    student: torch.Tensor
    teacher: torch.Tensor

    def rows(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return both as (n, positions, channels), as the distances take them."""
        one, other = (maps.flatten(2).transpose(1, 2) for maps in self)
        return one, other


@pytest.fixture
def maps() -> Maps:
    """7 rows of 2 × 3 positions, of 4 and 8 channels."""
    chance = torch.Generator().manual_seed(1)
    student, teacher = (
        1 + torch.randn(ROWS, n, 2, 3, generator=chance, dtype=torch.float64) for n in (4, 8)
    )
    return Maps(student, teacher)


@pytest.fixture
def plain() -> Callable[..., Recipe]:
    """A recipe with nothing left to assume, and what is changed of it."""
    whole = Recipe(
        epochs=3, batch_size=16, optimizer=Optimizer.SGD, lr=0.1, momentum=0.9,
        nesterov=False, weight_decay=0.0, schedule=Schedule.CONSTANT, task_weight=0.5,
        temperature=2.0, scale_by_t2=True, distillation=Distillation.KL, label_smoothing=0.0,
    )  # fmt: skip
    return lambda **changed: completed(Recipe(**whole.known() | changed)).recipe


class Told(Callback):
    """Hands the student on after each step."""

    def __init__(self, tell: Callable[[nn.Module], Any]) -> None:
        self._tell = tell

    def step_ended(self, run: Running, loss: float) -> None:
        self._tell(run.student)


@pytest.fixture
def inputs() -> torch.Tensor:
    """50 rows of 4 features, to train on."""
    return torch.randn(50, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def averaged(inputs: torch.Tensor, plain: Callable[..., Recipe]) -> Callable[..., nn.Module]:
    """Train a model in `STEPS` steps, its weights averaged; another library looks on."""
    rows = rows_of_tensors(inputs, torch.arange(50) % 3)

    def train(student: nn.Module, tell: Callable[[nn.Module], Any], **average: Any) -> nn.Module:
        recipe = plain(**average)
        callbacks = [Told(tell), *averaging_of(recipe, STEPS, rows)]
        made = fit(student, None, rows, recipe, Length(steps=STEPS), callbacks=callbacks)
        assert made.steps == STEPS
        return made.student

    return train


@pytest.fixture
def small() -> nn.Module:
    """A linear model of 4 features and 3 classes."""
    with own_random_state(1):
        return nn.Linear(4, 3)
