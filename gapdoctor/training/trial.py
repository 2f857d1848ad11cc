"""One trial: trained once, in its own folder, resumable to the same numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from gapdoctor.training.callbacks import Callback, Running, watching
from gapdoctor.training.dropout import with_dropout
from gapdoctor.training.folder import TrialFolder
from gapdoctor.training.loop import Length, fit, step_count
from gapdoctor.training.materials import Materials
from gapdoctor.training.noted import trained_recipe
from gapdoctor.training.records import TrainingResult
from gapdoctor.training.students import initial_student, write_weights
from gapdoctor.training.trainer import train_by_user
from gapdoctor.training.views import Views, views_of

PieceOf = Callable[[Mapping[str, Any], Materials], Sequence[Callback]]
"""Builds the callbacks of a replaced piece of training from its plain arguments."""
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
    pieces: Mapping[str, PieceOf] | None = None,
    watching: Sequence[Callback] = (),
    save_every: float = SAVE_EVERY,
) -> TrialRecord:
    """Train one student as its spec says, or go on where its folder stands.

    Written into the folder: `spec.json`; `state.pt` after epochs, until it is done; at its end
    `history.csv`, `student.pt`, `outputs.npz` and last `done.json`. A folder with `done.json` is
    never trained again. Only half A is watched; early stopping and `plateau` go by it.

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
    pieces : mapping, optional
        What builds the pieces that the spec names.
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
        should_stop or (lambda: False), progress or Progress(), pieces or {}, watching, save_every,
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
    pieces: Mapping[str, PieceOf]
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
        return self.place.finish(self._record(trained, "done", loss=outputs.choosing_loss()))

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
        teacher = None if recipe.task_weight == 1 else materials.teacher
        with with_dropout(student, recipe.dropout, self._sample()):
            result = fit(
                student, teacher, materials.rows, recipe, Length(epochs=spec.epochs),
                seed=spec.seed, device=materials.device, views=self._views(recipe),
                anneal=spec.anneal, callbacks=self._callbacks(recipe), progress=progress,
                should_stop=self.conditions.should_stop, in_place=True, state=state,
            )  # fmt: skip
        share = result.steps / step_count(recipe, materials.rows.count, 1)
        return _Trained(result.student, round(share * materials.rows.count), result)

    def _by_user(self) -> _Trained:
        spec, materials = self.spec, self.materials
        if spec.pieces:
            raise GapDoctorError(
                f"{spec.fix}: changes the training loop, but recipe.trainer replaces it",
                "leave recipe.trainer out to try this fix",
            )
        student, recipe = initial_student(spec, materials.case), trained_recipe(spec)
        found = train_by_user(materials.case, student, materials.rows, recipe, spec.seed)
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
        """Pieces first: what is watched is the student as they leave it."""
        built: list[Callback] = []
        for name, arguments in self.spec.pieces.items():
            if name not in self.conditions.pieces:
                raise GapDoctorError(f"{self.spec.fix}: no piece of training is called {name}")
            built += self.conditions.pieces[name](arguments, self.materials)
        saver = _Saver(self.place, self._seconds, self.conditions.save_every)
        on_half_a = watching(recipe, self.materials.heldout.watched)
        return [*built, *on_half_a, saver, *self.conditions.watching]

    def _sample(self) -> torch.Tensor:
        return self.materials.rows.batch(np.arange(min(2, self.materials.rows.count))).inputs

    # -- what is said ------------------------------------------------------------------------

    def _seconds(self) -> float:
        return self.before + time.perf_counter() - self.started

    def _record(
        self, trained: _Trained, status: Any, *, loss: float | None = None, note: str = ""
    ) -> TrialRecord:
        spec = self.spec
        return TrialRecord(
            spec.fix, spec.seed, status, loss, self._seconds(), spec.start, note,
            trained.samples, trained.fields_read,
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
