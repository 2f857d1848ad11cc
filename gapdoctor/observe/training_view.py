"""The pair as it was in training: batch statistics, augmented views, the same view for both."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gapdoctor.domain.recipe import Distillation, Recipe, TaughtBy
from gapdoctor.errors import UserCodeError
from gapdoctor.observe.augmentation import Augment, augmentation_of
from gapdoctor.observe.borrow import own_random_state
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.needs import Need
from gapdoctor.observe.observations import Observations
from gapdoctor.observe.outputs import Outputs, joined
from gapdoctor.stats.assignment import reorder
from gapdoctor.stats.head import HeadGradients, head_gradients

ROW_VIEWS = 4_000
"""Row-views that are taken, at most; as many as train rows used."""
LEAST_VIEWS = 2_000
"""Row-views that augmentation fills up to, where there are fewer rows: it makes rows new."""
BATCH = 64
"""Rows a batch where the recipe does not say."""
VARIANT = "student on batch statistics"


@dataclass(frozen=True)
class TrainingView:
    """Arrays of row-views under training conditions."""

    features: NDArray[np.float32]
    """(n, d) what the student's head was fed."""
    student: NDArray[np.float32]
    """(n, C) as the head gave them in training: before any output temperature, and before any that
    was folded into the head since."""
    teacher: NDArray[np.float32]
    """(n, C) of the same views."""
    labels: NDArray[np.int64]
    """(n,)"""
    head: NDArray[np.float64]
    """(C, d + 1) the student's head as training left it, bias last; zeros there where it has none.
    In the order of the classes that was proven, as are the student's logits."""
    biased: bool
    """Whether the head has a bias."""
    augmented: bool
    """Whether the recipe's augmentation was applied."""

    def gradients(self, temperature: float, label_smoothing: float | None) -> HeadGradients:
        """Return the head's gradients of both losses, see `head_gradients`.

        Zero in the last column where the head has no bias: nothing there was ever at rest.
        """
        found = head_gradients(
            self.features, self.student, self.teacher, self.labels,
            temperature=temperature, label_smoothing=label_smoothing or 0.0,
        )  # fmt: skip
        if not self.biased:
            found.task[:, -1] = found.distillation[:, -1] = 0.0
        return found


def training_view(seen: Observations, *, assume_none: bool = False) -> TrainingView | str:
    """Return the pair under training conditions, or why that is not possible.

    BatchNorm uses batch statistics at the recipe's batch size (of a copy), dropout is off, the
    recipe's augmentation gives one view for both models. Computed once; where nothing of this
    differs from the passes made already, these are used. With `assume_none`, an augmentation that
    is not known is taken for none.
    """
    augment = augmentation_of(seen.case)
    if assume_none and isinstance(augment, str) and seen.recipe.recipe.augment is None:
        augment = None
    if isinstance(augment, str):
        return augment
    return seen.once("training view", lambda: _view(seen, augment))


def on_batch_statistics(model: nn.Module) -> nn.Module | None:
    """Return a copy whose BatchNorm uses batch statistics in eval mode, or None without BatchNorm.

    A layer without running statistics has nothing else to use.
    """
    twin = copy.deepcopy(model)
    layers = [m for m in twin.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for layer in layers:
        layer.running_mean = layer.running_var = layer.num_batches_tracked = None
    return twin if layers else None


def _view(seen: Observations, augment: Augment | None) -> TrainingView | str:
    reason = seen.missing(frozenset({Need.STUDENT_FEATURES, Need.TEACHER_MODEL}))
    reason = reason or _another_loss(seen.recipe.recipe)
    if reason is not None:
        return reason
    if augment is not None and not seen.same_pipeline("train", "teacher"):
        return "teacher and student have pipelines of their own: no view that both could share"
    try:
        with own_random_state(seen.settings.seed):
            return _taken(seen, augment)
    except UserCodeError as error:
        return error.message


def _another_loss(recipe: Recipe) -> str | None:
    """Why the gradients of the plain distillation loss are not those of the training; or None."""
    if recipe.taught_by == TaughtBy.ASSISTANT:
        return "the student learned from the assistant: the teacher's outputs are not its targets"
    if recipe.distillation not in (None, Distillation.KL):
        return (
            f"the distillation loss is {recipe.distillation}: the head's gradients are known of "
            "the plain one alone"
        )
    return None


def _taken(seen: Observations, augment: Augment | None) -> TrainingView | str:
    labels = seen.rows(Split.TRAIN).labels
    positions = _positions(len(labels), augment is not None)
    twin = on_batch_statistics(seen.case.student)
    if twin is not None:
        seen.offer(VARIANT, module=twin)
    size = min(seen.recipe.recipe.batch_size or BATCH, seen.settings.batch_size)
    batches = np.array_split(positions, -(-len(positions) // max(2, size)))
    if twin is not None and len(batches[-1]) < 2:
        return "one train row gives BatchNorm no batch statistics; give more train rows"
    student, teacher = (
        (seen.outputs(Model.STUDENT, Split.TRAIN), seen.outputs(Model.TEACHER, Split.TRAIN))
        if augment is None
        else (None, None)
    )
    if student is None or teacher is None or twin is not None:
        student, teacher = _scored(seen, batches, augment, VARIANT if twin is not None else "")
    if student.features is None:
        return "the student's head is fed something else than one row of features a sample"
    logits = student.logits * np.float32(seen.case.divided_since)
    head = seen.scorer.head(Model.STUDENT)
    assert head is not None
    weights = _weights(head) * (seen.case.folded_temperature or 1.0)
    order = seen.stack.class_order(Model.STUDENT, Split.TRAIN)
    if order is not None:  # it was moved after training
        logits = reorder(logits, order).astype(np.float32)
        weights = reorder(weights.T, order).T
    return TrainingView(
        student.features[: len(positions)], logits[: len(positions)],
        teacher.logits[: len(positions)], labels[positions], weights,
        head.bias is not None, augment is not None,
    )  # fmt: skip


def _scored(
    seen: Observations,
    batches: Sequence[NDArray[np.int64]],
    augment: Augment | None,
    variant: str,
) -> tuple[Outputs, Outputs]:
    """What both models say of one view a row, batch by batch: views are not kept."""
    rows = seen.rows(Split.TRAIN).labels
    found: dict[Model, list[Outputs]] = {model: [] for model in Model}
    for batch in batches:
        view = seen.inputs(Split.TRAIN, batch, "train")
        view = view if augment is None else augment(view)
        found[Model.STUDENT].append(
            seen.score(Model.STUDENT, view, rows[batch], variant=variant)
        )  # fmt: skip
        if augment is not None:
            found[Model.TEACHER].append(seen.score(Model.TEACHER, view, rows[batch]))
    # Without augmentation the teacher has been asked about these very rows.
    known = seen.outputs(Model.TEACHER, Split.TRAIN) if augment is None else None
    return joined(found[Model.STUDENT]), known or joined(found[Model.TEACHER])


def _weights(head: nn.Linear) -> NDArray[np.float64]:
    bias = head.bias if head.bias is not None else head.weight.new_zeros(head.out_features)
    weights = torch.cat([head.weight, bias.to(head.weight)[:, None]], dim=1)
    return weights.detach().cpu().double().numpy()


def _positions(rows: int, repeat: bool) -> NDArray[np.int64]:
    """Positions of the row-views; rows come again only where augmentation makes them new."""
    once = np.arange(min(rows, ROW_VIEWS))
    times = -(-LEAST_VIEWS // max(1, rows)) if repeat and rows < LEAST_VIEWS else 1
    return np.tile(once, times).astype(np.int64)
