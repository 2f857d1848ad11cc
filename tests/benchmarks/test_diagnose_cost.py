"""What `diagnose` costs beside the bare forward passes of both models over the same rows.

Run by `make bench`; prints a ratio and judges nothing, since a shared machine cannot be trusted
with a limit. Both sides run in one process, in turn, on one thread.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

import gapdoctor
from gapdoctor.observe.case import Case, Preprocess

ROWS = 4_000
ROUNDS = 5


def _net(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(2 * width, 10),
    )  # fmt: skip


def _case(pipelines: bool) -> Case:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(2 * ROWS, 3, 32, 32)).astype(np.float32))
    y = rng.integers(0, 10, 2 * ROWS)
    preprocess = Preprocess(train=lambda a: a, inference=lambda a: a * 1.0) if pipelines else None
    return Case(
        student=_net(16),
        teacher=_net(48),
        train=(x[:ROWS], y[:ROWS]),
        heldout=(x[ROWS:], y[ROWS:]),
        preprocess=preprocess or Preprocess(),
    )


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
@pytest.mark.parametrize("pipelines", [False, True], ids=["model-ready", "pipelines"])
def test_diagnose_beside_bare_passes(pipelines: bool) -> None:
    """Print diagnose ÷ bare passes, the median of paired rounds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    case = _case(pipelines)
    try:
        rows = gapdoctor.diagnose(case, max_samples=ROWS, progress=False).data.train.used
        ratios = []
        for _ in range(ROUNDS):
            bare = _seconds(lambda: _bare(case, rows))
            whole = _seconds(lambda: gapdoctor.diagnose(case, max_samples=ROWS, progress=False))
            ratios.append(whole / bare)
    finally:
        torch.set_num_threads(threads)
    kind = "pipelines" if pipelines else "model-ready"
    print(
        f"\ndiagnose ÷ bare forward passes ({kind}, {rows} rows a split used): "
        f"median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}"
    )
    assert len(ratios) == ROUNDS
