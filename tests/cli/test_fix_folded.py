"""`gapdoctor fix` folds a temperature into the head, and says so where the next diagnosis looks."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gapdoctor.cli import app
from gapdoctor.stats.refit import HeadLoss

RUN_PY = """
import numpy as np
import torch
from torch import nn

W = np.random.default_rng(0).normal(size=(6, 8))


def rows(seed, n):
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(n, 8)) + 0.3
    labels = (inputs @ W.T + random.gumbel(size=(n, 6))).argmax(1)
    return torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels)


train_set = rows(1, 40)
heldout_set = rows(2, 2500)


class Narrow(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(5, 6)

    def forward(self, x):
        return self.head(x[:, :5])


class Normed(Narrow):
    # No linear layer makes these logits.
    def forward(self, x):
        return super().forward(x).log_softmax(1)


def teacher():
    return nn.Linear(8, 6)
"""
CONFIG = """
[student]
model = "run.py:Narrow"
checkpoint = "student.pth"
[teacher]
model = "run.py:teacher"
checkpoint = "teacher.pth"
[data]
train = "run.py:train_set"
heldout = "run.py:heldout_set"
[recipe]
epochs = 2
batch_size = 20
optimizer = "sgd"
lr = 0.01
momentum = 0.0
nesterov = false
weight_decay = 0.01
schedule = "constant"
task_weight = 0.95
temperature = 1.0
scale_by_t2 = true
augment = []
label_smoothing = 0.0
dropout = 0.0
early_stopping = 0
"""
RESULTS = "student.gapdoctor"
FIXED = f"{RESULTS}/gapdoctor.fixed.toml"


def write_pair(folder: Path, config: str = CONFIG) -> Path:
    """A student at rest under its recipe, on so few rows that it is far too sure elsewhere."""
    space: dict[str, Any] = {}
    exec(RUN_PY, space)
    (folder / "run.py").write_text(RUN_PY)
    (folder / "gapdoctor.toml").write_text(config)
    inputs, labels = space["train_set"]
    teacher = {"weight": torch.tensor(space["W"]).float(), "bias": torch.zeros(6)}
    taught = inputs @ teacher["weight"].T
    loss = HeadLoss(inputs[:, :5].numpy(), taught.numpy(), labels.numpy(), 0.95, 1.0)
    head = np.zeros((6, 6))
    for _ in range(1000):
        head -= 0.3 * (loss.slope(head, np.arange(len(labels))) + 0.01 * head)
    own = torch.tensor(head).float()
    torch.save(teacher, folder / "teacher.pth")
    torch.save({"head.weight": own[:, :5].clone(), "head.bias": own[:, 5].clone()},
               folder / "student.pth")  # fmt: skip
    return folder


def apply(*arguments: object) -> None:
    plain = [str(one) for one in arguments]
    assert app.run(["fix", "--apply", *plain, "-q", "--format", "json"]) == 0


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pair with its temperature folded in; where it lies."""
    folder = write_pair(tmp_path_factory.mktemp("folded"))
    apply(folder / "student.pth", "--only", "scale_temperature")
    return folder


def student_of(folder: Path) -> dict[str, Any]:
    """`[student]` of what was written."""
    found: dict[str, Any] = tomllib.loads((folder / FIXED).read_text())["student"]
    return found


def weights(file: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(file, weights_only=True)
    return found


def ratios(folder: Path) -> torch.Tensor:
    """How many times smaller the head's weights have become."""
    old, new = (weights(folder / f) for f in ("student.pth", f"{RESULTS}/student.fixed.pth"))
    return old["head.weight"] / new["head.weight"]


def causes(diagnosis: dict[str, Any]) -> set[str]:
    return {c["id"] for c in diagnosis["causes"] if c["confidence"] >= 0.5}


def stored(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / RESULTS / name).read_text())
    return found


def test_what_was_folded_in_is_written_down(fixed):
    told = student_of(fixed)
    assert told["folded_temperature"] > 1.5
    assert "output_temperature" not in told
    folded = torch.tensor(told["folded_temperature"])
    assert torch.allclose(ratios(fixed), folded, rtol=1e-5)
    assert "+folded_temperature = " in (fixed / RESULTS / "changes.diff").read_text()


def test_it_is_no_new_cause(fixed, capsys):
    after = stored(fixed, "diagnosis.fixed.json")
    assert "loss_imbalance" not in causes(stored(fixed, "diagnosis.json")) | causes(after)
    # Whoever takes the key out is told that another loss ran.
    written = (fixed / FIXED).read_text()
    line = next(one for one in written.splitlines() if one.startswith("folded_temperature"))
    untold = fixed / RESULTS / "untold.toml"
    untold.write_text(written.replace(line, ""))
    assert app.run(["diagnose", "-c", str(untold), "--json", "-q"]) == 0
    without = json.loads(capsys.readouterr().out)
    assert "loss_imbalance" in causes(without)
    assert without["gap"] == after["gap"]


def test_trainings_go_on_from_the_head_as_it_was(fixed, tmp_path):
    apply("-c", fixed / FIXED, "--only", "add_weight_decay", "--start", "checkpoint",
          "--seeds", "1", "--out", tmp_path)  # fmt: skip
    (given,) = tmp_path.rglob("given.pt")
    old, started = weights(fixed / "student.pth"), weights(given)
    assert all(torch.allclose(started[name], old[name], rtol=1e-5) for name in old)
    (control,) = given.parent.glob("control-checkpoint-*/student.pt")
    # Two epochs at this rate hardly move a student at rest.
    assert all(torch.allclose(weights(control)[n], old[n], atol=0.05) for n in old)


def test_folded_in_twice_it_is_the_product(tmp_path):
    name = 'checkpoint = "student.pth"\n'
    write_pair(tmp_path, CONFIG.replace(name, f"{name}folded_temperature = 0.5\n"))
    apply(tmp_path / "student.pth", "--only", "scale_temperature")
    told = student_of(tmp_path)["folded_temperature"]
    assert told == pytest.approx(0.5 * float(ratios(tmp_path).mean()), rel=1e-5)


def test_where_no_head_takes_it_nothing_is_folded(tmp_path):
    write_pair(tmp_path, CONFIG.replace("run.py:Narrow", "run.py:Normed"))
    apply(tmp_path / "student.pth", "--only", "scale_temperature")
    told = student_of(tmp_path)
    assert told["output_temperature"] > 1.5
    assert "folded_temperature" not in told
    assert "loss_imbalance" not in causes(stored(tmp_path, "diagnosis.fixed.json"))
