"""One trial, with a watcher told of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from gapdoctor.domain.trials import TrialRecord, TrialSpec
from gapdoctor.engines._base import Watcher
from gapdoctor.observe.progress import Progress
from gapdoctor.training.callbacks import Callback, Running
from gapdoctor.training.folder import TrialFolder
from gapdoctor.training.group import run_group
from gapdoctor.training.loop import step_count
from gapdoctor.training.materials import Materials
from gapdoctor.training.records import EpochRow

EVERY = 0.25
"""Seconds between two messages, at least."""


def run_told(
    spec: TrialSpec,
    materials: Materials,
    folder: Path,
    should_stop: Callable[[], bool],
    watcher: Watcher,
) -> TrialRecord:
    """Run a trial that is not done, in its folder."""
    done = TrialFolder(folder / spec.name).done()
    if done is not None:
        watcher.ended(spec.name, done)
        return done
    if should_stop():
        late = spec.record("not_reached", note="not reached in the budget")
        watcher.ended(spec.name, late)
        return late
    watcher.started(spec.name, step_count(spec.recipe, materials.count_of(spec), spec.epochs))
    steps = _Steps(spec.name, watcher)
    (record,) = run_group(
        [spec], materials, folder,
        should_stop=should_stop, progress=steps, watching=(_Epochs(spec.name, watcher),),
    )  # fmt: skip
    steps.close()
    watcher.ended(spec.name, record)
    return record


class _Steps(Progress):
    """Passes steps on, a few at once."""

    def __init__(self, trial: str, watcher: Watcher) -> None:
        self._trial, self._watcher = trial, watcher
        self._waiting, self._last = 0, time.monotonic()

    def advance(self, units: int = 1) -> None:
        """Collect; tell now and then."""
        self._waiting += units
        if time.monotonic() - self._last >= EVERY:
            self.close()

    def close(self) -> None:
        """Tell what is left."""
        if self._waiting:
            self._watcher.advanced(self._trial, self._waiting)
        self._waiting, self._last = 0, time.monotonic()


class _Epochs(Callback):
    """Passes the held-out loss of each epoch on."""

    def __init__(self, trial: str, watcher: Watcher) -> None:
        self._trial, self._watcher = trial, watcher

    def epoch_ended(self, run: Running, row: EpochRow) -> EpochRow:
        """Tell the loss on half A."""
        if row.heldout_loss is not None:
            self._watcher.epoch(self._trial, row.heldout_loss)
        return row
