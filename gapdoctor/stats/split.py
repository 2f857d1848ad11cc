"""The exact split of the excess loss into fit deficit and excess gap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gapdoctor.domain.findings import Floats, Interval
from gapdoctor.stats.intervals import bootstrap_means, interval_of

MIN_LIMIT = 0.05
"""Nats: no gap below this is worth treating, however good the teacher is."""
LIMIT_SHARE = 0.1
"""Share of the teacher's held-out loss that a gap must exceed to be worth treating."""


@dataclass(frozen=True, slots=True)
class SplitResult:
    """excess = fit_deficit + excess_gap, exactly, in `value`. All in nats."""

    excess: Interval
    """L_heldout(student) − L_heldout(teacher)."""
    fit_deficit: Interval
    """D = L_train(student) − L_train(teacher), over the kept train rows."""
    excess_gap: Interval
    """E = excess − D."""
    student_generalization: Interval
    """L_heldout − L_train of the student, over all rows."""
    teacher_generalization: Interval
    noise_floor: float
    """Half the width of the excess's interval."""


def exact_split(
    train_student: ArrayLike,
    train_teacher: ArrayLike,
    heldout_student: ArrayLike,
    heldout_teacher: ArrayLike,
    rng: np.random.Generator,
    *,
    groups: ArrayLike | None = None,
    train_keep: ArrayLike | None = None,
) -> SplitResult:
    """Split the student's excess held-out loss against the teacher as its control.

    L_ho(S) − L_ho(T) = [L_tr(S) − L_tr(T)] + [(L_ho − L_tr)(S) − (L_ho − L_tr)(T)]: an identity.
    The two splits are resampled apart, both models on the same rows of a split.

    Parameters
    ----------
    train_student, train_teacher : array (n_train,)
        Loss of each train row, nats.
    heldout_student, heldout_teacher : array (n_heldout,)
        Loss of each held-out row, nats.
    rng : Generator
        The only source of randomness.
    groups : array (n_heldout,), optional
        One id a held-out row; whole groups are resampled.
    train_keep : boolean array (n_train,), optional
        Train rows over which D and E are taken (those whose label the teacher does not reject).
        Only these two change.

    Raises
    ------
    ValueError
        When arrays of one split differ in length or a split is empty.
    """
    train = _columns(train_student, train_teacher)
    heldout = _columns(heldout_student, heldout_teacher)
    heldout_draws = bootstrap_means(heldout, rng, groups=groups)
    train_draws = bootstrap_means(train, rng)
    kept, kept_draws = train, train_draws
    if train_keep is not None:
        kept = train[np.asarray(train_keep, dtype=bool)]
        kept_draws = bootstrap_means(kept, rng)

    deficit = float(kept[:, 2].mean())
    gap = float(heldout[:, 2].mean()) - deficit
    # Added up again, so that the identity holds to the last bit.
    excess = interval_of(heldout_draws[:, 2], deficit + gap)
    rise = heldout.mean(axis=0) - train.mean(axis=0)
    rise_draws = heldout_draws - train_draws
    return SplitResult(
        excess=excess,
        fit_deficit=interval_of(kept_draws[:, 2], deficit),
        excess_gap=interval_of(heldout_draws[:, 2] - kept_draws[:, 2], gap),
        student_generalization=interval_of(rise_draws[:, 0], float(rise[0])),
        teacher_generalization=interval_of(rise_draws[:, 1], float(rise[1])),
        noise_floor=(excess.high - excess.low) / 2,
    )


def limit_h(teacher_heldout_loss: float, returned_to_teacher: float = 0.0) -> float:
    """Return h, the gap worth treating: max(0.05 nats, a tenth of what the teacher loses).

    Parameters
    ----------
    teacher_heldout_loss : float
        Mean held-out loss of the teacher, nats.
    returned_to_teacher : float
        Nats that interventions give back to the teacher: a control is judged without its fault.
    """
    return max(MIN_LIMIT, LIMIT_SHARE * (teacher_heldout_loss - returned_to_teacher))


def _columns(student: ArrayLike, teacher: ArrayLike) -> Floats:
    """(n, 3): student, teacher, and their difference, so that all share one resample."""
    first = np.asarray(student, dtype=np.float64)
    second = np.asarray(teacher, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"one loss a row for both models, not {first.shape} and {second.shape}")
    with np.errstate(invalid="ignore"):  # a diverged model: inf − inf
        return np.stack([first, second, first - second], axis=1)
