"""What may look on while a student trains: held-out loss, early stopping, or a caller's own."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn import functional

from gapdoctor.domain.recipe import Recipe
from gapdoctor.observe.head import as_logits
from gapdoctor.training.placement import fed
from gapdoctor.training.records import EpochRow, Stopped

Labelled = tuple[torch.Tensor, torch.Tensor]
"""Model-ready inputs (n, …) and labels (n,)."""


class Running(Protocol):
    """What a callback sees of a training."""

    student: nn.Module
    step: int
    """Steps taken."""
    stopped: Stopped
    """Why it ends here; empty: it does not, or all its steps are taken."""

    def stop(self, reason: Stopped) -> None:
        """End the training after this step or epoch."""

    def state(self) -> dict[str, Any]:
        """Return all that goes on from the last whole epoch to the same numbers."""


class Callback:
    """Does nothing; a subclass overrides what it needs."""

    def step_ended(self, run: Running, loss: float) -> None:
        """Look on after an optimizer step; `loss` is the batch's composite loss."""

    def epoch_ended(self, run: Running, row: EpochRow) -> EpochRow:
        """Look on after an epoch; return its row, perhaps with more in it."""
        return row

    def epoch_closed(self, run: Running) -> None:
        """Look on once all have seen the epoch: here `run.state()` may be taken."""

    def ended(self, run: Running) -> None:
        """Look on after the last step."""

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs to go on from here."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was taken."""


class HeldoutLoss(Callback):
    """Scores the student on held-out rows after each epoch, in eval mode.

    Parameters
    ----------
    read : callable
        Gives the batches of (inputs, labels) anew at each call. Only rows of half A: they choose.
    """

    def __init__(self, read: Callable[[], Iterable[Labelled]]) -> None:
        self._read = read

    def epoch_ended(self, run: Running, row: EpochRow) -> EpochRow:
        """Add held-out loss and accuracy to the row."""
        loss, right, count = 0.0, 0, 0
        run.student.eval()
        with torch.no_grad():
            for inputs, labels in self._read():
                logits, wanted = self._logits(run.student, inputs), labels.cpu()
                loss += float(functional.cross_entropy(logits, wanted, reduction="sum"))
                right += int((logits.argmax(1) == wanted).sum())
                count += len(labels)
        run.student.train()
        return replace(row, heldout_loss=loss / count, heldout_accuracy=right / count)

    def _logits(self, student: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        device = next(student.parameters()).device
        said = student(fed(inputs, student, device))
        return as_logits(said, "student", len(inputs)).cpu().double()


class EarlyStopping(Callback):
    """Ends a training whose held-out loss has not fallen for some epochs; keeps the best weights.

    Stands behind `HeldoutLoss`.

    Parameters
    ----------
    patience : int
        Epochs without a new minimum that are waited for (Prechelt 1998, the criterion UP).
    after : int
        First epochs that do not count: in a stage of hints the head learns nothing.
    """

    def __init__(self, patience: int, after: int = 0) -> None:
        self._patience, self._after = patience, after
        self._best, self._waited = math.inf, 0
        self._weights: dict[str, torch.Tensor] | None = None

    def epoch_ended(self, run: Running, row: EpochRow) -> EpochRow:
        """Compare the held-out loss with the best so far."""
        if row.epoch <= self._after:
            return row
        loss = math.inf if row.heldout_loss is None else row.heldout_loss
        if loss < self._best:
            self._best, self._waited = loss, 0
            self._weights = copy.deepcopy(run.student.state_dict())
            return row
        self._waited += 1
        if self._waited >= self._patience:
            run.stop("early")
        return row

    def ended(self, run: Running) -> None:
        """Put the best weights back."""
        if self._weights is not None:
            run.student.load_state_dict(self._weights)

    def state(self) -> dict[str, Any]:
        """Return the best so far."""
        return {"best": self._best, "waited": self._waited, "weights": self._weights}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._best, self._waited = state["best"], state["waited"]
        self._weights = state["weights"]


def watching(
    recipe: Recipe, read: Callable[[], Iterable[Labelled]]
) -> tuple[HeldoutLoss, *tuple[Callback, ...]]:
    """Return what watches half A while a recipe runs: its loss, and its early stopping."""
    if not recipe.early_stopping:
        return (HeldoutLoss(read),)
    hints = (recipe.hint_epochs or 0) if recipe.feature_loss is not None else 0
    return (HeldoutLoss(read), EarlyStopping(recipe.early_stopping, hints))
