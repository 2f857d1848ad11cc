"""What a step costs here: measured before anything is planned."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from gapdoctor.domain.recipe import Recipe
from gapdoctor.observe.case import Case
from gapdoctor.observe.observations import Settings
from gapdoctor.training.arms import continued_recipe
from gapdoctor.training.loop import Length, fit
from gapdoctor.training.materials import Materials
from gapdoctor.training.teacher import TeacherOutputs
from gapdoctor.training.views import Views, views_of

FEW, MORE = 2, 8
"""Steps of two short trainings: their difference is free of what comes before the first."""
LEAST = 1e-5
"""Seconds that a step takes, at least: a clock can be unlucky."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds, as `PlanOptions` takes them."""

    step: float
    view: float
    trial: float


def measure_pace(case: Case, recipe: Recipe, settings: Settings) -> Measured:
    """Time a few optimizer steps of a copy of the student, and one batch of the teacher.

    Parameters
    ----------
    case : Case
        Left as it was, if it can be trained and has a recipe of its own training or none.
    recipe : Recipe
        Completed.
    settings : Settings
        Device and batch size.
    """
    materials = Materials(case, settings)
    rows = materials.rows
    plain = continued_recipe(recipe)
    views = views_of(case, recipe)
    seen = Views() if isinstance(views, str) else views  # making them takes its time, too

    def seconds(steps: int) -> float:
        started = time.perf_counter()
        fit(
            case.student, None, rows, plain, Length(steps=steps),
            seed=settings.seed, device=materials.device, views=seen,
        )  # fmt: skip
        return time.perf_counter() - started

    seconds(FEW)  # rows are read, kernels chosen
    step = max(LEAST, (seconds(MORE) - seconds(FEW)) / (MORE - FEW))
    started = time.perf_counter()
    materials.heldout.outputs(case.student, materials.device)
    trial = time.perf_counter() - started
    return Measured(step, _teacher_seconds(materials, recipe.batch_size or 1), trial)


def _teacher_seconds(materials: Materials, batch_size: int) -> float:
    teacher: TeacherOutputs = materials.teacher
    inputs = materials.rows.batch(np.arange(min(batch_size, materials.rows.count))).inputs
    if not teacher.can_see:
        return 0.0
    with teacher.lent():
        teacher.of_view(inputs, batch_size)
        started = time.perf_counter()
        teacher.of_view(inputs, batch_size)
        return time.perf_counter() - started
