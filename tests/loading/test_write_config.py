"""The config with the changes, and the changes alone."""

from __future__ import annotations

import os
import textwrap
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gapdoctor.domain.recipe import Distillation, Optimizer, Recipe, RecipeRecord, Schedule
from gapdoctor.domain.trials import Change
from gapdoctor.loading.config import read_config, resolve_config
from gapdoctor.loading.load import load_case
from gapdoctor.loading.writing import write_config

TOML = """\
# My pair.

[student]
model = "run.py:student"     # ours
args = { width = 16 }
checkpoint = "student.pth"

[teacher]
model = "models:teacher"
checkpoint = "weights/teacher.pth"

# where the rows come from
[data]
train = "run.py:train_set"
heldout = { call = "run.py:heldout_set", args = { year = 2026 } }
test = "arrays.npz"

[recipe]
lr = 0.1                     # too high?
temperature = 1.0
augment = ["flip"]
history = "history.csv"

# the end
"""

RUN = """
import torch
from torch import nn


def student(width):
    return nn.Linear(4, 3)


def train_set():
    return torch.arange(24.0).reshape(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])


def heldout_set(year):
    return torch.arange(24.0).reshape(6, 4) + year, torch.tensor([0, 1, 2, 0, 1, 2])


def pipeline(sample):
    return sample


def make(scale):
    return pipeline
"""

MODELS = """
from torch import nn


def teacher():
    return nn.Linear(4, 3)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A pair beside its config."""
    import numpy as np
    import torch

    home = tmp_path / "pair"
    (home / "weights").mkdir(parents=True)
    (home / "run.py").write_text(RUN)
    (home / "models.py").write_text(MODELS)
    for name in ("student.pth", "weights/teacher.pth"):
        torch.save(torch.nn.Linear(4, 3).state_dict(), home / name)
    np.savez(home / "arrays.npz", x=np.zeros((6, 4), np.float32), y=np.array([0, 1, 2] * 2))
    (home / "history.csv").write_text("epoch,train_loss,heldout_loss\n1,2,3\n2,1,2\n")
    (home / "gapdoctor.toml").write_text(TOML)
    return home


CHANGES = (
    Change("recipe.temperature", 1.0, 4.0),
    Change("recipe.weight_decay", None, 5e-4),
    Change("recipe.augment", ("flip",), ("flip", "crop")),
    Change("student.args.width", 16, 32),
    Change("preprocess.corrections", None, ("swap_channels",)),
    Change("batchnorm", None, "re-estimated"),
)


def test_comments_and_order_stay_and_the_diff_shows_what_means_something(folder: Path):
    out = folder / "student.gapdoctor" / "gapdoctor.fixed.toml"
    config = read_config(folder / "gapdoctor.toml")
    written = write_config(config, CHANGES, out, files={"student.checkpoint": out.parent / "s.pth"})

    assert written.beside == (CHANGES[-1],)
    assert out.read_text() == textwrap.dedent("""\
        # My pair.

        [student]
        model = "../run.py:student"     # ours
        args = { width = 32 }
        checkpoint = "s.pth"

        [teacher]
        model = "../models.py:teacher"
        checkpoint = "../weights/teacher.pth"

        # where the rows come from
        [data]
        train = "../run.py:train_set"
        heldout = { call = "../run.py:heldout_set", args = { year = 2026 } }
        test = "../arrays.npz"

        [recipe]
        lr = 0.1                     # too high?
        temperature = 4.0
        augment = ["flip", "crop"]
        history = "../history.csv"
        weight_decay = 0.0005

        # the end

        [preprocess]
        corrections = ["swap_channels"]
        """)
    told = (folder / "student.gapdoctor/changes.diff").read_text()
    assert [line.rstrip() for line in told.splitlines()] == textwrap.dedent("""\
        --- gapdoctor.toml
        +++ gapdoctor.fixed.toml
        @@ -2,7 +2,7 @@

         [student]
         model = "run.py:student"     # ours
        -args = { width = 16 }
        +args = { width = 32 }
         checkpoint = "student.pth"

         [teacher]
        @@ -17,8 +17,12 @@

         [recipe]
         lr = 0.1                     # too high?
        -temperature = 1.0
        -augment = ["flip"]
        +temperature = 4.0
        +augment = ["flip", "crop"]
         history = "history.csv"
        +weight_decay = 0.0005

         # the end
        +
        +[preprocess]
        +corrections = ["swap_channels"]
        """).splitlines()
    assert (folder / "gapdoctor.toml").read_text() == TOML


def test_the_written_config_loads_from_where_it_lies(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out = folder / "deep/er" / "gapdoctor.fixed.toml"
    changes = [c for c in CHANGES if c.key in ("recipe.temperature", "student.args.width")]
    changes += [
        Change("recipe.distillation", "kl", Distillation.DECOUPLED),
        Change("recipe.dkd_beta", None, 2.0),
    ]
    write_config(read_config(folder / "gapdoctor.toml"), changes, out)
    monkeypatch.chdir(tmp_path)
    case = load_case(Path("pair/deep/er/gapdoctor.fixed.toml"))
    assert case.recipe.recipe.temperature == 4.0
    assert case.recipe.recipe.distillation is Distillation.DECOUPLED
    assert case.recipe.recipe.dkd_beta == 2.0
    assert case.recipe.recipe.augment == ("flip",)
    assert len(case.history) == 2
    assert float(case.heldout[0][0, 0]) == 2026.0


def test_flags_are_in_the_config_each_from_its_own_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "other.pth").write_bytes((folder / "student.pth").read_bytes())
    monkeypatch.chdir(tmp_path)
    config = resolve_config(
        "pair/gapdoctor.toml",
        "other.pth",
        {"student.args.width": 8, "data.train": "pair/run.py:train_set", "recipe.epochs": 5},
    )
    out = tmp_path / "out/gapdoctor.fixed.toml"
    written = write_config(config, [Change("recipe.lr", 0.1, 0.01)], out)
    assert read(out)["student"] == {
        "model": "../pair/run.py:student",
        "args": {"width": 8},
        "checkpoint": "../other.pth",
    }
    assert read(out)["data"]["train"] == "../pair/run.py:train_set"
    assert [line for line in written.changes.splitlines() if line[0] in "+-"][2:] == [
        "-lr = 0.1                     # too high?",
        "+lr = 0.01                     # too high?",
    ]
    monkeypatch.chdir("/")
    assert load_case(out).recipe.recipe.epochs == 5


def read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text())


def test_without_a_toml_one_is_made(folder: Path, monkeypatch: pytest.MonkeyPatch):
    (folder / "gapdoctor.toml").unlink()
    monkeypatch.chdir(folder)
    config = resolve_config(
        None,
        "student.pth",
        {
            "student.model": "run.py:student",
            "student.args.width": 16,
            "teacher.model": "models:teacher",
            "teacher.checkpoint": "weights/teacher.pth",
            "data.train": "run.py:train_set",
            "data.heldout": "arrays.npz",
        },
    )
    out = folder / "student.gapdoctor/gapdoctor.fixed.toml"
    written = write_config(config, [Change("recipe.lr", None, 0.01)], out)
    assert out.read_text() == textwrap.dedent("""\
        # Made from the flags that were given; relative paths start from this file's folder.

        [student]
        model = "../run.py:student"
        args = { width = 16 }
        checkpoint = "../student.pth"

        [teacher]
        model = "../models.py:teacher"
        checkpoint = "../weights/teacher.pth"

        [data]
        train = "../run.py:train_set"
        heldout = "../arrays.npz"

        [recipe]
        lr = 0.01
        """)
    assert written.changes.splitlines()[-2:] == ["+[recipe]", "+lr = 0.01"]
    monkeypatch.chdir("/")
    load_case(out)


def test_what_only_the_checkpoint_knew_is_written_out(folder: Path):
    recipe = Recipe(lr=0.1, epochs=30, optimizer=Optimizer.ADAMW, betas=(0.9, 0.99))
    record = RecipeRecord(
        replace(recipe, schedule=Schedule.COSINE, batch_size=64),
        {"lr": "config", "epochs": "checkpoint", "optimizer": "sidecar", "betas": "checkpoint",
         "batch_size": "default"},
    )  # fmt: skip
    out = folder / "out/gapdoctor.fixed.toml"
    write_config(
        read_config(folder / "gapdoctor.toml"),
        [Change("recipe.epochs", 30, 60)],
        out,
        files={"recipe.history": None},
        recovered=record,
    )
    text = out.read_text()
    assert "epochs = 60 # from the checkpoint" in text
    assert 'optimizer = "adamw" # from the sidecar' in text
    assert read(out)["recipe"] == {
        "lr": 0.1, "temperature": 1.0, "augment": ["flip"], "epochs": 60, "optimizer": "adamw",
        "betas": [0.9, 0.99],
    }  # fmt: skip


def test_a_pipeline_that_another_key_names_keeps_its_table_and_its_folder(folder: Path):
    (folder / "gapdoctor.toml").write_text(
        TOML + '[preprocess]\ntrain = { call = "run.py:make", args = { scale = 2 } }\n'
        'inference = "run.py:pipeline"\n'
    )
    out = folder / "out/gapdoctor.fixed.toml"
    change = Change("preprocess.inference", "run.py:pipeline", "run.py:make")
    write_config(read_config(folder / "gapdoctor.toml"), [change], out)
    both = read(out)["preprocess"]
    assert both["inference"] == both["train"] == {"call": "../run.py:make", "args": {"scale": 2}}


OWN = [
    ('["run.py:pipeline", "mixup"]', ["../run.py:pipeline", "mixup"]),
    ('["crop", { call = "run.py:make", args = { scale = 2 } }]',
     ["crop", {"call": "../run.py:make", "args": {"scale": 2}}]),
    ('[{ call = "run.py:make", args = { scale = 2 } }]',
     [{"call": "../run.py:make", "args": {"scale": 2}}]),
]  # fmt: skip


@pytest.mark.parametrize(("given", "written"), OWN)
def test_the_users_own_augmentation_moves_in_a_list_too(folder: Path, given: str, written: Any):
    (folder / "gapdoctor.toml").write_text(TOML.replace('["flip"]', given))
    out = folder / "out/gapdoctor.fixed.toml"
    write_config(read_config(folder / "gapdoctor.toml"), [Change("recipe.lr", 0.1, 0.2)], out)
    assert read(out)["recipe"]["augment"] == written
    case = load_case(out)
    assert case.augment(3) == 3
    assert len(case.recipe.recipe.augment) == len(written)


def test_mixup_comes_to_an_augmentation_that_a_table_builds(folder: Path):
    table = '{ call = "run.py:make", args = { scale = 2 } }'
    (folder / "gapdoctor.toml").write_text(TOML.replace('["flip"]', table))
    out = folder / "out/gapdoctor.fixed.toml"
    change = Change("recipe.augment", "run.py:make", ["run.py:make", "mixup"])
    write_config(read_config(folder / "gapdoctor.toml"), [change], out)
    assert read(out)["recipe"]["augment"] == [
        {"call": "../run.py:make", "args": {"scale": 2}}, "mixup",
    ]  # fmt: skip
    assert load_case(out).augment(3) == 3


@pytest.mark.parametrize("args", ["", ", args = { scale = 2 }"])
def test_a_pipeline_that_a_table_builds_stays_built(folder: Path, args: str):
    """Also where the table has no arguments: the bare name means the factory itself."""
    (folder / "run.py").write_text(RUN.replace("def make(scale)", "def make(scale=1)"))
    table = f'{{ call = "run.py:make"{args} }}'
    (folder / "gapdoctor.toml").write_text(TOML + f"[preprocess]\ntrain = {table}\n")
    out = folder / "out/gapdoctor.fixed.toml"
    change = Change("preprocess.inference", None, "run.py:make")
    write_config(read_config(folder / "gapdoctor.toml"), [change], out)
    both = read(out)["preprocess"]
    assert both["inference"] == both["train"]
    assert load_case(out).preprocess.inference.call(3) == 3


def test_the_train_pipeline_by_its_name_is_no_path(folder: Path):
    out = folder / "out/gapdoctor.fixed.toml"
    change = Change("preprocess.inference", None, "train")
    written = write_config(read_config(folder / "gapdoctor.toml"), [change], out)
    assert read(out)["preprocess"] == {"inference": "train"}
    assert written.changes.splitlines()[-2:] == ["+[preprocess]", '+inference = "train"']


@pytest.mark.parametrize("augment", ["evil.py:run", ("evil.py:run", "mixup"), ("autoaugment",)])
def test_code_that_a_checkpoint_names_never_gets_into_a_config(folder: Path, augment: Any):
    (folder / "gapdoctor.toml").write_text(TOML.replace('augment = ["flip"]\n', ""))
    recipe = Recipe(epochs=3, augment=augment, trainer="evil.py:train", history="/etc/passwd")
    record = RecipeRecord(recipe, dict.fromkeys(recipe.known(), "checkpoint"))
    out = folder / "out/gapdoctor.fixed.toml"
    write_config(read_config(folder / "gapdoctor.toml"), [], out, recovered=record,
                 files={"recipe.history": None})  # fmt: skip
    assert read(out)["recipe"] == {"lr": 0.1, "temperature": 1.0, "epochs": 3}
    load_case(out)


def test_a_key_is_taken_out(folder: Path):
    out = folder / "out/gapdoctor.fixed.toml"
    changes = [
        Change("recipe.temperature", 1.0, None),
        Change("student.output_temperature", None, 1.5),
    ]
    write_config(read_config(folder / "gapdoctor.toml"), changes, out)
    assert "temperature" not in read(out)["recipe"]
    assert read(out)["student"]["output_temperature"] == 1.5


@pytest.mark.parametrize(
    ("named", "moved"),
    [
        ("torchvision:resnet18", "torchvision:resnet18"),
        ("timm:vit_tiny", "timm:vit_tiny"),
        ("hf:weights", "hf:../weights"),
        ("torchscript", "torchscript"),
        ("os.path:join", "os.path:join"),
        ("{here}/run.py:student", "{here}/run.py:student"),
        ("~/run.py:student", "~/run.py:student"),
    ],
)
def test_only_what_is_relative_moves(folder: Path, monkeypatch, named: str, moved: str):
    monkeypatch.setenv("HOME", str(folder))
    here = folder.as_posix()
    toml = TOML.replace('"run.py:student"', f'"{named.format(here=here)}"')
    (folder / "gapdoctor.toml").write_text(toml)
    out = folder / "out/gapdoctor.fixed.toml"
    write_config(read_config(folder / "gapdoctor.toml"), [], out)
    assert read(out)["student"]["model"] == moved.format(here=here)


def test_the_folder_of_a_torchvision_data_set_moves(folder: Path):
    table = '{ call = "torchvision:MNIST", args = { root = "files", train = true } }'
    (folder / "gapdoctor.toml").write_text(TOML.replace('"run.py:train_set"', table))
    out = folder / "out/gapdoctor.fixed.toml"
    write_config(read_config(folder / "gapdoctor.toml"), [], out)
    assert read(out)["data"]["train"]["args"] == {"root": "../files", "train": True}


def test_a_package_beside_the_config_is_told_of(folder: Path):
    (folder / "pkg").mkdir()
    (folder / "gapdoctor.toml").write_text(TOML.replace("models:teacher", "pkg.nets:teacher"))
    out = folder / "out/gapdoctor.fixed.toml"
    written = write_config(read_config(folder / "gapdoctor.toml"), [], out)
    assert written.notes == (f"`pkg.nets` is found where gapdoctor runs in `{folder}`.",)
    assert written.changes == ""


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_an_output_folder_behind_a_link_is_written_from_where_it_is(folder: Path, tmp_path: Path):
    (tmp_path / "far/away").mkdir(parents=True)
    (folder / "out").symlink_to(tmp_path / "far/away")
    out = folder / "out/gapdoctor.fixed.toml"
    write_config(read_config(folder / "gapdoctor.toml"), [], out)
    load_case(out)
    load_case(tmp_path / "far/away/gapdoctor.fixed.toml")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_sections_as_tables_of_their_own_and_other_line_ends(folder: Path, newline: str):
    text = textwrap.dedent("""\
        [student]
        model = "run.py:student"
        checkpoint = "student.pth"
        [student.args]
        width = 16
        [teacher]
        model = "models:teacher"
        checkpoint = "weights/teacher.pth"
        [data]
        train = "run.py:train_set"
        heldout = "arrays.npz"
        """)
    (folder / "gapdoctor.toml").write_bytes(text.replace("\n", newline).encode())
    out = folder / "out/gapdoctor.fixed.toml"
    changes = [Change("student.args.width", 16, 24), Change("recipe.lr", None, 0.1)]
    write_config(read_config(folder / "gapdoctor.toml"), changes, out)
    assert read(out)["student"] == {
        "model": "../run.py:student",
        "checkpoint": "../student.pth",
        "args": {"width": 24},
    }
    assert read(out)["recipe"] == {"lr": 0.1}
