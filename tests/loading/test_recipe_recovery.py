"""The recipe as far as the file and its neighbours tell, each field with its source."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import gapdoctor
from gapdoctor.domain.recipe import Distillation, Optimizer, Recipe, Schedule
from gapdoctor.loading.checkpoint import Checkpoint, read_checkpoint
from gapdoctor.loading.recipe import recipe_notes, recover_recipe
from gapdoctor.loading.recipe_states import optimizer_of


def read(folder: Path, content: Any) -> Checkpoint:
    torch.save({"model": nn.Linear(2, 2).state_dict(), **content}, folder / "student.pth")
    return read_checkpoint(folder / "student.pth")


def recovered(folder: Path, content: Any) -> dict[str, Any]:
    record = recover_recipe(read(folder, content))
    assert record.sources.keys() == record.recipe.known().keys()
    return record.recipe.known()


def test_nothing_is_defaulted(tmp_path: Path) -> None:
    checkpoint = read(tmp_path, {})
    record = recover_recipe(checkpoint)
    assert record.recipe == Recipe()
    assert record.source("lr") == "unknown"
    assert recipe_notes(checkpoint) == ()


def test_torchvision_arguments(tmp_path: Path) -> None:
    args = argparse.Namespace(
        lr=0.1, epochs=90, batch_size=32, opt="sgd", momentum=0.9, weight_decay=1e-4,
        lr_scheduler="steplr", lr_step_size=30, lr_gamma=0.1, lr_warmup_epochs=5,
        label_smoothing=0.1, mixup_alpha=0.2, auto_augment="ta_wide", random_erase=0.0,
    )  # fmt: skip
    checkpoint = read(tmp_path, {"args": args, "epoch": 3})
    record = recover_recipe(checkpoint)
    assert record.recipe == Recipe(
        lr=0.1, epochs=90, batch_size=32, optimizer=Optimizer.SGD, momentum=0.9,
        weight_decay=1e-4, schedule=Schedule.STEP, step_size=30, gamma=0.1, warmup_epochs=5,
        label_smoothing=0.1,
    )  # fmt: skip
    assert set(record.sources.values()) == {"checkpoint"}
    (note,) = recipe_notes(checkpoint)
    assert note == "Augmentation named in the file: auto_augment = 'ta_wide', mixup_alpha = 0.2."


@pytest.mark.parametrize(
    ("key", "given", "wanted"),
    [
        ("args", {"learning_rate": 0.5}, {"lr": 0.5}),
        ("hyper_parameters", {"learning-rate": 1}, {"lr": 1.0}),
        ("train_args", {"lr0": 0.01, "epochs": 5.0}, {"lr": 0.01, "epochs": 5}),
        ("opt", {"lr_decay_epochs": "150,180,210"}, {"milestones": (150, 180, 210)}),
        ("config", {"optimizer": {"name": "AdamW", "lr": 0.3}},
         {"optimizer": Optimizer.ADAMW, "lr": 0.3}),
        ("hparams", {"kd_T": 4, "wd": 0}, {"temperature": 4.0, "weight_decay": 0.0}),
        ("hparams", {"distillation_temperature": 2.0}, {"temperature": 2.0}),
        ("hparams", {"task_weight": 0.3, "scale_by_t2": False},
         {"task_weight": 0.3, "scale_by_t2": False}),
        ("hparams", {"T": 4, "teacher": "resnet"}, {"temperature": 4.0}),
        ("opt", {"distill": "kd"}, {"distillation": Distillation.KL}),
        ("args", {"distillation": "DKD", "dkd_alpha": 1, "dkd_beta": 8.0},
         {"distillation": Distillation.DECOUPLED, "dkd_alpha": 1.0, "dkd_beta": 8.0}),
        ("args", {"distill": "hint", "dkd_beta": -1}, {}),
        ("config", {"distillation": {"temperature": 2}}, {"temperature": 2.0}),
        ("hparams", {"max_epochs": 3, "T": 1000}, {"epochs": 3}),
        ("hparams", {"lr": "0.1", "epochs": 2.5, "batch_size": True, "weight_decay": -1}, {}),
        ("hparams", {"lr": float("nan"), "dropout": 3}, {}),
        ("hparams", {"optimizer": "lion", "schedule": "linear"}, {}),
        ("hparams", "not a mapping", {}),
    ],
)  # fmt: skip
def test_names_of_certain_meaning(tmp_path: Path, key: str, given: Any, wanted: Any) -> None:
    assert recovered(tmp_path, {key: given}) == wanted


@pytest.mark.parametrize("name", ["alpha", "kd_weight", "lambda_kd", "distillation_alpha"])
def test_a_weight_of_unsure_meaning_is_a_note(tmp_path: Path, name: str) -> None:
    checkpoint = read(tmp_path, {"args": {name: 0.9}})
    assert recover_recipe(checkpoint).recipe.task_weight is None
    (note,) = recipe_notes(checkpoint)
    assert f"{name} = 0.9" in note
    assert "[recipe] task_weight" in note


def test_a_t_without_distillation_is_a_note(tmp_path: Path) -> None:
    checkpoint = read(tmp_path, {"args": {"T": 1000}})
    assert recover_recipe(checkpoint).recipe.temperature is None
    assert "may be the temperature" in recipe_notes(checkpoint)[0]


def test_single_values_at_the_top_but_no_learning_rate(tmp_path: Path) -> None:
    assert recovered(tmp_path, {"epochs": 20, "lr": 1e-5, "temperature": 4.0}) == {
        "epochs": 20,
        "temperature": 4.0,
    }


PARAMETER = [nn.Parameter(torch.zeros(2))]


@pytest.mark.parametrize(
    ("optimizer", "wanted"),
    [
        (torch.optim.SGD(PARAMETER, lr=1, momentum=0.9, nesterov=True), Optimizer.SGD),
        (torch.optim.Adam(PARAMETER), Optimizer.ADAM),
        (torch.optim.AdamW(PARAMETER), Optimizer.ADAMW),
        (torch.optim.NAdam(PARAMETER), Optimizer.NADAM),
        (torch.optim.RAdam(PARAMETER), Optimizer.RADAM),
        (torch.optim.RMSprop(PARAMETER), Optimizer.RMSPROP),
        (torch.optim.Adagrad(PARAMETER), Optimizer.ADAGRAD),
        (torch.optim.Adadelta(PARAMETER), Optimizer.ADADELTA),
        (torch.optim.Adamax(PARAMETER), None),
        (torch.optim.Rprop(PARAMETER), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, torch.optim.Optimizer) else None,
)
def test_the_keys_of_a_group_identify_the_optimizer(
    optimizer: torch.optim.Optimizer, wanted: Optimizer | None
) -> None:
    assert optimizer_of(optimizer.state_dict()["param_groups"][0]) == wanted


def trained(schedule: Any, epochs: int, **how: Any) -> dict[str, Any]:
    """The states that a script saves after `epochs` epochs."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(2))], lr=0.1, momentum=0.9, **how)
    scheduler = schedule(optimizer)
    for _ in range(epochs):
        optimizer.step()
        scheduler.step()
    return {
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": scheduler.state_dict(),
        "epoch": epochs - 1,
    }


def test_a_cosine_schedule_by_epochs(tmp_path: Path) -> None:
    lr = torch.optim.lr_scheduler
    state = trained(lambda o: lr.CosineAnnealingLR(o, 24, eta_min=1e-3), 8, weight_decay=5e-4)
    assert recovered(tmp_path, state) == {
        "epochs": 24, "optimizer": Optimizer.SGD, "lr": 0.1, "momentum": 0.9, "nesterov": False,
        "weight_decay": 5e-4, "schedule": Schedule.COSINE, "min_lr": 1e-3,
    }  # fmt: skip


def test_a_cosine_schedule_by_iterations_leaves_the_epochs_open(tmp_path: Path) -> None:
    lr = torch.optim.lr_scheduler
    state = trained(lambda o: lr.CosineAnnealingLR(o, 2400), 8) | {"epoch": 0}
    checkpoint = read(tmp_path, state)
    assert recover_recipe(checkpoint).recipe.epochs is None
    assert "spans 2400 steps" in recipe_notes(checkpoint)[0]


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [
        (lambda o: torch.optim.lr_scheduler.StepLR(o, 10, gamma=0.2),
         {"schedule": Schedule.STEP, "step_size": 10, "gamma": 0.2}),
        (lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [4, 2], gamma=0.5),
         {"schedule": Schedule.STEP, "milestones": (2, 4), "gamma": 0.5}),
        (lambda o: torch.optim.lr_scheduler.SequentialLR(
            o, [torch.optim.lr_scheduler.LinearLR(o), torch.optim.lr_scheduler.StepLR(o, 3)], [1]),
         {"schedule": Schedule.STEP, "step_size": 3, "gamma": 0.1}),
        (lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9), {}),
    ],
    ids=["step", "multistep", "sequential", "exponential"],
)  # fmt: skip
def test_other_schedules(tmp_path: Path, schedule: Any, wanted: dict[str, Any]) -> None:
    found = recovered(tmp_path, trained(schedule, 1))
    common = {"optimizer", "momentum", "nesterov", "weight_decay"}
    assert found["lr"] == 0.1
    assert {k: v for k, v in found.items() if k not in common | {"lr"}} == wanted


def test_a_one_cycle_schedule_has_a_peak_and_no_lr(tmp_path: Path) -> None:
    lr = torch.optim.lr_scheduler
    found = recovered(tmp_path, trained(lambda o: lr.OneCycleLR(o, 0.5, total_steps=9), 2))
    assert (found["schedule"], found["max_lr"]) == (Schedule.ONECYCLE, 0.5)
    assert "lr" not in found


def test_a_plateau_schedule(tmp_path: Path) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(2))], lr=0.1)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=3)
    found = recovered(
        tmp_path, {"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}
    )
    assert (found["schedule"], found["factor"], found["patience"]) == (Schedule.PLATEAU, 0.5, 3)


def test_the_last_learning_rate_is_only_told(tmp_path: Path) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(2))], lr=1e-4)
    checkpoint = read(tmp_path, {"optimizer": optimizer.state_dict()})
    assert recover_recipe(checkpoint).recipe.lr is None
    assert recipe_notes(checkpoint)[0].startswith("The last learning rate was 0.0001;")
    known = read(tmp_path, {"optimizer": optimizer.state_dict(), "args": {"lr": 0.1}})
    assert recipe_notes(known) == ()


def test_groups_without_decay_for_norms(tmp_path: Path) -> None:
    groups = [
        {"params": [nn.Parameter(torch.zeros(2))], "weight_decay": 0.05},
        {"params": [nn.Parameter(torch.zeros(2))], "weight_decay": 0.0},
    ]
    state = torch.optim.AdamW(groups, lr=1e-3).state_dict()
    found = recovered(tmp_path, {"optimizer": state})
    assert found["weight_decay"] == 0.05
    assert found["betas"] == (0.9, 0.999)
    state["param_groups"][1]["weight_decay"] = 0.2
    assert "weight_decay" not in recovered(tmp_path, {"optimizer": state})


def test_adam_or_adamw_of_old_files_is_told(tmp_path: Path) -> None:
    state = torch.optim.AdamW([nn.Parameter(torch.zeros(2))]).state_dict()
    del state["param_groups"][0]["decoupled_weight_decay"]
    checkpoint = read(tmp_path, {"optimizer": state})
    assert recover_recipe(checkpoint).recipe.optimizer is None
    assert "Adam or AdamW" in " ".join(recipe_notes(checkpoint))


def test_the_optimizers_own_state_beats_the_arguments(tmp_path: Path) -> None:
    state = trained(lambda o: torch.optim.lr_scheduler.StepLR(o, 3), 1)
    found = recovered(tmp_path, {**state, "args": {"lr": 0.4, "opt": "adam", "epochs": 9}})
    assert (found["lr"], found["optimizer"], found["epochs"]) == (0.1, Optimizer.SGD, 9)


def test_what_the_optimizer_does_not_read_is_left_out(tmp_path: Path) -> None:
    found = recovered(tmp_path, {"args": {"opt": "adamw", "momentum": 0.9, "nesterov": True}})
    assert found == {"optimizer": Optimizer.ADAMW}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("args.json", json.dumps({"lr": 0.2, "batch_size": 64})),
        ("args.yaml", "lr: 0.2\nbatch_size: 64\nmodel: 'resnet'\naug:\n  lr: 9\n- lr: 8\n"),
        ("hparams.yaml", "batch_size: 64\nlr: 2e-1\n"),
    ],
)
def test_arguments_beside_the_file(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    checkpoint = read(tmp_path, {"args": {"epochs": 3, "lr": 0.1}})
    record = recover_recipe(checkpoint)
    assert (record.recipe.lr, record.source("lr")) == (0.1, "checkpoint")
    assert (record.recipe.batch_size, record.source("batch_size")) == (64, "sidecar")
    assert recipe_notes(checkpoint)[-1] == f"Read from {name}: batch_size, lr."


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("args.json", b"{"),
        ("args.json", b"[" * 100_000),
        ("args.json", b"\xff\xfe"),
        ("args.json", b"[1]"),
        ("config.json", b'{"architectures": ["Bert"], "temperature": 1.0}'),
        ("config.yaml", b"\tno: yaml\n:\n"),
    ],
)
def test_odd_neighbours_are_passed_over(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert recovered(tmp_path, {}) == {}


def test_a_bundle_holds_the_recipe_itself(tmp_path: Path) -> None:
    recipe = Recipe(
        epochs=3, optimizer=Optimizer.ADAM, betas=(0.9, 0.99), milestones=(2, 3), task_weight=0.3,
        scale_by_t2=True, augment=("flip",), schedule=Schedule.COSINE,
        distillation=Distillation.DECOUPLED, dkd_beta=2.0,
    )  # fmt: skip
    (tmp_path / "args.json").write_text('{"lr": 0.2}')
    path = gapdoctor.save_bundle(tmp_path / "b.pth", student=nn.Linear(2, 2), recipe=recipe)
    record = recover_recipe(read_checkpoint(path))
    assert record.recipe == recipe
    assert set(record.sources.values()) == {"checkpoint"}
