"""What `diagnose` costs beside the bare forward passes of both models over the same rows.

Run by `make bench`; prints a ratio and judges nothing, since a shared machine cannot be trusted
with a limit. Both sides run in one process, in turn, on one thread. The networks are random up to
their heads, which are fitted in closed form, so that there is something to find.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import gapdoctor
from gapdoctor import Recipe
from gapdoctor.observe.case import Case, Preprocess

ROWS = 4_000
ROUNDS = 3
CLASSES = 10
Rows = tuple[torch.Tensor, torch.Tensor]


class Net(nn.Module):
    """A small convolutional network."""

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(3),
            nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Linear(18 * width, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x))


def _pictures(seed: int, side: int = 24) -> Rows:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, ROWS)
    world = np.random.default_rng(0).normal(size=(CLASSES, 3, 6, 6)).repeat(4, 2).repeat(4, 3)
    x = 0.16 * world[labels] + rng.normal(size=(ROWS, 3, side, side))
    return torch.tensor(0.15 * x + 0.5, dtype=torch.float32), torch.tensor(labels)


def _fitted(width: int, seed: int, rows: Rows, penalty: float) -> Net:
    """Ridge regression on random features; BatchNorm has seen the rows."""
    net, (x, labels) = Net(width, seed), rows
    with torch.no_grad():
        for batch in x[:1024].split(256):
            net.body(batch)
        net.eval()
        found = torch.cat([net.body(batch) for batch in x.split(256)]).double()
        mean = found.mean(dim=0)
        centred = found - mean
        ridge = penalty * len(x) * centred.var(dim=0).mean() * torch.eye(found.shape[1])
        wanted = functional.one_hot(labels, CLASSES).double() - 1 / CLASSES
        weight = 14 * torch.linalg.solve(centred.T @ centred + ridge.double(), centred.T @ wanted)
        net.head.weight.copy_(weight.T)
        net.head.bias.copy_(-(mean @ weight))
    return net


@cache
def _pair(light: bool) -> tuple[Net, Net, Net]:
    """Student, teacher, and a student that was fitted to a few rows."""
    train = _pictures(1)
    few = (train[0][:500], train[1][:500])
    small, large = (5, 14) if light else (16, 40)
    return (
        _fitted(small, 2, train, 0.02), _fitted(large, 1, train, 0.02),
        _fitted(small, 3, few, 1e-4),
    )  # fmt: skip


def _case(kind: str, light: bool) -> Case:
    student, teacher, few = _pair(light)
    heldout = _pictures(2)
    case = Case(student=student, teacher=teacher, train=_pictures(1), heldout=heldout)
    recipe = Recipe(task_weight=0.3, temperature=4.0, augment=(), weight_decay=0.0)
    blurred = functional.avg_pool2d(heldout[0], 3, 1, 1)
    return {
        "model-ready": case,
        "pipelines": replace(case, preprocess=Preprocess(lambda a: a, lambda a: a * 1.0)),
        "gradients": replace(case, student=few, recipe=recipe),
        "gradients, augmented": replace(
            case, student=few, recipe=replace(recipe, augment=("crop",))
        ),
        "grid": replace(case, heldout=(blurred, heldout[1])),
    }[kind]


def _bare(case: Case, rows: int) -> None:
    with torch.no_grad():
        for model in (case.student.eval(), case.teacher.eval()):
            for inputs, _ in (case.train, case.heldout):
                for batch in inputs[:rows].split(256):
                    model(batch)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@pytest.mark.slow
@pytest.mark.parametrize("light", [False, True], ids=["larger models", "light models"])
@pytest.mark.parametrize(
    "kind", ["model-ready", "pipelines", "gradients", "gradients, augmented", "grid"]
)
def test_diagnose_beside_bare_passes(kind: str, light: bool) -> None:
    """Print diagnose ÷ bare passes, the median of paired rounds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    case = _case(kind, light)
    try:
        rows = gapdoctor.diagnose(case, max_samples=ROWS, progress=False).data.train.used
        ratios, passes = [], []
        for _ in range(ROUNDS):
            passes.append(_seconds(lambda: _bare(case, rows)))
            whole = _seconds(lambda: gapdoctor.diagnose(case, max_samples=ROWS, progress=False))
            ratios.append(whole / passes[-1])
    finally:
        torch.set_num_threads(threads)
    row = 1e6 * min(passes) / (4 * rows)
    print(
        f"\ndiagnose ÷ bare forward passes ({kind}, {rows} rows a split used, {row:.0f} µs a row "
        f"and model): median {statistics.median(ratios):.2f}, {min(ratios):.2f} to "
        f"{max(ratios):.2f}"
    )
    assert len(ratios) == ROUNDS
