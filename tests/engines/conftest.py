"""A small pair on disk, whose trainings run in processes of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gapdoctor import Case, load_case
from gapdoctor.domain.recipe import Optimizer, Recipe
from gapdoctor.domain.trials import TrialRecord, TrialSpec
from gapdoctor.engines._base import Conditions, Watcher
from gapdoctor.observe.observations import Settings
from gapdoctor.training.defaults import completed

RUN_PY = """
import os
import signal
from pathlib import Path

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).parent
if (HERE / "crash").exists() and (HERE / "crash").read_text() != str(os.getpid()):
    os._exit(7)


def rows(seed, n):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, n)
    inputs = random.normal(size=(n, 4)) + 2.0 * np.eye(4)[labels]
    return torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels)


train_set = rows(1, 96)
heldout_set = rows(2, 80)


def linear():
    return nn.Linear(4, 3)


def train(student, teacher, data, recipe):
    # The rate tells which trial this is: `lr` 0.5 takes its process with it once, 0.9 always.
    marker = HERE / "killed"
    if recipe.lr == 0.9 or (recipe.lr == 0.5 and not marker.exists()):
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return student
"""
CONFIG = """
[student]
model = "run.py:linear"
checkpoint = "student.pth"
[teacher]
model = "run.py:linear"
checkpoint = "teacher.pth"
[data]
train = "run.py:train_set"
heldout = "run.py:heldout_set"
"""
RECIPE = completed(
    Recipe(epochs=6, batch_size=16, optimizer=Optimizer.SGD, lr=0.1, augment=(), dropout=0.0,
           early_stopping=0)
).recipe  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the pair lies."""
    home = tmp_path / "pair"
    home.mkdir()
    (home / "run.py").write_text(RUN_PY)
    (home / "gapdoctor.toml").write_text(CONFIG)
    for seed, name in enumerate(("student.pth", "teacher.pth")):
        torch.manual_seed(seed)
        torch.save(torch.nn.Linear(4, 3).state_dict(), home / name)
    return home


@pytest.fixture
def case(folder: Path) -> Case:
    """The pair, loaded."""
    return load_case(folder / "gapdoctor.toml")


@pytest.fixture
def user_case(folder: Path) -> Case:
    """The same with a trainer of the user's own."""
    config = folder / "gapdoctor.toml"
    config.write_text(f'{CONFIG}[recipe]\ntrainer = "run.py:train"\n')
    return load_case(config)


@pytest.fixture
def spec() -> Callable[..., TrialSpec]:
    """A trial of the small pair; `lr` and the like change its recipe."""

    def make(fix: str = "control", seed: int = 0, epochs: int = 6, **changed: Any) -> TrialSpec:
        from dataclasses import replace

        recipe = replace(RECIPE, epochs=epochs, **changed)
        return TrialSpec(fix, seed, "scratch", recipe, epochs)

    return make


@pytest.fixture
def conditions(tmp_path: Path) -> Callable[..., Conditions]:
    """Where and how trials run."""

    def make(name: str = "trials", **more: Any) -> Conditions:
        return Conditions(tmp_path / name, Settings(device="cpu"), **more)

    return make


class Noted(Watcher):
    """Remembers what it is told; may do something at the first epoch of a trial."""

    def __init__(self, at_epoch: Callable[[str], None] | None = None) -> None:
        self.begun: list[str] = []
        self.records: dict[str, TrialRecord] = {}
        self.notes: list[str] = []
        self._at_epoch = at_epoch

    def started(self, trial: str, steps: int) -> None:
        self.begun.append(trial)

    def epoch(self, trial: str, loss: float) -> None:
        act, self._at_epoch = self._at_epoch, None
        if act is not None:
            act(trial)

    def ended(self, trial: str, record: TrialRecord) -> None:
        self.records[trial] = record

    def note(self, statement: str) -> None:
        self.notes.append(statement)


@pytest.fixture
def noted() -> type[Noted]:
    """A watcher that remembers."""
    return Noted
