"""The clinic's own plain training loop; what it trained is kept (`tests.clinic.store`)."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from tests.clinic.pipelines import Augment

HISTORY_ROWS = 1000


@dataclass(frozen=True)
class Plan:
    """How a network is trained; all that its result depends on, beside data and teacher."""

    epochs: int = 24
    stop_after: int | None = None
    """Epochs after which training is cut off, whatever the schedule had planned."""
    batch_size: int = 64
    optimizer: str = "adam"
    lr: float = 3e-3
    weight_decay: float = 1e-4
    cosine: bool = True
    task_weight: float = 0.3
    temperature: float = 4.0
    scale_by_t2: bool = True
    mean_over_classes: bool = False
    """`reduction="mean"`: the distillation loss is divided by the number of classes too."""
    augmented: bool = True
    label_smoothing: float = 0.0
    shuffled_targets: float = 0.0
    """Share of train rows whose teacher logits are those of another row."""
    seed: int = 0


@dataclass
class Lesson:
    """What a student learns from: tensors in memory, a few augmented views made once.

    Views are shared by teacher and student, and by all students of a teacher, so that the
    teacher's pass is paid once.
    """

    views: list[torch.Tensor]
    """Each (n, …)."""
    labels: torch.Tensor
    teacher: list[torch.Tensor]
    """Logits (n, C) a view; empty where there is no teacher."""
    heldout: tuple[torch.Tensor, torch.Tensor]


@dataclass
class Curves:
    """The log of a training, one entry an epoch."""

    train_loss: list[float] = field(default_factory=list)
    heldout_loss: list[float] = field(default_factory=list)
    heldout_accuracy: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)


def lesson(
    inputs: torch.Tensor,
    labels: torch.Tensor,
    heldout: tuple[torch.Tensor, torch.Tensor],
    teacher: nn.Module | None,
    augment: Augment | None,
    views: int = 6,
) -> Lesson:
    """Return the views and what the teacher says of each; without augmentation there is one."""
    chance = torch.Generator().manual_seed(17)
    seen = [inputs] if augment is None else [augment(inputs, chance) for _ in range(views)]
    said = [] if teacher is None else [logits_of(teacher, view) for view in seen]
    return Lesson(seen, labels, said, heldout)


def train(model: nn.Module, lesson: Lesson, plan: Plan) -> tuple[nn.Module, Curves]:
    """Train a copy of `model`; the loss is that of `gapdoctor.domain.recipe.Recipe`."""
    student = copy.deepcopy(model)
    optimizer = _optimizer(student, plan)
    chance = torch.Generator().manual_seed(plan.seed)
    targets = _shuffled(lesson.teacher, plan.shuffled_targets, chance)
    curves = Curves()
    state = torch.random.get_rng_state()
    torch.manual_seed(plan.seed)  # dropout
    try:
        for epoch in range(min(plan.epochs, plan.stop_after or plan.epochs)):
            view = int(torch.randint(len(lesson.views), (1,), generator=chance))
            steps = _batches(len(lesson.labels), plan.batch_size, chance)
            total = 0.0
            for number, index in enumerate(steps):
                progress = (epoch + number * plan.batch_size / len(lesson.labels)) / plan.epochs
                _set_lr(optimizer, plan, progress)
                total += _step(student, optimizer, lesson, targets, view, index, plan) * len(index)
            curves.train_loss.append(total / len(lesson.labels))
            _log_heldout(student, lesson, optimizer, curves)
    finally:
        torch.random.set_rng_state(state)
    return student.eval(), curves


def logits_of(model: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """Return logits (n, C) in eval mode."""
    model.eval()
    with torch.inference_mode():
        return torch.cat([model(batch) for batch in torch.split(inputs, 512)]).clone()


def losses_of(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """Return the cross-entropy a row (n,), nats."""
    found = F.cross_entropy(logits_of(model, inputs), labels, reduction="none")
    return np.asarray(found.double().numpy())


def accuracy_of(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the share of rows that are right."""
    return float((logits_of(model, inputs).argmax(1) == labels).float().mean())


def _step(
    student: nn.Module,
    optimizer: torch.optim.Optimizer,
    lesson: Lesson,
    targets: list[torch.Tensor],
    view: int,
    index: torch.Tensor,
    plan: Plan,
) -> float:
    student.train()
    logits = student(lesson.views[view][index])
    labels = lesson.labels[index]
    task = F.cross_entropy(logits, labels, label_smoothing=plan.label_smoothing)
    loss = task
    if targets:
        loss = plan.task_weight * task + (1 - plan.task_weight) * distillation(
            logits, targets[view][index], plan
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(loss.detach())


def distillation(logits: torch.Tensor, teacher: torch.Tensor, plan: Plan) -> torch.Tensor:
    """KL(teacher ‖ student) at the temperature, with or without the factor T²."""
    kl = F.kl_div(
        F.log_softmax(logits / plan.temperature, dim=1),
        F.log_softmax(teacher / plan.temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    if plan.mean_over_classes:
        kl = kl / logits.shape[1]
    return kl * plan.temperature**2 if plan.scale_by_t2 else kl


def _optimizer(model: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    if plan.optimizer == "sgd":
        return torch.optim.SGD(
            model.parameters(), plan.lr, momentum=0.9, weight_decay=plan.weight_decay
        )
    kind = torch.optim.AdamW if plan.optimizer == "adamw" else torch.optim.Adam
    return kind(model.parameters(), plan.lr, weight_decay=plan.weight_decay)


def _set_lr(optimizer: torch.optim.Optimizer, plan: Plan, progress: float) -> None:
    share = 0.5 * (1 + np.cos(np.pi * progress)) if plan.cosine else 1.0
    for group in optimizer.param_groups:
        group["lr"] = plan.lr * float(share)


def _batches(rows: int, size: int, chance: torch.Generator) -> Iterator[torch.Tensor]:
    """A batch of a single row is left out: BatchNorm cannot eat it."""
    order = torch.randperm(rows, generator=chance)
    return (batch for batch in torch.split(order, size) if len(batch) > 1)


def _shuffled(
    teacher: list[torch.Tensor], share: float, chance: torch.Generator
) -> list[torch.Tensor]:
    if not share or not teacher:
        return teacher
    rows = len(teacher[0])
    moved = torch.randperm(rows, generator=chance)[: round(share * rows)]
    source = torch.arange(rows)
    source[moved] = moved.roll(1)
    return [logits[source] for logits in teacher]


def _log_heldout(
    student: nn.Module, lesson: Lesson, optimizer: torch.optim.Optimizer, curves: Curves
) -> None:
    inputs, labels = (part[:HISTORY_ROWS] for part in lesson.heldout)
    logits = logits_of(student, inputs)
    curves.heldout_loss.append(float(F.cross_entropy(logits, labels)))
    curves.heldout_accuracy.append(float((logits.argmax(1) == labels).float().mean()))
    curves.lr.append(float(optimizer.param_groups[0]["lr"]))
