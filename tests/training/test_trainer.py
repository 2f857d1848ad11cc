"""The user's own trainer: what it gets, what it must give, and which fields it looked at."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from gapdoctor.domain.recipe import Optimizer, Recipe
from gapdoctor.domain.trials import WITHOUT_TEACHER, TrialSpec
from gapdoctor.errors import ConfigError, GapDoctorError, UserCodeError
from gapdoctor.loading.load import load_case
from gapdoctor.observe.case import TeacherLogits
from gapdoctor.training.heldout import read_outputs
from gapdoctor.training.materials import Materials
from gapdoctor.training.noted import fields_read, has_effect, noted
from gapdoctor.training.rows import TrainingRows, rows_of_tensors
from gapdoctor.training.trainer import TrainData
from gapdoctor.training.trial import run_trial

Pair = Callable[..., Any]
SpecOf = Callable[..., TrialSpec]
RecipeOf = Callable[..., Recipe]


def train(student: nn.Module, teacher: nn.Module, data: Any, recipe: Any) -> nn.Module:
    """A plain training as users write it."""
    optimizer = torch.optim.SGD(student.parameters(), lr=recipe.lr)
    for _ in range(recipe.epochs):
        for x, y in DataLoader(data, batch_size=recipe.batch_size, shuffle=True, drop_last=True):
            loss = nn.functional.cross_entropy(student(x), y)
            loss = loss + nn.functional.mse_loss(student(x), teacher(x))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return student


def test_it_trains_and_what_it_read_is_noted(pair: Pair, spec: SpecOf, tmp_path: Path) -> None:
    case = pair(trainer=train)
    found = run_trial(spec(epochs=4), case, tmp_path / "a")
    assert found.status == "done"
    assert found.fields_read == ("epochs", "batch_size", "lr")
    assert found.trained_samples == 4 * 60
    assert not (tmp_path / "a" / "history.csv").exists()
    run_trial(spec(epochs=4), case, tmp_path / "b")
    one, other = (read_outputs(tmp_path / n / "outputs.npz") for n in "ab")
    assert np.array_equal(one.logits, other.logits)  # its shuffling is seeded


def test_what_it_is_given(pair: Pair, spec: SpecOf, tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    def look(student: nn.Module, teacher: nn.Module, data: Any, recipe: Any) -> nn.Module:
        with torch.no_grad():
            data[3][0].fill_(7.0)  # a user's transform may work in place
        seen.update(student=student, teacher=teacher, data=data, recipe=recipe)
        seen.update(modes=(student.training, teacher.training), gradients=torch.is_grad_enabled())
        seen.update(frozen=not any(p.requires_grad for p in teacher.parameters()))
        return student

    case = pair(trainer=look)
    with torch.no_grad():
        run_trial(replace(spec(epochs=9), epochs=2), case, tmp_path)
    assert seen["modes"] == (True, False)
    assert seen["frozen"]
    assert seen["gradients"]
    assert seen["recipe"].epochs == 2
    assert len(seen["data"]) == 60
    sample, label = seen["data"][3]
    assert torch.equal(sample, case.train[0][3])
    assert label == int(case.train[1][3])
    assert seen["teacher"] is case.teacher
    assert all(p.requires_grad for p in case.teacher.parameters())
    assert case.teacher.training


def test_from_the_checkpoint_it_gets_a_copy(pair: Pair, spec: SpecOf, tmp_path: Path) -> None:
    case = pair(trainer=train)
    before = copy.deepcopy(case.student.state_dict())
    run_trial(spec(start="checkpoint"), case, tmp_path)
    assert all(torch.equal(value, before[key]) for key, value in case.student.state_dict().items())


def test_a_wrapped_student_is_unwrapped(pair: Pair, spec: SpecOf, tmp_path: Path) -> None:
    case = pair(trainer=lambda student, *_: nn.DataParallel(student))
    assert run_trial(spec(), case, tmp_path).status == "done"


def other_weights(student: nn.Module, *_: Any) -> nn.Module:
    return nn.Sequential(student, nn.Linear(3, 3))


def other_shape(student: Any, *_: Any) -> nn.Module:
    student[4] = nn.Linear(12, 5)
    return student  # type: ignore[no-any-return]


def broken(*_: Any) -> nn.Module:
    raise KeyError("lr")


def left(*_: Any) -> nn.Module:
    raise SystemExit(1)


@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        (lambda *_: None, "gave NoneType, not the trained student"),
        (other_weights, "with other weights than the student it got: it lacks 0.bias"),
        (other_shape, "another shape at 4.bias"),
        (broken, r"test_trainer\.py:\d+: KeyError: 'lr' \(recipe\.trainer: training by broken\)"),
        (left, "SystemExit: 1"),
        (lambda student: student, "TypeError"),
    ],
)
def test_what_it_may_not_do_is_named(
    pair: Pair, spec: SpecOf, tmp_path: Path, trainer: Any, message: str
) -> None:
    with pytest.raises(UserCodeError, match=message):
        run_trial(spec(), pair(trainer=trainer), tmp_path)


def test_weights_that_are_not_finite_have_failed(pair: Pair, spec: SpecOf, tmp_path: Path) -> None:
    found = run_trial(spec(lr=1e30), pair(trainer=train), tmp_path)
    assert (found.status, "not finite" in found.note) == ("failed", True)


def test_stored_logits_do_not_go_with_it(pair: Pair, spec: SpecOf, tmp_path: Path) -> None:
    stored = TeacherLogits(np.zeros((60, 3)), np.zeros((60, 3)))
    with pytest.raises(GapDoctorError, match="a file of logits"):
        run_trial(spec(), pair(trainer=train, teacher=stored), tmp_path)


# -- the data ----------------------------------------------------------------------------------


def test_the_data_set_travels_to_worker_processes(data: tuple[torch.Tensor, torch.Tensor]) -> None:
    rows = pickle.loads(pickle.dumps(TrainData(rows_of_tensors(*data))))
    assert len(rows) == 50
    assert torch.equal(rows[-1][0], data[0][49])
    with pytest.raises(IndexError):
        rows[50]


def test_rows_that_do_not_fit_in_memory_are_read_when_asked_for(
    data: tuple[torch.Tensor, torch.Tensor],
) -> None:
    source = rows_of_tensors(*data)
    rows = TrainData(TrainingRows(50, source.batch, keep=10))
    (inputs, labels) = next(iter(DataLoader(rows, batch_size=50)))
    assert torch.equal(inputs, data[0])
    assert torch.equal(labels, data[1])


# -- the recipe --------------------------------------------------------------------------------


def test_a_noted_recipe_is_a_recipe_that_may_not_be_changed(plain: RecipeOf) -> None:
    recipe = noted(plain())
    assert isinstance(recipe, Recipe)
    assert repr(recipe) == repr(plain())
    assert fields_read(recipe) == ()
    assert (recipe.temperature, recipe.optimizer) == (2.0, "sgd")
    assert fields_read(recipe) == ("optimizer", "temperature")
    with pytest.raises(FrozenInstanceError):
        recipe.lr = 1.0  # type: ignore[misc]
    with pytest.raises(AttributeError):
        recipe.alpha  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    "taken", [copy.copy, copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))]
)
def test_a_copy_counts_as_read(plain: RecipeOf, taken: Callable[[Any], Any]) -> None:
    recipe = noted(plain())
    assert taken(recipe) == plain()
    assert "dropout" in fields_read(recipe)


def test_a_fix_of_fields_that_nobody_reads_has_no_effect(spec: SpecOf) -> None:
    control, read = spec(), ("epochs", "lr")
    assert not has_effect(spec(temperature=9.0), control, read)
    assert has_effect(spec(temperature=9.0), control, None)
    assert has_effect(spec(lr=0.2), control, read)
    assert has_effect(replace(control, epochs=5), control, read)
    assert has_effect(replace(control, larger=True), control, read)
    assert has_effect(spec(WITHOUT_TEACHER), control, ("task_weight",))
    assert not has_effect(spec(optimizer=Optimizer.ADAM), control, read)


# -- named in the config -----------------------------------------------------------------------

CODE = """
import torch
from torch import nn

def student():
    return nn.Linear(4, 3)

def teacher():
    model = nn.Linear(4, 3)
    nn.init.eye_(model.weight)
    nn.init.zeros_(model.bias)
    return model

def rows():
    return torch.randn(40, 4, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 3

def train(student, teacher, data, recipe):
    import beside
    return beside.trained(student, recipe)

def two(student, teacher):
    return student

def wrong(student, teacher, data, recipe):
    return student.no_such_thing
"""
TOML = """
[student]
model = "run.py:student"
checkpoint = "student.pth"
[teacher]
model = "run.py:teacher"
[data]
train = "run.py:rows"
heldout = "run.py:rows"
[recipe]
trainer = "run.py:{trainer}"
"""


def written(folder: Path, trainer: str) -> Path:
    (folder / "run.py").write_text(CODE)
    (folder / "beside.py").write_text("def trained(student, recipe):\n    return student\n")
    torch.save(nn.Linear(4, 3).state_dict(), folder / "student.pth")
    (folder / "gapdoctor.toml").write_text(TOML.format(trainer=trainer))
    return folder / "gapdoctor.toml"


def test_a_trainer_of_the_config(tmp_path: Path, spec: SpecOf) -> None:
    case = load_case(written(tmp_path, "train"))
    materials = Materials(case)
    found = run_trial(spec(), materials, tmp_path / "trial")
    assert (found.status, found.fields_read) == ("done", ())
    assert materials.case.where["recipe.trainer"] == "run.py:train"


def test_its_failure_names_its_line_and_the_key(tmp_path: Path, spec: SpecOf) -> None:
    case = load_case(written(tmp_path, "wrong"))
    with pytest.raises(UserCodeError, match=r"run\.py:25: AttributeError: .*run\.py:wrong") as told:
        run_trial(spec(), case, tmp_path / "trial")
    assert "recipe.trainer" in told.value.message


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("two", r"recipe\.trainer.*too many positional arguments; its signature is two\(student"),
        ("CODE", "has no 'CODE'"),
        ("torch.float32", "is dtype, not a trainer"),
        ("nn.Linear", "is a class, not a trainer"),
    ],
)
def test_a_name_that_is_no_trainer_is_told_while_loading(
    tmp_path: Path, named: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_case(written(tmp_path, named))
