"""What a step costs here: measured before anything is planned."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
from torch import nn

from gapdoctor.domain.recipe import Recipe
from gapdoctor.fixes._costs import Pace
from gapdoctor.observe.borrow import own_random_state
from gapdoctor.observe.case import Case
from gapdoctor.observe.observations import Settings
from gapdoctor.training.arms import continued_recipe
from gapdoctor.training.callbacks import Callback, Running
from gapdoctor.training.loop import Length, fit
from gapdoctor.training.materials import Materials
from gapdoctor.training.teacher import TeacherOutputs
from gapdoctor.training.views import Views, views_of

UNTIMED = 3
"""Steps before the first that counts: rows are read, kernels chosen."""
STEPS = (8, 32)
"""Steps that are timed: at least, at most."""
SECONDS = 0.25
"""After so long no more are timed, once there are enough."""
ROUNDS = 3
"""Times that scoring and the teacher are timed."""
WATCHED = 0.5
"""Share of the held-out rows that is scored after each epoch, about: half A."""
LEAST = 1e-5
"""Seconds that a step takes, at least: a clock can be unlucky."""


def measure_pace(
    case: Case, recipe: Recipe, settings: Settings, steps: int = 1, *, larger: bool = False
) -> Pace:
    """Time some optimizer steps of a copy of the student, and one batch of the teacher.

    Medians are taken: another program that takes the processor for a moment is no pace.

    Parameters
    ----------
    case : Case
        Left as it was, if it can be trained and has a recipe of its own training or none.
    recipe : Recipe
        Completed.
    settings : Settings
        Device and batch size.
    steps : int
        Of an epoch: after each, half A is scored, which a step bears its share of.
    larger : bool
        Whether steps of the larger student are timed too.
    """
    materials = Materials(case, settings)
    views = views_of(case, recipe)
    seen = Views() if isinstance(views, str) else views  # making them takes its time, too
    timing = partial(_step_seconds, materials, recipe, seen)
    step = timing(case.student)
    more = 1.0
    if larger and case.larger_factory is not None:
        with own_random_state(settings.seed):
            more = timing(case.larger_factory()) / step
    student = case.student
    trial = _median_seconds(lambda: materials.heldout.outputs(student, materials.device))
    watched = WATCHED * trial / max(1, steps)
    return Pace(step + watched, _teacher_seconds(materials, recipe.batch_size or 1), trial, more)


def _step_seconds(materials: Materials, recipe: Recipe, views: Views, student: nn.Module) -> float:
    clock = _Clock()
    fit(
        student, None, materials.rows, continued_recipe(recipe), Length(steps=UNTIMED + STEPS[1]),
        seed=materials.settings.seed, device=materials.device, views=views, callbacks=[clock],
        should_stop=clock.enough,
    )  # fmt: skip
    return max(LEAST, clock.step)


class _Clock(Callback):
    """Notes when each step ended."""

    def __init__(self) -> None:
        self._ends: list[float] = []

    def step_ended(self, run: Running, loss: float) -> None:
        """Note the time."""
        self._ends.append(time.perf_counter())

    def enough(self) -> bool:
        """Tell whether no more steps are to be timed."""
        timed = self._ends[UNTIMED - 1 :]
        return len(timed) > STEPS[0] and timed[-1] - timed[0] > SECONDS

    @property
    def step(self) -> float:
        """Seconds of one; 0 where too few ended."""
        spans = np.diff(self._ends[UNTIMED - 1 :])
        return float(np.median(spans)) if len(spans) else 0.0


def _teacher_seconds(materials: Materials, batch_size: int) -> float:
    teacher: TeacherOutputs = materials.teacher
    inputs = materials.rows.batch(np.arange(min(batch_size, materials.rows.count))).inputs
    if not teacher.can_see:
        return 0.0
    with teacher.lent():
        return _median_seconds(lambda: teacher.of_view(inputs, batch_size))


def _median_seconds(call: Callable[[], object]) -> float:
    """Of a few calls, after one that does not count."""
    call()
    spans = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        call()
        spans.append(time.perf_counter() - started)
    return float(np.median(spans))
