from __future__ import annotations

import random
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import gapdoctor
from gapdoctor.domain.recipe import Optimizer, Recipe, RecipeRecord
from gapdoctor.errors import CheckpointError, ConfigError, UserCodeError
from gapdoctor.files import sha256
from gapdoctor.loading.load import load_case, merged_recipe
from gapdoctor.observe.case import Pipeline, TeacherLogits

CODE = """\
import numpy as np
import torch
from torch import nn


def student(width=2):
    return nn.Linear(width, 3)


def teacher():
    return nn.Linear(2, 3)


def pretrained():
    model = nn.Linear(2, 3)
    nn.init.ones_(model.weight)
    nn.init.zeros_(model.bias)
    return model


ready = nn.Linear(2, 3)


def rows(n=4, year=2025):
    return np.full((n, 2), year, np.float32), np.arange(n) % 3


def clean(sample):
    return torch.as_tensor(sample)


def scaled(by):
    return lambda sample: torch.as_tensor(sample) * by


def augment(sample):
    return sample.flip(0)


def patients():
    return ["a", "a", "b", "b"]
"""

CONFIG = """\
[student]
model = "run.py:student"
checkpoint = "student.pth"
[teacher]
model = "run.py:teacher"
checkpoint = "teacher.pth"
[data]
train = "run.py:rows"
heldout = { call = "run.py:rows", args = { year = 2026 } }
"""


def linear(value, width=2):
    model = nn.Linear(width, 3)
    nn.init.constant_(model.weight, value)
    nn.init.constant_(model.bias, value)
    return model


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A pair whose student's weights are all 1 and whose teacher's are all 2."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "run.py").write_text(CODE)
    (project / "gapdoctor.toml").write_text(CONFIG)
    torch.save(linear(1.0).state_dict(), project / "student.pth")
    torch.save(linear(2.0).state_dict(), project / "teacher.pth")
    monkeypatch.chdir(tmp_path)
    return project


def append(folder, text, replace=("", "")):
    path = folder / "gapdoctor.toml"
    path.write_text(path.read_text().replace(*replace) + text)


def weights(model):
    return {round(v, 6) for p in model.parameters() for v in p.detach().flatten().tolist()}


def test_a_pair_on_disk_becomes_a_case(folder):
    case = load_case(folder / "gapdoctor.toml")
    assert weights(case.student) == {1.0}
    assert weights(case.teacher) == {2.0}
    assert case.train[0][0, 0] == 2025
    assert case.heldout[0][0, 0] == 2026
    assert case.test is None
    record = case.records["student"]
    assert record.file == "student.pth"
    assert record.sha256 == sha256(folder / "student.pth")
    assert record.parameters == 9
    assert case.records["teacher"].file == "teacher.pth"
    assert case.where["student.model"] == "run.py:student"
    assert case.where["data.heldout"] == "run.py:rows"
    assert case.sample_keys == ("input", "label")
    assert (case.output_temperature, case.folded_temperature) == (1.0, None)
    assert case.history is None
    assert case.notes == ()


def test_the_public_name_is_the_same_function(folder):
    assert gapdoctor.load_case is load_case


def test_the_checkpoint_of_the_command_line_wins_and_finds_the_config(folder):
    torch.save(linear(5.0).state_dict(), folder / "later.pth")
    case = load_case(checkpoint="project/later.pth")
    assert weights(case.student) == {5.0}
    assert case.records["student"].file == "project/later.pth"


def test_flags_alone(folder):
    case = load_case(
        checkpoint=folder / "student.pth",
        settings={
            "student.model": f"{folder}/run.py:student",
            "teacher.model": "project/run.py:teacher",
            "teacher.checkpoint": "project/teacher.pth",
            "data.train": "project/run.py:rows",
            "data.heldout": "project/run.py:rows",
            "recipe.lr": 0.5,
        },
    )
    assert weights(case.teacher) == {2.0}
    assert case.recipe_record.recipe.lr == 0.5


def test_a_flag_beats_the_file(folder):
    torch.save(linear(3.0, width=5).state_dict(), folder / "wide.pth")
    case = load_case(
        folder / "gapdoctor.toml",
        checkpoint=folder / "wide.pth",
        settings={"student.args.width": 5, "data.heldout.args.year": 1},
    )
    assert case.student.in_features == 5
    assert case.heldout[0][0, 0] == 1


def test_everything_optional_arrives(folder):
    pd.DataFrame({"epoch": [1, 2], "train_loss": [2.0, 1.0], "val_loss": [2.5, 2.4]}).to_csv(
        folder / "curves.csv", index=False
    )
    append(
        folder,
        """
test = "run.py:rows"
groups = "run.py:patients"
classes = ["x", "y", "z"]
input = "pixels"
[preprocess]
train = "run.py:clean"
inference = { call = "run.py:scaled", args = { by = 3 }, batched = true }
[recipe]
epochs = 7
optimizer = "sgd"
augment = "run.py:augment"
history = "curves.csv"
""",
        (
            'checkpoint = "student.pth"\n',
            'checkpoint = "student.pth"\noutput_temperature = 1.5\nfolded_temperature = 1.25\n',
        ),
    )
    case = load_case(folder / "gapdoctor.toml")
    assert case.test[1].tolist() == [0, 1, 2, 0]
    assert case.groups == ["a", "a", "b", "b"]
    assert case.classes == ("x", "y", "z")
    assert case.sample_keys == ("pixels", "label")
    assert isinstance(case.preprocess.train, Pipeline)
    assert case.preprocess.inference.batched
    assert case.preprocess.inference.call([2.0]).tolist() == [6.0]
    assert case.preprocess.teacher is None
    record = case.recipe_record
    assert (record.recipe.epochs, record.recipe.optimizer) == (7, Optimizer.SGD)
    assert record.source("epochs") == "config"
    assert record.source("lr") == "unknown"
    assert record.recipe.augment == "run.py:augment"
    assert case.augment(torch.tensor([1, 2])).tolist() == [2, 1]
    assert (case.output_temperature, case.folded_temperature) == (1.5, 1.25)
    assert case.history["heldout_loss"].tolist() == [2.5, 2.4]


def test_the_factories_build_anew(folder):
    append(
        folder,
        "",
        ('model = "run.py:student"\n', 'model = "run.py:student"\nlarger = { width = 6 }\n'),
    )
    case = load_case(folder / "gapdoctor.toml")
    assert case.student_factory().in_features == 2
    assert case.larger_factory().in_features == 6
    assert weights(case.student_factory()) != {1.0}


@pytest.mark.parametrize(
    ("code", "student", "told"),
    [
        ("def net(width=2): ...", "", "width = 4"),
        ("def net(width=2): ...", "args = { width = 3 }", "width = 6"),
        ("def net(depth=2, hidden=(2, 3)): ...", "", "hidden = [4, 6]"),
        ("def net(width_mult=0.5): ...", "", "width_mult = 1.0"),
        ("def net(in_channels=2, classes=3): ...", "", None),
        ("def net(width=None, hidden=True): ...", "", None),
        ("def net(width=2): ...", "larger = { width = 3 }", "width = 3"),
        ("def net(width=2): ...", "larger = {}", None),
    ],
)
def test_a_bigger_student_is_guessed_from_the_signature(folder, code, student, told):
    body = code.replace("...", "return nn.Linear(2, 3)")
    (folder / "run.py").write_text(f"{CODE}\n\n{body}\n")
    append(folder, "", ('model = "run.py:student"\n', f'model = "run.py:net"\n{student}\n'))
    case = load_case(folder / "gapdoctor.toml")
    assert case.where.get("student.larger") == told
    assert (case.larger_factory is None) == (told is None)


def test_a_finished_model_has_no_factory(folder):
    case = load_case(folder / "gapdoctor.toml", settings={"student.model": "project/run.py:ready"})
    assert weights(case.student) == {1.0}
    assert case.student_factory is None
    assert case.larger_factory is None


def test_stored_logits_stand_for_a_teacher(folder):
    np.savez(folder / "teacher.npz", train=np.zeros((4, 3)), heldout=np.ones((4, 3)))
    append(
        folder,
        "",
        ('model = "run.py:teacher"\ncheckpoint = "teacher.pth"', 'logits = "teacher.npz"'),
    )
    case = load_case(folder / "gapdoctor.toml")
    assert isinstance(case.teacher, TeacherLogits)
    assert case.teacher.heldout.sum() == 12
    assert case.records["teacher"].file is None
    assert case.records["teacher"].sha256 == sha256(folder / "teacher.npz")


def without_teacher_checkpoint(folder, model="run.py:teacher"):
    old = 'model = "run.py:teacher"\ncheckpoint = "teacher.pth"'
    append(folder, "", (old, f'model = "{model}"'))
    return folder / "gapdoctor.toml"


def test_a_pair_in_one_file(folder):
    pair = {f"student.{k}": v for k, v in linear(1.0).state_dict().items()}
    pair |= {f"teacher.{k}": v for k, v in linear(4.0).state_dict().items()}
    torch.save({"state_dict": pair}, folder / "student.pth")
    case = load_case(without_teacher_checkpoint(folder))
    assert weights(case.student) == {1.0}
    assert weights(case.teacher) == {4.0}
    assert case.records["teacher"] == case.records["student"]


def test_a_saved_bundle_holds_the_pair_the_recipe_and_the_history(folder):
    gapdoctor.save_bundle(
        folder / "student.pth",
        student=linear(1.0),
        teacher=linear(4.0),
        recipe=Recipe(epochs=9, lr=0.25),
        history=pd.DataFrame({"epoch": [1], "train_loss": [1.0], "heldout_loss": [2.0]}),
    )
    path = without_teacher_checkpoint(folder)
    append(folder, "[recipe]\nlr = 0.5\n")
    case = load_case(path)
    assert weights(case.teacher) == {4.0}
    assert case.history["train_loss"].tolist() == [1.0]
    record = case.recipe_record
    assert (record.recipe.epochs, record.source("epochs")) == (9, "checkpoint")
    assert (record.recipe.lr, record.source("lr")) == (0.5, "config")
    assert "[recipe] lr = 0.5 counts; the checkpoint says 0.25." in case.notes


def test_advice_of_the_checkpoint_is_told_until_it_is_followed(folder):
    model = linear(1.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.125)
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()},
               folder / "student.pth")  # fmt: skip
    path = folder / "gapdoctor.toml"
    assert any("set [recipe] lr" in note for note in load_case(path).notes)
    assert not any("recipe" in n for n in load_case(path, settings={"recipe.lr": 0.5}).notes)


def test_a_program_is_the_model_where_the_config_says_so(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and says so
        torch.jit.trace(linear(6.0), torch.zeros(1, 2)).save(str(folder / "teacher.pth"))
        case = load_case(folder / "gapdoctor.toml", settings={"teacher.model": "torchscript"})
    assert weights(case.teacher) == {6.0}
    assert case.teacher(torch.ones(1, 2)).tolist() == [[18.0] * 3]


def test_a_teacher_that_brings_its_weights_needs_no_checkpoint(folder):
    case = load_case(without_teacher_checkpoint(folder, "run.py:pretrained"))
    assert weights(case.teacher) == {0.0, 1.0}
    assert case.records["teacher"].file is None
    assert case.notes == (
        "The teacher's weights are those that run.py:pretrained gives it; no checkpoint is named.",
    )


def test_a_teacher_with_random_weights_is_refused(folder):
    with pytest.raises(ConfigError, match=r":5: teacher.model: run.py:teacher begins with random"):
        load_case(without_teacher_checkpoint(folder))


def test_weights_that_do_not_fit_are_refused(folder):
    with pytest.raises(CheckpointError, match="does not fit the student model"):
        load_case(folder / "gapdoctor.toml", settings={"student.args.width": 7})


def test_wrong_arguments_show_the_signature_and_their_own_place(folder):
    path = folder / "gapdoctor.toml"
    match = (
        r"^setting student.args.widht: run.py:student got .* 'widht'; its signature is student\(wid"
    )
    with pytest.raises(ConfigError, match=match) as caught:
        load_case(path, settings={"student.args.widht": 7})
    assert caught.value.hint == "did you mean width?"
    append(folder, "[student.args]\nwidht = 7\n")
    with pytest.raises(ConfigError, match=r"gapdoctor.toml:11: student.args.widht: run.py:student"):
        load_case(path)


def test_an_error_in_the_users_data_is_one_line(folder):
    append(folder, 'groups = "run.py:patients"\n')
    run = folder / "run.py"
    run.write_text(run.read_text().replace('return ["a"', 'raise KeyError("id")\n    return ["a"'))
    with pytest.raises(
        UserCodeError, match=r"project/run.py:41: KeyError: 'id' \(calling run.py:p"
    ):
        load_case(folder / "gapdoctor.toml")


def test_loading_leaves_folder_random_state_and_path_as_they_were(folder):
    random.seed(2)
    torch.manual_seed(2)
    before = (random.getstate(), torch.get_rng_state().tolist(), sorted(folder.rglob("*")))
    load_case(folder / "gapdoctor.toml")
    after = (random.getstate(), torch.get_rng_state().tolist(), sorted(folder.rglob("*")))
    assert after == before


@pytest.mark.parametrize("missing", ["student.pth", "teacher.pth", "run.py", "gapdoctor.toml"])
def test_a_missing_file_is_named(folder, missing):
    (folder / missing).unlink()
    with pytest.raises(ConfigError, match=rf"{missing}: no such file"):
        load_case(folder / "gapdoctor.toml")


def test_the_config_comes_before_what_was_recovered():
    recovered = RecipeRecord(
        Recipe(lr=0.1, epochs=3, batch_size=8), {"lr": "checkpoint", "epochs": "sidecar"}
    )
    record, conflicts = merged_recipe(Recipe(epochs=5, temperature=4.0), recovered)
    assert record.recipe == Recipe(epochs=5, lr=0.1, batch_size=8, temperature=4.0)
    assert [record.source(k) for k in ("epochs", "lr", "batch_size", "temperature", "gamma")] == [
        "config", "checkpoint", "unknown", "config", "unknown",
    ]  # fmt: skip
    assert conflicts == ("[recipe] epochs = 5 counts; the sidecar says 3.",)
    assert merged_recipe(Recipe(epochs=3), recovered)[1] == ()


def test_a_config_may_be_given_as_text_or_path(folder):
    assert weights(load_case("project/gapdoctor.toml").student) == {1.0}
    assert weights(load_case(Path("project/gapdoctor.toml")).student) == {1.0}
