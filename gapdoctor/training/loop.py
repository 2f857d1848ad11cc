"""The only training loop: a student, a teacher, train rows and a recipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gapdoctor.domain.recipe import Recipe
from gapdoctor.errors import GapDoctorError
from gapdoctor.observe.borrow import own_random_state
from gapdoctor.observe.device import model_device
from gapdoctor.observe.progress import Progress
from gapdoctor.training.batches import batch_count
from gapdoctor.training.callbacks import Callback
from gapdoctor.training.defaults import completed
from gapdoctor.training.features.extra import Features, features_of
from gapdoctor.training.placement import Placement, trainable
from gapdoctor.training.records import TrainingResult
from gapdoctor.training.rows import TrainingRows
from gapdoctor.training.run import Run
from gapdoctor.training.schedules import LearningRate
from gapdoctor.training.step import Gradients
from gapdoctor.training.teacher import TeacherOutputs
from gapdoctor.training.views import Views


@dataclass(frozen=True)
class Length:
    """How long a training is.

    Exactly one of both is given, or none: then `epochs` of the recipe.
    """

    epochs: int | None = None
    """Whole epochs. The schedule spans the recipe's epochs: fewer cut it short, unless it is
    annealed: then it is shortened or stretched to them."""
    steps: int | None = None
    """Optimizer steps. The schedule is shortened or stretched to them."""


def fit(
    student: nn.Module,
    teacher: nn.Module | torch.Tensor | TeacherOutputs | None,
    rows: TrainingRows,
    recipe: Recipe,
    length: Length | None = None,
    *,
    seed: int = 0,
    device: torch.device | None = None,
    views: Views | None = None,
    anneal: bool = False,
    callbacks: Sequence[Callback] = (),
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
    in_place: bool = False,
    state: Mapping[str, Any] | None = None,
) -> TrainingResult:
    """Train a copy of the student by a recipe.

    The order of rows depends on seed, epoch and their number alone, augmented views on seed, epoch
    and batch: two recipes with one seed see the same. Deterministic on the CPU; on CUDA as far as
    its kernels are. Where memory runs out a batch is halved and its gradients are summed up (only
    BatchNorm then sees smaller batches). A last batch of one row joins the one before.

    Parameters
    ----------
    student : nn.Module
        Untouched, unless `in_place`.
    teacher : nn.Module, tensor (N, C), TeacherOutputs or None
        A module is asked in eval mode, once a row where `views` change nothing; a tensor holds its
        logits of all train rows; `TeacherOutputs` shares what was said between trainings; None
        leaves the task loss alone. All get the same view of a row as the student.
    rows : TrainingRows
        From `rows_of_case` or `rows_of_tensors`.
    recipe : Recipe
        Fields that are unknown are assumed (`gapdoctor.training.defaults`) and told in the result.
    length : Length, optional
        Left out: the recipe's epochs.
    seed : int
        Of order, dropout and augmentation.
    device : torch.device, optional
        Left out: where the student is.
    views : Views, optional
        Augmentation and mixup; left out: none, whatever the recipe says.
    anneal : bool
        Bring the learning rate down to 0 at the end, where the schedule does not.
    callbacks : sequence of Callback
        Look on, in order.
    progress : Progress, optional
        Advanced by one a step.
    should_stop : callable, optional
        Asked before each step.
    in_place : bool
        Train the module given, and leave its gradients cleared.
    state : mapping, optional
        From `Run.state` of a training with the same arguments: goes on to the same numbers.

    Raises
    ------
    GapDoctorError
        When the student cannot be trained, or models, rows and labels do not fit each other.
    """
    started = time.perf_counter()
    home = model_device(student)
    place = Placement.on(device or home)
    length = length or Length()
    plan = completed(recipe, length.epochs)
    with ExitStack() as lent:
        lent.enter_context(torch.inference_mode(False))
        lent.enter_context(own_random_state(seed))
        twin = trainable(student, place, in_place=in_place)
        steps, rate = _scheduled(plan.recipe, length, rows.count, anneal)
        outputs = _outputs(teacher, rows, place, plan.recipe)
        asked = 0 if outputs is None else outputs.samples
        if outputs is not None:
            lent.enter_context(outputs.lent())
        lent.enter_context(torch.enable_grad())  # what is lent is lent without gradients
        whole = min(plan.recipe.batch_size or 1, rows.count)
        features = features_of(twin, outputs, rows, plan.recipe, place.device)
        taught = None if plan.recipe.task_weight == 1 else outputs
        _check_hints(features, plan.recipe, -(-steps // batch_count(rows.count, whole)))
        gradients = Gradients(twin, taught, plan.recipe, views or Views(), place, whole, features)
        run = Run(
            gradients, rows, rate, steps, seed, callbacks,
            progress or Progress(), should_stop or (lambda: False),
        )  # fmt: skip
        if state is not None:
            run.restore(state)
        run.go()
    samples = gradients.samples + (0 if outputs is None else outputs.samples - asked)
    return TrainingResult(
        twin.eval().to(home), tuple(run.history), run.step, run.stopped,
        time.perf_counter() - started, plan.assumed, gradients.part_rows, samples,
    )  # fmt: skip


def step_count(recipe: Recipe, count: int, epochs: int | None = None) -> int:
    """Return how many steps a recipe takes over `count` rows."""
    plan = completed(recipe, epochs).recipe
    return batch_count(count, plan.batch_size or 1) * (epochs or plan.epochs or 0)


def _scheduled(
    recipe: Recipe, length: Length, count: int, anneal: bool
) -> tuple[int, LearningRate]:
    """Return the steps of the run, and the rate of each."""
    if length.steps is not None and length.epochs is not None:
        raise ValueError("give epochs or steps, not both")
    an_epoch = batch_count(count, recipe.batch_size or 1)
    epochs = length.epochs or recipe.epochs
    if length.steps is not None:
        planned = recipe.epochs or max(1, -(-length.steps // an_epoch))
        return length.steps, LearningRate(recipe, length.steps, planned, anneal=anneal)
    if epochs is None:
        raise ValueError("the recipe names no epochs: give epochs or steps")
    if anneal:  # to 0 at the end of this run, not of the one that was planned
        return epochs * an_epoch, LearningRate(
            recipe, epochs * an_epoch, recipe.epochs or epochs, anneal=True
        )
    planned = max(epochs, recipe.epochs or 0)
    return epochs * an_epoch, LearningRate(recipe, planned * an_epoch, planned)


def _check_hints(features: Features | None, recipe: Recipe, epochs: int) -> None:
    if features is not None and features.stage(epochs - 1) == "alone":
        raise GapDoctorError(
            f"recipe.hint_epochs: {recipe.hint_epochs} of {epochs} epochs are hints, and the "
            "student would never learn a class",
            "give fewer, or 0: then the feature loss is a part of the loss throughout",
        )


def _outputs(
    teacher: nn.Module | torch.Tensor | TeacherOutputs | None,
    rows: TrainingRows,
    place: Placement,
    recipe: Recipe,
) -> TeacherOutputs | None:
    if teacher is None or (recipe.task_weight == 1 and recipe.feature_loss is None):
        return None
    if isinstance(teacher, TeacherOutputs):
        return teacher
    return TeacherOutputs(teacher, rows, place.device)
