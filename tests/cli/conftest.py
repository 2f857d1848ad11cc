"""The installed command, run as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).parent / "gapdoctor"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command() -> Path:
    """The installed script."""
    return COMMAND


@pytest.fixture
def gapdoctor(tmp_path: Path) -> Run:
    """Run `gapdoctor ARGUMENTS` in a folder of its own; `env` adds to the environment."""

    def run(
        *arguments: object,
        cwd: Path = tmp_path,
        env: dict[str, str] | None = None,
        timeout: float = 100,
    ) -> subprocess.CompletedProcess[str]:
        plain = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "FORCE_COLOR"}}
        return subprocess.run(
            [COMMAND, *map(str, arguments)],
            cwd=cwd,
            env={**plain, "COLUMNS": "80", "OMP_NUM_THREADS": "1", **(env or {})},
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
        )

    return run


RUN_PY = """
import numpy as np
import torch
from torch import nn

W = np.array([[2.0, 0.0, 1.0, -1.0], [-1.0, 2.0, 0.0, 1.0], [0.0, -1.0, -2.0, 1.0]])


def rows(seed, n):
    # Labels drawn from softmax(3·W·x): the teacher is the truth, and calibrated.
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(n, 4))
    labels = (3.0 * inputs @ W.T + random.gumbel(size=(n, 3))).argmax(1)
    return torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels)


train_set = rows(1, 400)
heldout_set = rows(2, 600)


def linear():
    return nn.Linear(4, 3)
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


@pytest.fixture(scope="session")
def write_pair() -> Callable[..., Path]:
    """Write a linear pair whose student's logits are `scale` times its teacher's."""

    def write(folder: Path, scale: float = 0.1) -> Path:
        import torch

        folder.mkdir(parents=True, exist_ok=True)
        space: dict[str, object] = {}
        exec(RUN_PY, space)
        (folder / "run.py").write_text(RUN_PY)
        (folder / "gapdoctor.toml").write_text(CONFIG)
        weight = 3.0 * torch.tensor(space["W"], dtype=torch.float32)
        torch.save({"weight": weight, "bias": torch.zeros(3)}, folder / "teacher.pth")
        torch.save({"weight": scale * weight, "bias": torch.zeros(3)}, folder / "student.pth")
        return folder

    return write
