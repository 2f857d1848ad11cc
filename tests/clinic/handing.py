"""What a user would hand over of a scene: the live case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from gapdoctor.domain.recipe import Optimizer, Recipe, Schedule
from tests.clinic.models import StudentSpec, cell_of, fresh, usual
from tests.clinic.pipelines import (
    AnyPipeline,
    ImagePipeline,
    SoundPipeline,
    TablePipeline,
    one_view,
)
from tests.clinic.scene import Scene
from tests.clinic.training import Plan

if TYPE_CHECKING:
    from gapdoctor.observe.case import Case


@dataclass(frozen=True)
class Known:
    """What the user hands over beside the two models and the rows."""

    pipelines: bool
    recipe: bool
    history: bool
    one_by_one: bool = False
    """Pipelines take one raw sample instead of a batch."""
    harmless: bool = False
    """The two pipelines differ by something that does not matter."""
    rows: int | None = None
    """Only so many rows of each split."""


def case_of(scene: Scene, known: Known, declared: Plan) -> Case:
    """Return what a user would hand over."""
    from gapdoctor.observe.case import Case, Pipeline, Preprocess

    spec = scene.spec
    train, heldout = (
        rows if known.rows is None else rows.first(known.rows)
        for rows in (scene.train, scene.heldout)
    )
    given: dict[str, Any] = {}
    if known.pipelines:
        before = Pipeline(_call(scene.before, known), not known.one_by_one, "train pipeline")
        after = before
        if scene.after is not scene.before or known.harmless:
            other = _harmless(scene.after) if known.harmless else scene.after
            after = Pipeline(_call(other, known), not known.one_by_one, "inference pipeline")
        given["preprocess"] = Preprocess(train=before, inference=after)
        given["train"] = (train.raw, train.labels)
        given["heldout"] = (heldout.raw, heldout.labels)
    else:
        given["train"] = (scene.before(train.raw), torch.from_numpy(train.labels))
        given["heldout"] = (scene.after(heldout.raw), torch.from_numpy(heldout.labels))
    if known.recipe:
        given |= _recipe_fields(scene, declared)
    return Case(
        student=scene.student,
        teacher=scene.teacher,
        classes=scene.source.classes,
        history=_history(scene) if known.history else None,
        student_factory=lambda: fresh(spec),
        larger_factory=lambda: fresh(spec, _larger(spec)),
        **given,
    )


def _call(pipeline: AnyPipeline, known: Known) -> Callable[[Any], torch.Tensor]:
    return pipeline.one if known.one_by_one else pipeline


def _harmless(pipeline: AnyPipeline) -> AnyPipeline:
    """Divided by 256 for 255; a fifth of a decibel; a deviation with n − 1 for n."""
    if isinstance(pipeline, ImagePipeline):
        return replace(pipeline, scale=256.0)
    if isinstance(pipeline, SoundPipeline):
        return replace(pipeline, gain=0.2)
    assert isinstance(pipeline, TablePipeline)
    return replace(pipeline, std=tuple(s * 1.0003 for s in pipeline.std))


def _recipe_fields(scene: Scene, declared: Plan) -> dict[str, Any]:
    given: dict[str, Any] = {"recipe": recipe_of(declared, scene.source.augment_names)}
    if declared.augmented:
        given["augment"] = one_view(scene.source.augment)
    return given


def recipe_of(plan: Plan, augment: tuple[str, ...]) -> Recipe:
    """Return a plan as the user would write it down."""
    return Recipe(
        epochs=plan.epochs,
        batch_size=plan.batch_size,
        optimizer=Optimizer(plan.optimizer),
        lr=plan.lr,
        momentum=0.9 if plan.optimizer == "sgd" else None,
        weight_decay=plan.weight_decay,
        schedule=Schedule.COSINE if plan.cosine else Schedule.CONSTANT,
        task_weight=plan.task_weight,
        temperature=plan.temperature,
        scale_by_t2=plan.scale_by_t2,
        augment=augment if plan.augmented else (),
        label_smoothing=plan.label_smoothing,
        early_stopping=0,
    )


def _history(scene: Scene) -> pd.DataFrame:
    curves = scene.curves
    return pd.DataFrame(
        {
            "epoch": range(1, len(curves.train_loss) + 1),
            "train_loss": curves.train_loss,
            "heldout_loss": curves.heldout_loss,
            "heldout_accuracy": curves.heldout_accuracy,
            "lr": curves.lr,
        }
    )


def _larger(spec: StudentSpec) -> int:
    """Twice as wide, and at least as wide as usual."""
    return max(2 * spec.width, usual(cell_of(spec.cell), 0).width)
