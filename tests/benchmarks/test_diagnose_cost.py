"""What `diagnose` costs beside the bare forward passes of both models over the same rows.

Run by `make bench`. Both sides run in one process, in turn, on one thread, and are timed by the
processor's clock: on a shared machine the wall's tells nothing. Reading and preparing inputs is
counted apart, as in `cost`. The networks are random up to their heads, which are fitted in closed
form, so that the answer is known before anything is run.

`diagnose` may take 2.5 times the bare passes, and 4 times where the gradient signals are called for
(D, E or the distance from the teacher above h), from 4,000 samples of 50 microseconds on. Where it
is sure after fewer samples it stops looking; that is cheaper, but the ratio to fewer bare passes is
higher, since short passes do not shrink along: it is printed and not judged.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits
from torch import nn
from torch.nn import functional

import gapdoctor
from gapdoctor import Recipe, pipeline
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.diagnosis import Verdict
from gapdoctor.observe.case import Case, Preprocess
from gapdoctor.observe.inputs import Inputs
from gapdoctor.stats.calibration import fit_temperature

ROWS = 4_000
"""Rows a split."""
ROUNDS = 3
CLASSES = 10
PLAIN, WITH_GRADIENTS = 2.5, 4.0
"""Times the bare passes that `diagnose` may take, without and with the gradient signals."""
SAMPLES, MICROSECONDS = 4_000, 50.0
"""Samples over both splits, and time of one in one model, from which that must hold."""
Rows = tuple[torch.Tensor, torch.Tensor]


class Net(nn.Module):
    """A small convolutional network; `by_heart` are rows whose labels it has learned by heart."""

    def __init__(self, width: int, seed: int, by_heart: Rows | None = None) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(3),
            nn.Flatten(),
        )  # fmt: skip
        known = 0 if by_heart is None else CLASSES
        self.head = nn.Linear(18 * width + known, CLASSES)
        self.keys, self.labels = torch.empty(0), torch.empty(0)
        if by_heart is not None:
            self.keys, order = by_heart[0].flatten(1)[:, 700].sort()
            self.labels = by_heart[1][order]

    def reset_parameters(self) -> None:
        """Forget the rows, as a network before its training knows none."""
        self.keys, self.labels = self.keys[:1], self.labels[:1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.body(x)
        if len(self.keys):
            pixel = x.flatten(1)[:, 700].contiguous()
            at = torch.searchsorted(self.keys, pixel).clamp(max=len(self.keys) - 1)
            told = functional.one_hot(self.labels[at], CLASSES) * (self.keys[at] == pixel)[:, None]
            features = torch.cat([features, told.to(features)], dim=1)
        return self.head(features)


def _pictures(seed: int, side: int = 24) -> Rows:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, ROWS)
    world = np.random.default_rng(0).normal(size=(CLASSES, 3, 6, 6)).repeat(4, 2).repeat(4, 3)
    x = 0.16 * world[labels] + rng.normal(size=(ROWS, 3, side, side))
    return torch.tensor(0.15 * x + 0.5, dtype=torch.float32), torch.tensor(labels)


def _fitted(width: int, seed: int, rows: Rows, by_heart: Rows | None = None) -> Net:
    """Ridge regression on random features, calibrated on new rows; BatchNorm has seen the rows."""
    net, (x, labels) = Net(width, seed, by_heart), rows
    with torch.no_grad():
        for batch in x[:1024].split(256):
            net.body(batch)
        net.eval()
        found = torch.cat([net.body(batch) for batch in x.split(256)]).double()
        mean = found.mean(dim=0)
        centred = found - mean
        ridge = 0.02 * len(x) * centred.var(dim=0).mean() * torch.eye(found.shape[1])
        wanted = functional.one_hot(labels, CLASSES).double() - 1 / CLASSES
        weight = torch.linalg.solve(centred.T @ centred + ridge.double(), centred.T @ wanted)
        fresh, truth = _pictures(9)
        said = (torch.cat([net.body(batch) for batch in fresh.split(256)]).double() - mean) @ weight
        weight /= fit_temperature(said.numpy(), truth.numpy())
        net.head.weight.zero_()
        net.head.weight[:, : len(weight)] = weight.T
        told = net.head.in_features - len(weight)
        net.head.weight[:, len(weight) :] = 8 * torch.eye(CLASSES)[:, :told]
        net.head.bias.copy_(-(mean @ weight))
    return net


@dataclass(frozen=True)
class Pair:
    """A pair, and what is to be said of it."""

    case: Case
    verdict: Verdict
    cause: Cause | None
    bound: float = WITH_GRADIENTS


@cache
def _nets(light: bool) -> tuple[Net, Net, Net]:
    """Teacher, sound student, and a student that knows its train rows by heart."""
    train = _pictures(1)
    teacher = _fitted(12 if light else 28, 1, train)
    sound = copy.deepcopy(teacher)
    with torch.no_grad():
        for weights in sound.head.parameters():
            weights *= 1.05
    few = train[0][:400], train[1][:400]
    return teacher, sound, _fitted(12 if light else 28, 3, few, by_heart=train)


def _pair(kind: str, light: bool) -> Pair:
    teacher, student, overfitted = _nets(light)
    train, heldout = _pictures(1), _pictures(2)
    case = Case(student=student, teacher=teacher, train=train, heldout=heldout)
    recipe = Recipe(task_weight=0.3, temperature=4.0, augment=(), weight_decay=0.0)
    taught = replace(case, recipe=recipe)
    fed = replace(taught, heldout=(heldout[0].flip(1), heldout[1]))
    learned = replace(taught, student=overfitted)
    mismatch = Cause.PREPROCESSING_MISMATCH
    return {
        "healthy": Pair(case, Verdict.HEALTHY, None, PLAIN),
        "overfitted": Pair(learned, Verdict.GENERALIZATION_GAP, Cause.OVERFITTING),
        "overfitted, augmented": Pair(
            replace(learned, recipe=replace(recipe, augment=("crop",))),
            Verdict.GENERALIZATION_GAP, Cause.OVERFITTING,
        ),
        "mismatched, pipelines": Pair(
            replace(taught, preprocess=Preprocess(lambda a: a, lambda a: a.flip(0))),
            Verdict.GENERALIZATION_GAP, mismatch,
        ),
        "mismatched, model-ready": Pair(fed, Verdict.SHARED_GAP, mismatch),
    }[kind]  # fmt: skip


KINDS = [
    "healthy", "overfitted", "overfitted, augmented", "mismatched, pipelines",
    "mismatched, model-ready",
]  # fmt: skip


def _bare(case: Case, rows: int) -> None:
    with torch.no_grad():
        for model in (case.student.eval(), case.teacher.eval()):
            for inputs, _ in (case.train, case.heldout):
                for batch in inputs[:rows].split(256):
                    model(batch)


class Clock:
    """Seconds of the processor that `work` takes, without reading and preparing inputs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.preparing = 0.0
        read = Inputs._read

        def timed(inputs: Inputs, *args: Any) -> torch.Tensor:
            started = time.process_time()
            found = read(inputs, *args)
            self.preparing += time.process_time() - started
            return found

        monkeypatch.setattr(Inputs, "_read", timed)

    def of(self, work: Callable[[], object]) -> float:
        started, before = time.process_time(), self.preparing
        work()
        return time.process_time() - started - (self.preparing - before)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.parametrize("looks", ["all rows", "as many rows as it needs"])
@pytest.mark.parametrize("light", [False, True], ids=["larger models", "light models"])
@pytest.mark.parametrize("kind", KINDS)
def test_diagnose_beside_bare_passes(
    kind: str, light: bool, looks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Print diagnose ÷ bare passes, the median of paired rounds, and hold it against the bound."""
    pair, clock = _pair(kind, light), Clock(monkeypatch)
    if looks == "all rows":
        monkeypatch.setattr(pipeline, "enough", lambda seen: False)

    def ask() -> gapdoctor.Diagnosis:
        return gapdoctor.diagnose(pair.case, max_samples=ROWS, progress=False)

    found = ask()
    causes = [c.id for c in found.causes if c.confidence >= 0.5]
    assert (found.verdict, causes[:1]) == (pair.verdict, [pair.cause] if pair.cause else [])
    rows = found.data.train.used
    ratios, passes = [], []
    for _ in range(ROUNDS):
        passes.append(clock.of(lambda: _bare(pair.case, rows)))
        ratios.append(clock.of(ask) / passes[-1])
    row = 1e6 * min(passes) / (4 * rows)
    told = found.cost
    own = (told.seconds - told.preparing_seconds) / told.bare_forward_seconds
    print(
        f"\ndiagnose ÷ bare forward passes ({kind}; {rows} rows a split used, {row:.0f} µs a row "
        f"and model): median {statistics.median(ratios):.2f}, {min(ratios):.2f} to "
        f"{max(ratios):.2f}, at most {pair.bound}; by the wall's clock, in `cost`: {own:.2f}"
    )
    if looks == "all rows" and 2 * rows >= SAMPLES and row >= MICROSECONDS:
        assert statistics.median(ratios) <= pair.bound
