"""The first `gapdoctor.toml`: valid, filled as far as the file tells, and inert."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import gapdoctor
from gapdoctor.domain.recipe import Distillation, Recipe, Schedule
from gapdoctor.loading.checkpoint import read_checkpoint
from gapdoctor.loading.initial import initial_config
from gapdoctor.loading.merged import merge


def text_of(folder: Path, content: Any, name: str = "student.pth") -> str:
    torch.save(content, folder / name)
    return initial_config(read_checkpoint(folder / name))


def test_a_bare_file_leaves_all_to_the_user(tmp_path: Path) -> None:
    text = text_of(tmp_path, nn.Linear(2, 3).state_dict())
    assert tomllib.loads(text) == {
        "student": {"checkpoint": "student.pth"},
        "teacher": {},
        "data": {},
        "preprocess": {},
        "recipe": {},
    }
    for line in ("# epochs =", "# lr =", "# task_weight =", "# train =", "# model ="):
        assert any(x.startswith(line) and "# unknown" in x for x in text.splitlines())
    assert "# holds 2 tensors, 9 values; the last, bias, is (3,)" in text
    assert "step_size" not in text


def test_what_was_recovered_is_set_with_its_source(tmp_path: Path) -> None:
    optimizer = torch.optim.AdamW(nn.Linear(2, 3).parameters(), lr=0.1, weight_decay=1e-5)
    torch.optim.lr_scheduler.StepLR(optimizer, 5)
    (tmp_path / "args.json").write_text('{"batch_size": 16}')
    (tmp_path / "history.csv").write_text("epoch,loss,val_loss\n1,2,3\n")
    (tmp_path / "best_teacher.pt").touch()
    text = text_of(
        tmp_path,
        {
            "model": nn.Linear(2, 3).state_dict(),
            "optimizer": optimizer.state_dict(),
            "args": {"scheduler": "cosine", "alpha": 0.5, "lr_warmup_epochs": 2},
        },
    )
    assert tomllib.loads(text)["recipe"] == {
        "batch_size": 16, "optimizer": "adamw", "lr": 0.1, "weight_decay": 1e-5,
        "betas": [0.9, 0.999], "schedule": "cosine", "warmup_epochs": 2,
    }  # fmt: skip
    assert "batch_size = 16                   # from the sidecar" in text
    assert 'schedule = "cosine"               # from the checkpoint' in text
    assert "# The file says alpha = 0.5" in text
    assert "# history: 1 epochs were found in history.csv and are used" in text
    assert '# checkpoint = "best_teacher.pt"  # unknown; this file lies beside' in text
    assert "momentum" not in text  # AdamW reads none
    assert "# distillation =                  # unknown" in text
    assert "dkd" not in text  # weights of another loss than the usual one


def test_every_recipe_of_a_bundle_passes_the_configs_own_check(tmp_path: Path) -> None:
    recipe = Recipe(
        epochs=3, schedule=Schedule.STEP, milestones=(1, 2), gamma=0.5, betas=(0.9, 0.99),
        task_weight=0.3, temperature=4.0, scale_by_t2=True, augment=("flip", "crop"), dropout=0.1,
        label_smoothing=0.0, early_stopping=0, trainer="evil.py:run", history="/etc/passwd",
        distillation=Distillation.DECOUPLED, dkd_alpha=1.0, dkd_beta=2.0,
    )  # fmt: skip
    path = gapdoctor.save_bundle(tmp_path / "b.pth", student=nn.Linear(2, 2), recipe=recipe)
    toml = tmp_path / "gapdoctor.toml"
    toml.write_text(initial_config(read_checkpoint(path)))
    values = merge(toml, {}).values["recipe"]
    assert values == {
        "epochs": 3, "schedule": "step", "milestones": [1, 2], "gamma": 0.5, "betas": [0.9, 0.99],
        "task_weight": 0.3, "temperature": 4.0, "scale_by_t2": True, "augment": ["flip", "crop"],
        "dropout": 0.1, "label_smoothing": 0.0, "early_stopping": 0,
        "distillation": "decoupled", "dkd_alpha": 1.0, "dkd_beta": 2.0,
    }  # fmt: skip


def test_names_in_a_bundle_are_proposals_and_stay_comments(tmp_path: Path) -> None:
    names = {"student.model": "run.py:student", "data.train": 'x"\nmodel = "evil.py:run'}
    path = gapdoctor.save_bundle(tmp_path / "b.pth", student=nn.Linear(2, 2), names=names)
    text = initial_config(read_checkpoint(path))
    assert '# model = "run.py:student"        # proposed by the file; check, then open' in text
    parsed = tomllib.loads(text)
    assert parsed["student"] == {"checkpoint": "b.pth"}
    assert parsed["data"] == {}


@pytest.mark.parametrize("augment", ["evil.py:run", ("evil.py:run", "mixup"), ("autoaugment",)])
def test_an_augmentation_that_a_bundle_names_stays_a_comment(tmp_path: Path, augment: Any) -> None:
    recipe = Recipe(lr=0.1, augment=augment)
    path = gapdoctor.save_bundle(tmp_path / "b.pth", student=nn.Linear(2, 2), recipe=recipe)
    text = initial_config(read_checkpoint(path))
    assert tomllib.loads(text)["recipe"] == {"lr": 0.1}
    (line,) = [x for x in text.splitlines() if x.startswith("# augment = ")]
    assert "proposed by the file; check, then open" in line
    opened = tomllib.loads(line.removeprefix("# "))["augment"]
    assert opened == (augment if isinstance(augment, str) else list(augment))


def test_foreign_text_cannot_leave_its_comment(tmp_path: Path) -> None:
    nasty = 'x\nmodel = "evil.py:run"\u2028\x7f\x1b[31m'
    state = {f"{nasty}.weight": torch.zeros(2)}
    text = text_of(tmp_path, {"model": state, nasty: state, "args": {"aa": nasty}})
    assert tomllib.loads(text)["student"] == {"checkpoint": "student.pth"}
    assert "\x1b" not in text
    (tmp_path / "args.json").write_text('{"augmentation": "a\\nb = 1", "lr": 1}')
    assert tomllib.loads(text_of(tmp_path, state))["recipe"] == {"lr": 1.0}


def test_a_file_name_with_quotes(tmp_path: Path) -> None:
    name = 'a "b" \\ é.pth'
    text = text_of(tmp_path, nn.Linear(2, 3).state_dict(), name)
    assert tomllib.loads(text)["student"]["checkpoint"] == name


def test_paths_are_relative_to_where_the_config_lies(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 3).state_dict(), tmp_path / "student.pth")
    (tmp_path / "teacher.pth").touch()
    text = initial_config(
        read_checkpoint(tmp_path / "student.pth"), folder=tmp_path / "in" / "side"
    )
    assert tomllib.loads(text)["student"]["checkpoint"] == "../../student.pth"
    assert '"../../teacher.pth"' in text


def test_several_sets_and_a_pair(tmp_path: Path) -> None:
    state = nn.Linear(2, 3).state_dict()
    text = text_of(tmp_path, {"model": state, "ema": state})
    assert "# holds ema: 2 tensors" in text
    assert '# key = "model"' in text
    text = text_of(tmp_path, {"student": state, "teacher": state})
    assert "# its weights are in the same file: teacher: 2 tensors" in text
    assert "# key" not in text


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_program_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "s.pt"
    torch.jit.save(torch.jit.script(nn.Linear(2, 3)), path)
    assert tomllib.loads(initial_config(read_checkpoint(path)))["student"] == {
        "model": "torchscript",
        "checkpoint": "s.pt",
    }
