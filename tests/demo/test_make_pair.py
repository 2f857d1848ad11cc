"""The script that made the pairs: the loss that it minimises, and that a rerun repeats it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor.demo.pair import make_pair

PAIR = Path(make_pair.__file__).parent
STUDENT = torch.tensor([[1.0, 0.0, -1.0], [0.0, 3.0, 0.5]])
TEACHER = torch.tensor([[4.0, 0.0, 0.0], [-2.0, 1.0, 6.0]])
LABELS = torch.tensor([0, 2])


@pytest.fixture
def torch_as_it_was() -> Iterator[None]:
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    yield
    torch.set_num_threads(threads)
    torch.random.set_rng_state(state)


def _softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("task_weight", "temperature"), [(0.3, 4.0), (0.9, 1.0), (0.0, 2.0)])
@pytest.mark.parametrize("scale_by_t2", [True, False])
def test_the_loss_is_the_declared_one(task_weight, temperature, scale_by_t2):
    recipe = {
        "task_weight": task_weight,
        "temperature": temperature,
        "scale_by_t2": scale_by_t2,
    }
    loss = make_pair._loss(STUDENT, nn.Identity(), TEACHER, LABELS, recipe)
    task = -np.log(_softmax(STUDENT.numpy())[[0, 1], [0, 2]]).mean()
    student, teacher = (_softmax(z.numpy() / temperature) for z in (STUDENT, TEACHER))
    distillation = (teacher * np.log(teacher / student)).sum(axis=1).mean()
    factor = temperature**2 if scale_by_t2 else 1
    expected = task_weight * task + (1 - task_weight) * factor * distillation
    assert float(loss) == pytest.approx(expected, abs=1e-6)


def test_a_rerun_repeats_weights_and_history(tmp_path, monkeypatch, torch_as_it_was):
    monkeypatch.setitem(make_pair.TEACHER_RECIPE, "epochs", 1)
    results = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(PAIR / "run.py", folder)
        config = (PAIR / "gapdoctor.toml").read_text(encoding="utf-8")
        assert "epochs = 120" in config
        short = config.replace("epochs = 120", "epochs = 3")
        (folder / "gapdoctor.toml").write_text(short, encoding="utf-8")
        losses = make_pair.make(folder)
        saved = torch.load(folder / "checkpoint.pth")
        results.append((losses, saved["model"], (folder / "history.csv").read_text("utf-8")))
    (losses, weights, history), again = results
    assert losses == again[0]
    assert all(torch.equal(value, again[1][key]) for key, value in weights.items())
    assert history == again[2]
    assert len(history.splitlines()) == 4


def test_it_saves_what_training_scripts_usually_do():
    saved = torch.load(PAIR / "checkpoint.pth")
    assert list(saved) == ["model", "optimizer", "epoch"]
    assert saved["epoch"] == 120
    bare = torch.load(PAIR / "teacher.pth")
    assert all(isinstance(value, torch.Tensor) for value in bare.values())
