"""The head solved anew on the features that it is fed: what would the best one win back?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from gapdoctor.domain.findings import Floats
from gapdoctor.stats.calibration import cross_entropy, kl, log_softmax
from gapdoctor.stats.head import head_gradients

ITERATIONS = 60
"""Of L-BFGS, at most: a convex problem in scaled columns settles sooner."""
CHECKED_EVERY = 5
"""Iterations between two looks at the rows that are left out."""


@dataclass(frozen=True, slots=True)
class HeadLoss:
    """task_weight · cross-entropy + (1 − task_weight) · T² · KL(teacher ‖ student), a head apart.

    Arrays as in `head_gradients`; the loss is that of `gapdoctor.domain.recipe.Recipe`.
    """

    features: NDArray[np.float32]
    """(n, d)"""
    teacher: NDArray[np.float32]
    """(n, C) logits."""
    labels: NDArray[np.int64]
    """(n,)"""
    task_weight: float
    temperature: float
    label_smoothing: float = 0.0
    biased: bool = True
    """Whether the head has a bias to move."""

    def of(self, head: Floats, rows: NDArray[np.int64]) -> float:
        """Return the mean loss of some rows under a head (C, d + 1), nats."""
        logits = self._logits(head, rows)
        smooth = -float(log_softmax(logits).mean())
        task = (1 - self.label_smoothing) * float(cross_entropy(logits, self.labels[rows]).mean())
        apart = float(kl(self.teacher[rows], logits, self.temperature).mean())
        return (
            self.task_weight * (task + self.label_smoothing * smooth)
            + (1 - self.task_weight) * self.temperature**2 * apart
        )

    def slope(self, head: Floats, rows: NDArray[np.int64]) -> Floats:
        """Return its gradient, (C, d + 1)."""
        found = head_gradients(
            self.features[rows], self._logits(head, rows), self.teacher[rows], self.labels[rows],
            temperature=self.temperature, label_smoothing=self.label_smoothing,
        )  # fmt: skip
        whole = self.task_weight * found.task + (1 - self.task_weight) * found.distillation
        if not self.biased:
            whole[:, -1] = 0.0
        return np.asarray(whole)

    def _logits(self, head: Floats, rows: NDArray[np.int64]) -> Floats:
        return np.asarray(self.features[rows].astype(np.float64) @ head[:, :-1].T + head[:, -1])


def refit_share(loss: HeadLoss, head: ArrayLike, fitted: NDArray[np.bool_]) -> float:
    """Return the share of the loss in force that the best head on the same features wins back.

    Convex in the head: solved by L-BFGS from the head given (Nocedal 1980) on the rows of `fitted`,
    scored on the others, and stopped where those gain most, so that few rows cannot make it look
    worse than the head given.

    Parameters
    ----------
    loss : HeadLoss
        What was minimised.
    head : array (C, d + 1)
        The head given, bias in the last column.
    fitted : bool array (n,)
        Rows that the head is solved on; the others are asked.

    Returns
    -------
    float
        0 to 1: 0 is a head that has come to rest. NaN where nothing is left to win.
    """
    given = np.asarray(head, dtype=np.float64)
    inside, outside = np.flatnonzero(fitted), np.flatnonzero(~fitted)
    spread = loss.features[inside].astype(np.float64).std(axis=0)
    # Columns of one scale: dead ones stay where they are, and L-BFGS needs no more.
    scale = np.append(1.0 / np.where(spread > 0, spread, 1.0), 1.0)
    before = loss.of(given, outside)
    best = [before]
    seen = 0

    def at(flat: Floats) -> tuple[float, Floats]:
        found = flat.reshape(given.shape) * scale
        return loss.of(found, inside), (loss.slope(found, inside) * scale).ravel()

    def look(xk: Floats) -> None:
        nonlocal seen
        seen += 1
        if seen % CHECKED_EVERY == 0:
            best.append(loss.of(xk.reshape(given.shape) * scale, outside))

    solved = minimize(
        at, (given / scale).ravel(), jac=True, method="L-BFGS-B", callback=look,
        options={"maxiter": ITERATIONS},
    )  # fmt: skip
    best.append(loss.of(solved.x.reshape(given.shape) * scale, outside))
    return (before - min(best)) / before if before > 0 else float("nan")
