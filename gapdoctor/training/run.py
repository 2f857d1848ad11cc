"""A training under way: short methods, one a level."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gapdoctor.observe.borrow import own_random_state
from gapdoctor.observe.progress import Progress
from gapdoctor.training.batches import batch_count, batches_of, order_of
from gapdoctor.training.callbacks import Callback
from gapdoctor.training.optimizers import make_optimizer, set_lr
from gapdoctor.training.records import EpochRow, Stopped
from gapdoctor.training.rows import Indices, TrainingRows
from gapdoctor.training.schedules import LearningRate
from gapdoctor.training.step import Gradients
from gapdoctor.training.views import number


@dataclass
class Sums:
    """Losses of an epoch, summed over rows."""

    rows: int = 0
    total: float = 0.0
    task: float = 0.0
    distillation: float | None = None

    def add(self, rows: int, values: Sequence[float]) -> None:
        """Add the mean losses of a batch: total, task, and distillation with a teacher."""
        self.rows += rows
        self.total += rows * values[0]
        self.task += rows * values[1]
        if len(values) > 2:
            self.distillation = (self.distillation or 0.0) + rows * values[2]


@dataclass
class Run:
    """A training; `gapdoctor.training.loop.fit` builds it, callbacks see it."""

    gradients: Gradients
    rows: TrainingRows
    rate: LearningRate
    steps: int
    seed: int
    callbacks: Sequence[Callback]
    progress: Progress
    should_stop: Callable[[], bool]
    step: int = 0
    epoch: int = 0
    stopped: Stopped = ""
    history: list[EpochRow] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.student = self.gradients.student
        self.features = self.gradients.features
        self.optimizer = make_optimizer(self.student.parameters(), self.gradients.recipe)
        self.batch_size = self.gradients.recipe.batch_size or 1

    def stop(self, reason: Stopped) -> None:
        """End the training after this step or epoch."""
        self.stopped = self.stopped or reason

    def go(self) -> None:
        """Run all epochs."""
        if self._meets_every_row():
            self.gradients.ask_teacher()
        while self.step < self.steps and not self.stopped:
            with own_random_state(number(self.seed, self.epoch)):
                self._epoch()
        if not self._is_finite():
            self.stopped = "diverged"
        for callback in self.callbacks:
            callback.ended(self)

    def state(self) -> dict[str, Any]:
        """Return all that goes on from the last whole epoch to the same numbers.

        Its tensors are those in use: save or copy them at once.
        """
        return {
            "student": self.student.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rate": self.rate.state(),
            "callbacks": [callback.state() for callback in self.callbacks],
            "history": list(self.history),
            "step": self.step,
            "epoch": self.epoch,
            "stopped": self.stopped,
            "part_rows": self.gradients.part_rows,
            "features": None if self.features is None else self.features.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state` was taken."""
        self.student.load_state_dict(state["student"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.rate.restore(state["rate"])
        # those that only look on stand last: they may be others than before
        for callback, kept in zip(self.callbacks, state["callbacks"], strict=False):
            callback.restore(kept)
        self.history = list(state["history"])
        self.step, self.epoch, self.stopped = state["step"], state["epoch"], state["stopped"]
        self.gradients.part_rows = state["part_rows"]
        if self.features is not None:
            self.features.restore(state["features"])

    # -- an epoch, a batch, a step -----------------------------------------------------------

    def _epoch(self) -> None:
        sums = Sums()
        self.gradients.epoch = self.epoch
        order = order_of(self.seed, self.epoch, self.rows.count)
        for place, index in enumerate(batches_of(order, self.batch_size)):
            if self.step < self.steps and not self.stopped:
                self._batch(place, index, sums)
        self.epoch += 1
        if sums.rows or self.stopped == "diverged":
            self._write_down(sums)
        if not self.stopped:
            self._close()

    def _write_down(self, sums: Sums) -> None:
        lost = self.stopped == "diverged"
        rows = max(1, sums.rows)
        taught = None if sums.distillation is None else sums.distillation / rows
        total, task = (math.nan if lost else x / rows for x in (sums.total, sums.task))
        lr = self.rate.at(max(0, self.step - 1))
        self.history.append(EpochRow(self.epoch, self.step, total, task, taught, lr))

    def _close(self) -> None:
        """Let callbacks and schedule see an epoch; only then may its state be taken."""
        row = self.history[-1]
        for callback in self.callbacks:
            self.history[-1] = row = callback.epoch_ended(self, row)
        if not self.gradients.hints:  # its head has learned nothing yet
            self.rate.epoch_ended(row.train_loss if row.heldout_loss is None else row.heldout_loss)
        for callback in self.callbacks:
            callback.epoch_closed(self)

    def _batch(self, place: int, index: Indices, sums: Sums) -> None:
        if self.should_stop():
            self.stop("asked")
            return
        batch = self.rows.batch(index)
        values = self.gradients.of(batch, number(self.seed, self.epoch, place))
        if not all(math.isfinite(value) for value in values):
            self.stop("diverged")
            return
        set_lr(self.optimizer, self.rate.at(self.step))
        self.optimizer.step()
        if self.features is not None:
            self.features.step(self.rate.at(self.step))
        self.step += 1
        sums.add(len(index), values)
        self.progress.advance()
        for callback in self.callbacks:
            callback.step_ended(self, values[0])

    def _meets_every_row(self) -> bool:
        """Whether the teacher had better be asked about all rows at once, in their order."""
        an_epoch = batch_count(self.rows.count, self.batch_size)
        return not self.gradients.views.change and self.steps >= an_epoch

    def _is_finite(self) -> bool:
        return all(bool(p.isfinite().all()) for p in self.student.parameters())
