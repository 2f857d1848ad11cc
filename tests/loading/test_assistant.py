"""`[assistant]`: a model and its weights, loaded as a teacher's are, and one line where not."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import gapdoctor
from gapdoctor.domain.recipe import Average, Recipe, TaughtBy
from gapdoctor.domain.trials import Change
from gapdoctor.errors import CheckpointError, ConfigError
from gapdoctor.files import sha256
from gapdoctor.loading.config import config_files, read_config
from gapdoctor.loading.fingerprint import fingerprint
from gapdoctor.loading.load import load_case
from gapdoctor.loading.recipe_fields import coerced
from gapdoctor.loading.writing import write_config

RUN = """\
import torch
from torch import nn


def model(width=2):
    return nn.Linear(width, 3)


def ones():
    made = nn.Linear(2, 3)
    nn.init.ones_(made.weight)
    nn.init.ones_(made.bias)
    return made


def rows():
    return torch.zeros(6, 2), torch.tensor([0, 1, 2] * 2)
"""

TOML = """\
[student]
model = "run.py:model"
checkpoint = "student.pth"

[teacher]
model = "run.py:ones"

[assistant]
model = "help.py:model"      # twice as wide
args = { width = 2 }
checkpoint = "weights/assistant.pth"

[data]
train = "run.py:rows"
heldout = "run.py:rows"
"""


def linear(value: float, width: int = 2) -> nn.Linear:
    model = nn.Linear(width, 3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)
    return model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A student whose weights are all 2, and an assistant whose are all 3."""
    (tmp_path / "weights").mkdir()
    for name in ("run.py", "help.py"):
        (tmp_path / name).write_text(RUN)
    (tmp_path / "gapdoctor.toml").write_text(TOML)
    torch.save(linear(2.0).state_dict(), tmp_path / "student.pth")
    torch.save(linear(3.0).state_dict(), tmp_path / "weights/assistant.pth")
    return tmp_path


@pytest.fixture
def told(folder: Path) -> Callable[..., Path]:
    """The config with parts of its text replaced."""

    def write(*pairs: tuple[str, str]) -> Path:
        text = TOML
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        (folder / "gapdoctor.toml").write_text(text)
        return folder / "gapdoctor.toml"

    return write


def values(model: Any) -> set[float]:
    return {float(v) for p in model.parameters() for v in p.detach().flatten()}


CHECKPOINT = 'checkpoint = "weights/assistant.pth"\n'
SECTION = TOML[TOML.index("[assistant]") : TOML.index("[data]")]


def test_it_is_loaded_as_a_teacher_is(folder: Path) -> None:
    case = load_case(folder / "gapdoctor.toml")
    assert values(case.assistant) == {3.0}
    record = case.records["assistant"]
    assert record.sha256 == sha256(folder / "weights/assistant.pth")
    assert (record.file, record.parameters) == ("weights/assistant.pth", 9)
    assert case.is_as_loaded
    assert not replace(case, assistant=None).is_as_loaded
    assert folder / "help.py" in config_files(read_config(folder / "gapdoctor.toml"))


def test_without_the_section_there_is_none(told: Callable[..., Path]) -> None:
    case = load_case(told((SECTION, "")))
    assert case.assistant is None
    assert "assistant" not in case.records


@pytest.mark.parametrize("of_its_own", ["student", "assistant"])
def test_in_a_file_of_its_own_it_may_be_the_student(folder: Path, of_its_own: str) -> None:
    """It was distilled itself: then its file holds its teacher as well."""
    both = {of_its_own: linear(4.0).state_dict(), "teacher": linear(5.0).state_dict()}
    torch.save(both, folder / "weights/assistant.pth")
    assert values(load_case(folder / "gapdoctor.toml").assistant) == {4.0}


def test_a_key_names_the_entry(folder: Path, told: Callable[..., Path]) -> None:
    torch.save({"a": linear(4.0).state_dict(), "b": linear(5.0).state_dict()},
               folder / "weights/assistant.pth")  # fmt: skip
    with pytest.raises(CheckpointError, match="several sets of weights fit the assistant") as error:
        load_case(told())
    assert "[assistant] key" in error.value.hint
    assert values(load_case(told((CHECKPOINT, f'{CHECKPOINT}key = "b"\n'))).assistant) == {5.0}


def test_a_model_that_brings_its_weights_needs_no_checkpoint(told: Callable[..., Path]) -> None:
    path = told((CHECKPOINT, ""), ("help.py:model", "help.py:ones"), ("args = { width = 2 }\n", ""))
    case = load_case(path)
    assert values(case.assistant) == {1.0}
    assert any(note.startswith("The assistant's weights are those") for note in case.notes)


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ('model = "help.py:model"', 'key = "a"', "assistant: missing model", "[assistant] model"),
        ("weights/assistant.pth", "weights/asistant.pth",
         "assistant.checkpoint: weights/asistant.pth: no such file", "assistant.pth"),
        (CHECKPOINT, "", "help.py:model begins with random weights", "[assistant] checkpoint"),
        ("args = { width = 2 }", "logits = 3", "unknown key in [assistant]", "teacher"),
        ("width = 2", "width = 5", "does not fit the assistant model", ""),
        ("help.py:model", "help.py:modell", "help.py has no 'modell'", "model"),
        (SECTION, '[recipe]\ntaught_by = "assistant"\n',
         "recipe.taught_by: there is no assistant", "[assistant] model"),
        (SECTION, '[recipe]\ntaught_by = "asistant"\n',
         'recipe.taught_by: "asistant" is not one of teacher, assistant', "assistant?"),
        (SECTION, '[recipe]\naverage = "emma"\n',
         'recipe.average: "emma" is not one of none, ema, swa', "did you mean ema?"),
        (SECTION, "[recipe]\naverage_decay = 1.0\n",
         "recipe.average_decay: 1.0 is not a number from 0 to below 1", ""),
        (SECTION, "[recipe]\naverage_from = true\n", "average_from: true is not a number", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(
    told: Callable[..., Path], old: str, new: str, message: str, hint: str
) -> None:
    path = told((old, new))
    with pytest.raises((ConfigError, CheckpointError)) as error:
        load_case(path)
    assert message in error.value.message
    assert "\n" not in error.value.message
    assert hint in error.value.hint
    assert error.value.exit_code == 2


def test_another_assistant_makes_another_run(folder: Path) -> None:
    config = read_config(folder / "gapdoctor.toml")
    before = fingerprint(load_case(folder / "gapdoctor.toml"), config)
    torch.save(linear(7.0).state_dict(), folder / "weights/assistant.pth")
    assert fingerprint(load_case(folder / "gapdoctor.toml"), config) != before


def test_the_written_config_finds_it_and_tells_who_taught(folder: Path) -> None:
    out = folder / "out" / "gapdoctor.fixed.toml"
    changes = [
        Change("recipe.taught_by", None, "assistant"),
        Change("recipe.average", None, "swa"),
        Change("recipe.average_from", None, 0.75),
    ]
    written = write_config(read_config(folder / "gapdoctor.toml"), changes, out)
    assert written.beside == ()
    text = tomllib.loads(out.read_text())
    assert text["assistant"] == {
        "model": "../help.py:model", "args": {"width": 2},
        "checkpoint": "../weights/assistant.pth",
    }  # fmt: skip
    assert "# twice as wide" in out.read_text()
    case = load_case(out)
    recipe = case.recipe_record.recipe
    assert (recipe.taught_by, recipe.average) == (TaughtBy.ASSISTANT, Average.SWA)
    assert recipe.average_from == 0.75
    assert isinstance(recipe.average, Average)
    assert values(case.assistant) == {3.0}


def test_a_bundle_keeps_how_it_was_averaged(folder: Path) -> None:
    recipe = Recipe(average=Average.EMA, average_decay=0.99, taught_by=TaughtBy.TEACHER)
    gapdoctor.save_bundle(folder / "student.pth", student=linear(2.0), recipe=recipe)
    found = load_case(folder / "gapdoctor.toml").recipe_record
    assert found.recipe == recipe
    assert isinstance(found.recipe.average, Average)
    assert found.source("average") == "checkpoint"


@pytest.mark.parametrize("value", ["mean", 3, None, ["ema"]])
def test_what_a_file_says_that_is_no_average_is_left_out(value: Any) -> None:
    assert coerced("average", value) is None
    assert coerced("taught_by", value) is None
