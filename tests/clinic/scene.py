"""A pair with its data as a fault finds it, and how much a fault hurts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from gapdoctor.domain.findings import Interval
from gapdoctor.stats.intervals import mean_interval
from tests.clinic.data import SOURCES, Source
from tests.clinic.models import Student, StudentSpec, cell_of, student_of, teacher_of
from tests.clinic.pipelines import AnyPipeline
from tests.clinic.sources.drawn import Drawn
from tests.clinic.training import losses_of


@dataclass(frozen=True, eq=False)
class Scene:
    """What a case is made of."""

    spec: StudentSpec
    student: nn.Module
    teacher: nn.Module
    curves: Any
    train: Drawn
    heldout: Drawn
    before: AnyPipeline
    """The train pipeline."""
    after: AnyPipeline
    """The inference pipeline."""

    @property
    def source(self) -> Source:
        """The data set."""
        return SOURCES[cell_of(self.spec.cell).source]

    def with_(self, **fields: Any) -> Scene:
        """Return a changed copy."""
        return replace(self, **fields)


def scene_of(spec: StudentSpec) -> Scene:
    """Return a student with its data, without any fault at inference."""
    student: Student = student_of(spec)
    source = SOURCES[cell_of(spec.cell).source]
    return Scene(
        spec,
        student.model,
        teacher_of(source.name, spec.teacher),
        student.curves,
        student.train,
        source.heldout(priors=spec.priors),
        source.pipeline,
        source.pipeline,
    )


def student_losses(scene: Scene) -> np.ndarray:
    """Return the held-out losses (n,) of the student as deployed."""
    return losses_of(scene.student, scene.after(scene.heldout.raw), _labels(scene))


def teacher_losses(scene: Scene, *, as_deployed: bool = False) -> np.ndarray:
    """Return the held-out losses (n,) of the teacher, through the train pipeline unless said."""
    pipeline = scene.after if as_deployed else scene.before
    return losses_of(scene.teacher, pipeline(scene.heldout.raw), _labels(scene))


def difference(worse: np.ndarray, better: np.ndarray) -> Interval:
    """Return mean(worse) − mean(better) with its interval: paired where the rows are as many."""
    rng = np.random.default_rng(0)
    if len(worse) == len(better):
        return mean_interval(worse - better, rng)
    one, other = mean_interval(worse, rng), mean_interval(better, rng)
    value = one.value - other.value
    half = float(np.hypot(one.high - one.value, other.value - other.low))
    return Interval(value, value - half, value + half)


def excess(scene: Scene, *, as_deployed: bool = False) -> float:
    """Return student − teacher, held-out loss."""
    return float(
        student_losses(scene).mean() - teacher_losses(scene, as_deployed=as_deployed).mean()
    )


def _labels(scene: Scene) -> torch.Tensor:
    return torch.from_numpy(scene.heldout.labels)
