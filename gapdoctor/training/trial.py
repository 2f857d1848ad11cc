"""One trial: trained once, in its own folder, resumable to the same numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gapdoctor.domain.recipe import Recipe
from gapdoctor.domain.trials import TrialRecord, TrialSpec
from gapdoctor.errors import GapDoctorError, IncompleteRun, OutputError
from gapdoctor.observe.case import Case
from gapdoctor.observe.observations import Settings
from gapdoctor.observe.progress import Progress
from gapdoctor.training.averaging import averaging_of
from gapdoctor.training.callbacks import Callback, Running, watching
from gapdoctor.training.dropout import with_dropout
from gapdoctor.training.folder import TrialFolder
from gapdoctor.training.folds import FoldLoss
from gapdoctor.training.loop import Length, fit, step_count
from gapdoctor.training.materials import Materials
from gapdoctor.training.noted import trained_recipe
from gapdoctor.training.records import TrainingResult
from gapdoctor.training.rows import TrainingRows
from gapdoctor.training.students import initial_student, write_weights
from gapdoctor.training.trainer import train_by_user
from gapdoctor.training.views import Views, views_of

SAVE_EVERY = 1.0
"""Seconds between two savings of the state, at least: so much work is lost at most, beside the
epoch under way. Writing to disk costs more than a short epoch."""


def run_trial(
    spec: TrialSpec,
    case: Case | Materials,
    folder: Path,
    *,
    settings: Settings | None = None,
    should_stop: Callable[[], bool] | None = None,
    progress: Progress | None = None,
    watching: Sequence[Callback] = (),
    save_every: float = SAVE_EVERY,
) -> TrialRecord:
    """Train one student as its spec says, or go on where its folder stands.

    Written into the folder: `spec.json`; `state.pt` after epochs, until it is done; at its end
    `history.csv`, `student.pt`, `outputs.npz` and last `done.json`. A folder with `done.json` is
    never trained again. Only half A is watched; early stopping and `plateau` go by it. A trial that
    leaves a fold of the train rows out watches these rows instead, and leaves `fold.npz` too.

    Parameters
    ----------
    spec : TrialSpec
        Fields of its recipe that are unknown are assumed (`gapdoctor.training.defaults`).
    case : Case or Materials
        With free corrections in force; `Materials` share what was read between trials.
    folder : Path
        Of this trial alone.
    settings : Settings, optional
        Of the materials, where a case is given.
    should_stop : callable, optional
        Asked before each step; a trainer of the user's own is not interrupted.
    progress : Progress, optional
        Advanced by one a step, by those taken before an interruption at once.
    watching : sequence of Callback
        Look on as well, behind all else; they change nothing.
    save_every : float
        Seconds between two savings of the state; 0: after each epoch.

    Returns
    -------
    TrialRecord
        `done`; `failed` where the training diverged, which is final; `not_reached` where it was
        stopped, its state kept.

    Raises
    ------
    IncompleteRun
        When the disk is full or the folder cannot be written; what was finished is kept.
    GapDoctorError
        When the trial cannot be run as it is, or code of the user's failed.
    """
    conditions = Conditions(
        case if isinstance(case, Materials) else Materials(case, settings),
        should_stop or (lambda: False), progress or Progress(), watching, save_every,
    )  # fmt: skip
    try:
        return conditions.trial(spec, folder)
    except OutputError as error:
        raise IncompleteRun(error.message, error.hint) from error


@dataclass(frozen=True)
class Conditions:
    """How trials run, whichever they are; see `run_trial`."""

    materials: Materials
    should_stop: Callable[[], bool]
    progress: Progress
    watching: Sequence[Callback]
    save_every: float

    def trial(self, spec: TrialSpec, folder: Path) -> TrialRecord:
        """Run a trial; other than `run_trial` it raises OutputError where the disk is full."""
        place = TrialFolder(folder)
        return place.claim(spec) or _Trial(spec, self, place).run()


@dataclass(frozen=True)
class _Trained:
    """A student after training, whoever trained it."""

    student: nn.Module
    samples: int
    result: TrainingResult | None = None
    """Of gapdoctor's own loop."""
    fields_read: tuple[str, ...] | None = None


@dataclass
class _Trial:
    """A trial under way."""

    spec: TrialSpec
    conditions: Conditions
    place: TrialFolder
    started: float = field(init=False)
    before: float = 0.0
    """Seconds spent before an interruption."""

    def __post_init__(self) -> None:
        self.materials = self.conditions.materials
        self.started = time.perf_counter()

    @cached_property
    def fold(self) -> FoldLoss | None:
        """What watches the train rows that are left out; None where none are."""
        fold = self.materials.fold_of(self.spec)
        return None if fold is None else FoldLoss(fold)

    def run(self) -> TrialRecord:
        """Train, score, write down."""
        by_user = self.materials.case.trainer is not None
        trained = self._by_user() if by_user else self._by_loop()
        result = trained.result
        if result is not None:
            if result.stopped == "asked":
                return self._record(trained, "not_reached", note=self._how_far(result))
            self.place.write_history(result.history)
        if not _is_finite(trained.student) or (result is not None and result.diverged):
            return self.place.finish(self._record(trained, "failed", note=_diverged(result)))
        outputs = self.materials.heldout.outputs(trained.student, self.materials.device)
        write_weights(trained.student, self.place.weights)
        outputs.write(self.place.outputs)
        loss = outputs.choosing_loss() if self.fold is None else self._of_fold(trained.student)
        return self.place.finish(self._record(trained, "done", loss=loss))

    def _of_fold(self, student: nn.Module) -> float:
        """Write down what the student says of the rows that it lacked; return its loss there."""
        assert self.fold is not None
        size = self.materials.settings.batch_size
        found = self.fold.outputs(student, self.materials.device, size)
        found.write(self.place.fold)
        return found.loss()

    # -- training ----------------------------------------------------------------------------

    def _by_loop(self) -> _Trained:
        spec, materials, progress = self.spec, self.materials, self.conditions.progress
        student = initial_student(spec, materials.case)
        # the schedule spans the epochs of the recipe, of which the trial may take fewer
        recipe = replace(trained_recipe(spec), epochs=spec.recipe.epochs)
        state = self.place.state()
        if state is not None:
            self.before = state["seconds"]
            progress.advance(state["step"])
        teacher = materials.outputs_for(recipe)
        rows = self._left(materials.rows if teacher is None else teacher.rows)
        with with_dropout(student, recipe.dropout, self._sample()):
            result = fit(
                student, teacher, rows, recipe, Length(epochs=spec.epochs),
                seed=spec.seed, device=materials.device, views=self._views(recipe),
                anneal=spec.anneal, callbacks=self._callbacks(recipe), progress=progress,
                should_stop=self.conditions.should_stop, in_place=True, state=state,
            )  # fmt: skip
        share = result.steps / step_count(recipe, rows.count, 1)
        return _Trained(result.student, round(share * rows.count), result)

    def _left(self, rows: TrainingRows) -> TrainingRows:
        """All train rows but those of the fold."""
        return rows if self.fold is None else self.fold.fold.without(rows)

    def _by_user(self) -> _Trained:
        spec, materials = self.spec, self.materials
        if spec.fold is not None:
            raise GapDoctorError(
                f"{spec.fix}: recipe.trainer tells no loss of the rows left out after each epoch",
                "leave recipe.trainer out to try this fix",
            )
        student, recipe = initial_student(spec, materials.case), trained_recipe(spec)
        case = materials.case_for(recipe)
        found = train_by_user(case, student, materials.rows, recipe, spec.seed)
        count = materials.rows.count
        self.conditions.progress.advance(step_count(recipe, count))
        return _Trained(found.student, spec.epochs * count, fields_read=found.fields_read)

    def _views(self, recipe: Recipe) -> Views:
        """Of an augmentation that nobody knows, none."""
        case = self.materials.case
        if recipe.augment is None and case.augment is None:
            return Views()
        views = views_of(case, recipe)
        if isinstance(views, str):
            raise GapDoctorError(f"recipe.augment: {views}", "give [recipe] augment = []")
        return views

    def _callbacks(self, recipe: Recipe) -> list[Callback]:
        """The average first: what is watched is the student as it would be written."""
        saver = _Saver(self.place, self._seconds, self.conditions.save_every)
        watched = watching(recipe, self.materials.heldout.watched)
        if self.fold is not None:
            watched = (self.fold, *watched[1:])
        rows = self._left(self.materials.rows)
        averaging = averaging_of(recipe, step_count(recipe, rows.count, self.spec.epochs), rows)
        return [*averaging, *watched, saver, *self.conditions.watching]

    def _sample(self) -> torch.Tensor:
        return self.materials.rows.batch(np.arange(min(2, self.materials.rows.count))).inputs

    # -- what is said ------------------------------------------------------------------------

    def _seconds(self) -> float:
        return self.before + time.perf_counter() - self.started

    def _record(
        self, trained: _Trained, status: Any, *, loss: float | None = None, note: str = ""
    ) -> TrialRecord:
        return self.spec.record(
            status, heldout_loss=loss, seconds=self._seconds(), note=note,
            trained_samples=trained.samples, fields_read=trained.fields_read,
        )  # fmt: skip

    def _how_far(self, result: TrainingResult) -> str:
        whole = sum(row.heldout_loss is not None for row in result.history)
        return f"stopped after {whole} of {self.spec.epochs} epochs"


class _Saver(Callback):
    """Keeps the state of a training, not too often."""

    def __init__(self, place: TrialFolder, seconds: Callable[[], float], every: float) -> None:
        self._place, self._seconds, self._every = place, seconds, every
        self._last = time.perf_counter()

    def epoch_closed(self, run: Running) -> None:
        """Save the state, where the last saving was long enough ago."""
        now = time.perf_counter()
        if now - self._last >= self._every:
            self._last = now
            self._place.save_state(run.state(), self._seconds())


def _is_finite(student: nn.Module) -> bool:
    return all(bool(p.isfinite().all()) for p in student.parameters())


def _diverged(result: TrainingResult | None) -> str:
    if result is None or not result.history:
        return "the training diverged: weights that are not finite"
    return f"the training diverged in epoch {result.history[-1].epoch}"
