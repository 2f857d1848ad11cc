"""`[recipe] feature_layers` and what goes with it: read, checked against the models, written."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import gapdoctor
from gapdoctor.domain.recipe import FeatureLoss, Recipe
from gapdoctor.domain.trials import Change
from gapdoctor.errors import ConfigError
from gapdoctor.loading.config import read_config
from gapdoctor.loading.layers import check_layers
from gapdoctor.loading.load import load_case
from gapdoctor.loading.writing import write_config

RUN = """\
import torch
from torch import nn


class Student(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(2, 4), nn.ReLU())
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.features(x))


def teacher():
    return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))


def rows():
    return torch.zeros(6, 2), torch.tensor([0, 1, 2] * 2)
"""
TOML = """\
[student]
model = "run.py:Student"
checkpoint = "student.pth"

[teacher]
model = "run.py:teacher"
checkpoint = "teacher.pth"

[data]
train = "run.py:rows"
heldout = "run.py:rows"

[recipe]
lr = 0.1
"""
LAYERS = 'feature_layers = [["features.0", "0"], ["features", "1"]]\n'
PAIRS = (("features.0", "0"), ("features", "1"))


def built(name: str) -> nn.Module:
    space: dict[str, Any] = {}
    exec(RUN, space)
    made: nn.Module = space[name]()
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[str], Path]:
    """A project whose recipe ends with some lines; the path of its TOML."""

    def build(lines: str = "") -> Path:
        (tmp_path / "run.py").write_text(RUN)
        torch.save(built("Student").state_dict(), tmp_path / "student.pth")
        torch.save(built("teacher").state_dict(), tmp_path / "teacher.pth")
        path = tmp_path / "gapdoctor.toml"
        path.write_text(TOML + lines)
        return path

    return build


def test_layers_are_read_as_pairs(folder: Callable[[str], Path]) -> None:
    case = load_case(
        folder(LAYERS + 'feature_loss = "attention"\nfeature_weight = 2\nhint_epochs = 3\n')
    )
    recipe = case.recipe_record.recipe
    assert recipe.feature_layers == PAIRS
    assert recipe.feature_loss is FeatureLoss.ATTENTION
    assert (recipe.feature_weight, recipe.hint_epochs) == (2.0, 3)
    assert isinstance(recipe.feature_weight, float)


@pytest.mark.parametrize(
    ("lines", "message", "hint"),
    [
        ('feature_layers = [["featurs.0", "0"]]\n',
         "gapdoctor.toml:15: recipe.feature_layers: the student has no layer 'featurs.0'",
         "did you mean features.0?"),
        ('feature_layers = [["head", "layer"]]\n',
         "gapdoctor.toml:15: recipe.feature_layers: the teacher has no layer 'layer'",
         "the teacher's layers are 0, 1, 2"),
        ('feature_layers = [["head"]]\n', "is not a list of pairs of layers", "give a list"),
        ("feature_layers = []\n", "is not a list of pairs of layers", "give a list"),
        ('feature_layers = "head"\n', "is not a list of pairs of layers", "give a list"),
        ('feature_loss = "fitnet"\n', "is not one of mse, attention, similarity", "one of"),
        ("feature_weight = 0\n", "is not a number above 0", ""),
        ("hint_epochs = -1\n", "is not a whole number of at least 0", ""),
        ('feature_layer = [["head", "2"]]\n', "unknown key", "did you mean feature_layers?"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(
    folder: Callable[[str], Path], lines: str, message: str, hint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path = folder(lines)
    monkeypatch.chdir(path.parent)
    with pytest.raises(ConfigError) as failed:
        load_case("gapdoctor.toml")
    assert message in failed.value.message
    assert hint in failed.value.hint
    assert failed.value.exit_code == 2


def test_a_setting_is_checked_as_well(folder: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError, match=r"setting recipe\.feature_layers: the student has no"):
        load_case(folder(), settings={"recipe.feature_layers": [["body", "0"]]})


def test_a_module_under_two_names_is_known_by_both() -> None:
    act = nn.ReLU()
    model = nn.Sequential(nn.Linear(2, 2), act, nn.Linear(2, 2), act)
    check_layers([("3", "0")], model, model)
    check_layers([("3", "anything")], model, object())  # logits have no layers to check
    with pytest.raises(ConfigError, match="has no layer ''"):
        check_layers([("", "0")], model, model)


def test_layers_are_written_back_and_read_again(folder: Callable[[str], Path]) -> None:
    path = folder()
    out = path.parent / "out" / "gapdoctor.fixed.toml"
    changes = [
        Change("recipe.feature_loss", None, "similarity"),
        Change("recipe.feature_weight", None, 50.0),
        Change("recipe.feature_layers", None, [list(pair) for pair in PAIRS]),
    ]
    written = write_config(read_config(path), changes, out)
    assert written.beside == ()
    assert tomllib.loads(out.read_text())["recipe"]["feature_layers"] == [list(p) for p in PAIRS]
    assert '+feature_layers = [["features.0", "0"], ["features", "1"]]' in written.changes
    recipe = load_case(out).recipe_record.recipe
    assert (recipe.feature_layers, recipe.feature_loss) == (PAIRS, FeatureLoss.SIMILARITY)


def test_a_bundle_keeps_them(folder: Callable[[str], Path]) -> None:
    path = folder()
    recipe = Recipe(
        lr=0.1, feature_loss=FeatureLoss.MSE, feature_weight=5.0, feature_layers=PAIRS,
        hint_epochs=2,
    )  # fmt: skip
    gapdoctor.save_bundle(path.parent / "student.pth", student=built("Student"), recipe=recipe)
    found = load_case(path).recipe_record
    assert found.recipe == recipe
    assert found.recipe.feature_loss is FeatureLoss.MSE
    assert found.source("feature_layers") == "checkpoint"
