"""One file for weights, recipe and history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

import gapdoctor
from gapdoctor.domain.recipe import Optimizer, Recipe
from gapdoctor.errors import CheckpointError, ConfigError, DataError, OutputError
from gapdoctor.loading.checkpoint import load_weights, read_checkpoint


def test_a_pair_comes_back(tmp_path: Path) -> None:
    student, teacher = nn.Linear(2, 3), nn.Linear(4, 3)
    path = gapdoctor.save_bundle(tmp_path / "pair.pth", student=student, teacher=teacher)
    assert path == tmp_path / "pair.pth"
    found = read_checkpoint(path)
    assert [(e.key, e.role) for e in found.entries] == [
        ("student", "student"),
        ("teacher", "teacher"),
    ]
    for role, net in (("student", student), ("teacher", teacher)):
        other = nn.Linear(net.in_features, 3)
        assert load_weights(other, found, key=None, role=role) == ()  # type: ignore[arg-type]
        assert torch.equal(other.weight, net.weight)


def test_torch_reads_it_safely(tmp_path: Path) -> None:
    path = gapdoctor.save_bundle(
        tmp_path / "b.pth",
        student=nn.Linear(2, 3).state_dict(),
        recipe=Recipe(optimizer=Optimizer.SGD, betas=(0.9, 0.99), lr=0.1),
        history={"epoch": [1, 2], "train_loss": [2.0, 1.0], "val_loss": [3.0, 2.0]},
        names={"student.model": "run.py:student"},
    )
    content = torch.load(path, weights_only=True)
    assert content["gapdoctor_bundle"] == 1
    assert content["recipe"] == {"optimizer": "sgd", "lr": 0.1, "betas": (0.9, 0.99)}
    assert content["history"] == {
        "epoch": [1, 2], "train_loss": [2.0, 1.0], "heldout_loss": [3.0, 2.0],
    }  # fmt: skip
    assert content["names"] == {"student.model": "run.py:student"}
    assert "teacher" not in content
    assert not content["student"]["weight"].requires_grad


def test_wrapped_models_fit_again(tmp_path: Path) -> None:
    path = gapdoctor.save_bundle(tmp_path / "b.pth", student=nn.DataParallel(nn.Linear(2, 3)))
    assert set(read_checkpoint(path).entries[0].state) == {"weight", "bias"}


@pytest.mark.parametrize("student", [None, 3, {}, {"a": 1}, {1: torch.zeros(2)}, "student.pth"])
def test_what_is_no_model_is_told(tmp_path: Path, student: Any) -> None:
    with pytest.raises(CheckpointError, match=r"neither an nn\.Module nor a state_dict"):
        gapdoctor.save_bundle(tmp_path / "b.pth", student=student)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_recipe_key_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown recipe key 'temprature'") as caught:
        gapdoctor.save_bundle(tmp_path / "b", student=nn.Linear(1, 1), recipe={"temprature": 4})
    assert caught.value.hint == "did you mean temperature?"


def test_a_recipe_value_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="recipe task_weight cannot be 3"):
        gapdoctor.save_bundle(tmp_path / "b", student=nn.Linear(1, 1), recipe={"task_weight": 3})


def test_values_that_are_unknown_are_not_written(tmp_path: Path) -> None:
    path = gapdoctor.save_bundle(
        tmp_path / "b", student=nn.Linear(1, 1), recipe={"lr": None, "epochs": 2}
    )
    assert read_checkpoint(path).meta["recipe"] == {"epochs": 2}


@pytest.mark.parametrize(
    ("history", "said"),
    [
        (pd.DataFrame({"epoch": [1], "loss": [1.0]}), "no column for heldout_loss"),
        ({"loss": [1.0], "val_loss": [1.0, 2.0]}, "history: "),
    ],
)
def test_a_history_without_its_losses_is_told(tmp_path: Path, history: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        gapdoctor.save_bundle(tmp_path / "b.pth", student=nn.Linear(1, 1), history=history)


def test_it_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = gapdoctor.save_bundle(tmp_path / "b.pth", student=nn.Linear(1, 1), recipe={"epochs": 1})
    gapdoctor.save_bundle(path, student=nn.Linear(1, 1), recipe={"epochs": 2})
    assert read_checkpoint(path).meta["recipe"] == {"epochs": 2}
    assert [p.name for p in tmp_path.iterdir()] == ["b.pth"]
    with pytest.raises(OutputError, match="cannot write"):
        gapdoctor.save_bundle(path / "inside.pth", student=nn.Linear(1, 1))
