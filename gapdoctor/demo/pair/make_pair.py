"""Train the pair of a folder: the teacher, then the student by the recipe of gapdoctor.toml.

    python make_pair.py

Writes teacher.pth, checkpoint.pth and history.csv beside gapdoctor.toml, and prints the four
losses. Nothing is drawn without a seed; one thread, so that sums are added in one order.
"""

from __future__ import annotations

import csv
import importlib.util
import math
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

SEED = 0
TEACHER_RECIPE: dict[str, Any] = {
    "epochs": 60,
    "batch_size": 64,
    "optimizer": "adamw",
    "lr": 0.003,
    "weight_decay": 0.005,
    "schedule": "cosine",
    "task_weight": 1.0,
    "augment": "run.py:augment",
}

Batch = tuple[torch.Tensor, torch.Tensor]
Layout = Callable[[nn.Module, torch.optim.Optimizer, int], Any]


def usual_layout(student: nn.Module, optimizer: torch.optim.Optimizer, epoch: int) -> Any:
    """Return what many training scripts save."""
    return {"model": student.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}


def make(folder: Path, layout: Layout = usual_layout) -> dict[str, float]:
    """Train the pair of `folder`, write its three files, return the four losses.

    Parameters
    ----------
    folder : Path
        Holds gapdoctor.toml and the run.py that it names.
    layout : callable
        Student, optimizer, epoch -> what checkpoint.pth holds.

    Returns
    -------
    dict of str to float
        Mean cross-entropy in nats: each model on each split, the student's held-out rows through
        the `inference` pipeline.
    """
    torch.set_num_threads(1)
    config = tomllib.loads((folder / "gapdoctor.toml").read_text(encoding="utf-8"))
    run = _load(folder / "run.py")
    eaten, served = (_named(run, config["preprocess"][key]) for key in ("train", "inference"))
    raw_train, raw_heldout = (_made(run, config["data"][key]) for key in ("train", "heldout"))
    train, heldout = _batch(raw_train, eaten), _batch(raw_heldout, eaten)

    teacher = _model(run, config["teacher"])
    _fit(teacher, None, _batch(run.teacher_set(), eaten), heldout, TEACHER_RECIPE, run)
    student = _model(run, config["student"])
    optimizer, history = _fit(student, teacher, train, heldout, config["recipe"], run)

    torch.save(teacher.state_dict(), folder / "teacher.pth")
    torch.save(layout(student, optimizer, len(history)), folder / "checkpoint.pth")
    _write_history(folder / "history.csv", history)
    return {
        "teacher train": _evaluate(teacher, train)[0],
        "teacher heldout": _evaluate(teacher, heldout)[0],
        "student train": _evaluate(student, train)[0],
        "student heldout": _evaluate(student, _batch(raw_heldout, served))[0],
    }


def _fit(
    model: nn.Module,
    teacher: nn.Module | None,
    train: Batch,
    heldout: Batch,
    recipe: Mapping[str, Any],
    run: Any,
) -> tuple[torch.optim.Optimizer, list[dict[str, float]]]:
    """Train `model`; the losses logged an epoch are cross-entropies in eval mode."""
    optimizer = _optimizer(model, recipe)
    augment = _named(run, recipe["augment"]) if recipe["augment"] else None
    history = []
    for epoch in range(recipe["epochs"]):
        lr = optimizer.param_groups[0]["lr"] = _lr(recipe, epoch)
        for views, labels in _batches(train, recipe["batch_size"], augment):
            model.train()
            loss = _loss(model(views), teacher, views, labels, recipe)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        history.append({"epoch": epoch + 1, **_logged(model, train, heldout), "lr": lr})
    return optimizer, history


def _batches(
    train: Batch, size: int, augment: Callable[[torch.Tensor], torch.Tensor] | None
) -> Iterator[Batch]:
    """Yield all rows once, in a new order; both models see the same augmented view."""
    inputs, labels = train
    order = torch.randperm(len(inputs))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        views = inputs[rows]
        if augment is not None:
            views = torch.stack([augment(view) for view in views])
        yield views, labels[rows]


def _logged(model: nn.Module, train: Batch, heldout: Batch) -> dict[str, float]:
    train_loss, train_accuracy = _evaluate(model, train)
    heldout_loss, heldout_accuracy = _evaluate(model, heldout)
    return {
        "train_loss": train_loss,
        "heldout_loss": heldout_loss,
        "train_accuracy": train_accuracy,
        "heldout_accuracy": heldout_accuracy,
    }


def _loss(
    logits: torch.Tensor,
    teacher: nn.Module | None,
    views: torch.Tensor,
    labels: torch.Tensor,
    recipe: Mapping[str, Any],
) -> torch.Tensor:
    """task_weight · CE + (1 − task_weight) · KL(teacher ‖ student), both seeing the same view."""
    task = functional.cross_entropy(logits, labels)
    if teacher is None:
        return task
    temperature = recipe["temperature"]
    with torch.no_grad():
        targets = functional.log_softmax(teacher(views) / temperature, dim=1)
    distillation = functional.kl_div(
        functional.log_softmax(logits / temperature, dim=1),
        targets,
        log_target=True,
        reduction="batchmean",
    )
    if recipe["scale_by_t2"]:
        distillation = distillation * temperature**2
    weight: float = recipe["task_weight"]
    return weight * task + (1 - weight) * distillation


def _optimizer(model: nn.Module, recipe: Mapping[str, Any]) -> torch.optim.Optimizer:
    shared = {"lr": recipe["lr"], "weight_decay": recipe["weight_decay"]}
    if recipe["optimizer"] == "sgd":
        return torch.optim.SGD(model.parameters(), momentum=recipe["momentum"], **shared)
    if recipe["optimizer"] == "adamw":
        return torch.optim.AdamW(model.parameters(), **shared)
    return torch.optim.Adam(model.parameters(), **shared)


def _lr(recipe: Mapping[str, Any], epoch: int) -> float:
    peak: float = recipe["lr"]
    if recipe["schedule"] == "constant":
        return peak
    return peak * (1 + math.cos(math.pi * epoch / recipe["epochs"])) / 2


def _evaluate(model: nn.Module, part: Batch) -> tuple[float, float]:
    """Return mean cross-entropy and accuracy; leaves the model in eval mode."""
    model.eval()
    with torch.no_grad():
        logits = model(part[0])
    right = (logits.argmax(dim=1) == part[1]).double().mean()
    return float(functional.cross_entropy(logits.double(), part[1])), float(right)


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("run", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _named(run: Any, name: str) -> Any:
    return getattr(run, name.partition(":")[2])


def _made(run: Any, thing: str | Mapping[str, Any]) -> Any:
    """Call what [data] names."""
    if isinstance(thing, str):
        return _named(run, thing)()
    return _named(run, thing["call"])(**thing["args"])


def _model(run: Any, section: Mapping[str, Any]) -> nn.Module:
    torch.manual_seed(SEED)
    model: nn.Module = _named(run, section["model"])(**section["args"])
    return model


def _batch(data: Any, pipeline: Callable[[Any], torch.Tensor]) -> Batch:
    """Send every raw sample of (inputs, labels), or of a data set, through `pipeline`."""
    arrays = isinstance(data, tuple)
    pairs = list(zip(*data, strict=True)) if arrays else [data[row] for row in range(len(data))]
    inputs = torch.stack([pipeline(sample) for sample, _ in pairs])
    return inputs, torch.tensor([int(label) for _, label in pairs])


def _write_history(path: Path, history: list[dict[str, float]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, history[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows([{k: f"{v:.6g}" for k, v in row.items()} for row in history])


if __name__ == "__main__":
    for which, nats in make(Path(__file__).parent).items():
        print(f"{which:16}{nats:.4f}")
