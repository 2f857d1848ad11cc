"""The pairs that come with gapdoctor: complete, small, and as their READMEs and histories say."""

from __future__ import annotations

import csv
import importlib.util
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

import gapdoctor.demo

RUNS = Path(__file__).parents[1] / "sample_runs"
DEMO = Path(gapdoctor.demo.__file__).parent / "pair"
SAMPLES = sorted(f.parent for f in RUNS.glob("*/gapdoctor.toml"))
PAIRS = [DEMO, *SAMPLES]
FILES = {
    "README.md",
    "checkpoint.pth",
    "command.txt",
    "gapdoctor.toml",
    "history.csv",
    "run.py",
    "teacher.pth",
}
NAMES = {"healthy", "overfitted_student", "preprocessing_mismatch", "tutorial_recipe"}
H = 0.05
"""Nats: the least gap worth treating."""


@dataclass(frozen=True)
class Measured:
    """What a plain evaluation of a folder's checkpoints gives, (loss, accuracy) each."""

    teacher: dict[str, tuple[float, float]]
    student: dict[str, tuple[float, float]]
    logged: tuple[float, float]
    """The student's held-out rows through the `train` pipeline, as a training script logs them."""

    @property
    def excess(self) -> float:
        return self.student["heldout"][0] - self.teacher["heldout"][0]


@pytest.fixture(scope="module")
def measured() -> dict[Path, Measured]:
    return {folder: _measure(folder) for folder in PAIRS}


def _measure(folder: Path) -> Measured:
    config, run = _config(folder), _run(folder)
    eaten, served = (_named(run, config["preprocess"][key]) for key in ("train", "inference"))
    data = {split: _samples(run, config["data"][split]) for split in ("train", "heldout")}
    student = _model(run, config["student"], folder)
    teacher = _model(run, config["teacher"], folder)
    pipelines = {"train": eaten, "heldout": served}
    return Measured(
        {split: _evaluate(teacher, rows, eaten) for split, rows in data.items()},
        {split: _evaluate(student, rows, pipelines[split]) for split, rows in data.items()},
        _evaluate(student, data["heldout"], eaten),
    )


def _evaluate(model: nn.Module, rows: list[Any], pipeline: Any) -> tuple[float, float]:
    labels = torch.tensor([int(label) for _, label in rows])
    with torch.no_grad():
        logits = model(torch.stack([pipeline(image) for image, _ in rows])).double()
    loss = -logits.log_softmax(dim=1)[torch.arange(len(rows)), labels].mean()
    return float(loss), float((logits.argmax(dim=1) == labels).double().mean())


def _config(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "gapdoctor.toml").read_text(encoding="utf-8"))


def _run(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"run_of_{folder.name}", folder / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _named(run: ModuleType, name: str) -> Any:
    file, _, what = name.partition(":")
    assert file == "run.py"
    return getattr(run, what)


def _samples(run: ModuleType, thing: Any) -> list[Any]:
    if isinstance(thing, dict):
        return _listed(_named(run, thing["call"])(**thing["args"]))
    return _listed(_named(run, thing)())


def _listed(data: Any) -> list[Any]:
    if isinstance(data, tuple):
        return list(zip(*data, strict=True))
    return [data[row] for row in range(len(data))]


def _model(run: ModuleType, section: dict[str, Any], folder: Path) -> nn.Module:
    saved = torch.load(folder / section["checkpoint"])
    nested = [saved[key] for key in ("model", "state_dict", "student") if key in saved]
    weights = nested[0] if nested else saved
    model: nn.Module = _named(run, section["model"])(**section["args"])
    model.load_state_dict({k.removeprefix("module."): v for k, v in weights.items()})
    return model.eval()


def _history(folder: Path) -> list[dict[str, float]]:
    with (folder / "history.csv").open(encoding="utf-8", newline="") as stream:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(stream)]


def _ids(folder: Path) -> str:
    return folder.name


def test_every_sample_is_there():
    assert {folder.name for folder in SAMPLES} >= NAMES


@pytest.mark.parametrize("folder", SAMPLES, ids=_ids)
def test_a_sample_is_complete(folder):
    assert {f.name for f in folder.iterdir()} >= FILES
    command = (folder / "command.txt").read_text(encoding="utf-8")
    assert command == "gapdoctor diagnose checkpoint.pth\n"
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert f"python sample_runs/train_pairs.py {folder.name}" in readme
    assert "**Planted:**" in readme


@pytest.mark.parametrize("folder", PAIRS, ids=_ids)
def test_checkpoints_are_small_and_the_history_is_that_of_the_recipe(folder):
    assert all(f.stat().st_size < 400_000 for f in folder.glob("*.pth"))
    recipe, history = _config(folder)["recipe"], _history(folder)
    assert [row["epoch"] for row in history] == list(range(1, recipe["epochs"] + 1))
    assert history[0]["lr"] == recipe["lr"]
    columns = ["epoch", "train_loss", "heldout_loss", "train_accuracy", "heldout_accuracy", "lr"]
    assert list(history[0]) == columns


@pytest.mark.parametrize("folder", PAIRS, ids=_ids)
def test_no_heldout_row_was_trained_on(folder):
    config, run = _config(folder), _run(folder)
    train, heldout = (_samples(run, config["data"][key]) for key in ("train", "heldout"))
    learned = {image.tobytes() for image, _ in _listed(run.teacher_set())}
    assert {image.tobytes() for image, _ in train} <= learned
    assert len(heldout) >= 600
    assert not {image.tobytes() for image, _ in heldout} & learned


@pytest.mark.parametrize("folder", PAIRS, ids=_ids)
def test_the_history_ends_with_the_checkpoint(folder, measured):
    last, seen = _history(folder)[-1], measured[folder]
    assert last["train_loss"] == pytest.approx(seen.student["train"][0], abs=1e-3)
    assert last["heldout_loss"] == pytest.approx(seen.logged[0], abs=1e-3)
    assert last["train_accuracy"] == pytest.approx(seen.student["train"][1], abs=1e-3)
    assert last["heldout_accuracy"] == pytest.approx(seen.logged[1], abs=2e-3)


@pytest.mark.parametrize("folder", SAMPLES, ids=_ids)
def test_the_readme_says_what_is_measured(folder, measured):
    readme = (folder / "README.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| (teacher|student) \| (.+) \|$", readme, flags=re.MULTILINE))
    seen = measured[folder]
    for model, splits in (("teacher", seen.teacher), ("student", seen.student)):
        train, heldout, accuracy = (float(cell) for cell in table[model].split("|"))
        assert train == pytest.approx(splits["train"][0], abs=1e-3)
        assert heldout == pytest.approx(splits["heldout"][0], abs=1e-3)
        assert accuracy == pytest.approx(splits["heldout"][1], abs=2e-3)
    stated = re.search(r"held-out loss is (\d\.\d+) nats above", readme)
    assert stated is not None
    assert float(stated[1]) == pytest.approx(seen.excess, abs=1e-3)
    index = (RUNS / "README.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| \[{folder.name}\].*\| (\d\.\d+) \|$", index, flags=re.MULTILINE)
    assert row is not None
    assert float(row[1]) == pytest.approx(seen.excess, abs=1e-3)


@pytest.mark.parametrize("folder", PAIRS, ids=_ids)
def test_every_teacher_is_sound(folder, measured):
    assert max(loss for loss, _ in measured[folder].teacher.values()) < H


def test_the_bundled_student_is_overfitted(measured):
    seen, history = measured[DEMO], _history(DEMO)
    assert seen.student["train"][0] < 0.05
    assert seen.excess > 0.3
    lowest = min(row["heldout_loss"] for row in history)
    assert history[-1]["heldout_loss"] > lowest + 0.03


def test_the_healthy_student_is_close_to_its_teacher(measured):
    assert abs(measured[RUNS / "healthy"].excess) < H / 2


def test_the_overfitted_student_fits_its_train_rows_better_than_the_teacher(measured):
    seen = measured[RUNS / "overfitted_student"]
    assert seen.student["train"][0] < seen.teacher["train"][0]
    assert seen.excess > 2 * H


def test_the_mismatch_is_all_that_ails_its_student(measured):
    seen = measured[RUNS / "preprocessing_mismatch"]
    assert seen.logged[0] - seen.teacher["heldout"][0] < H / 2
    assert seen.student["heldout"][0] - seen.logged[0] > 1.0


def test_the_tutorial_recipe_is_declared_as_it_ran(measured):
    folder = RUNS / "tutorial_recipe"
    recipe = _config(folder)["recipe"]
    assert recipe["scale_by_t2"] is False
    assert recipe["temperature"] > 1
    assert 0 < recipe["task_weight"] < 1
    assert measured[folder].excess > 0.3
