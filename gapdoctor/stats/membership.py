"""How well losses and agreement tell train rows from held-out rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from gapdoctor.domain.findings import Floats, Interval
from gapdoctor.stats.intervals import bootstrap_means, interval_of


def membership_auc(
    train_losses: ArrayLike,
    heldout_losses: ArrayLike,
    rng: np.random.Generator,
    groups: ArrayLike | None = None,
) -> Interval:
    """Return the AUC of "the row with the lower loss is the member", ties at one half.

    The loss-threshold attack of Yeom et al. 2018 (arXiv 1709.01604). The interval resamples
    each row's placement among the rows of the other split, the first-order (Hájek) part of the
    AUC (DeLong et al. 1988): no pair is counted twice and the cost is that of one sort.

    Parameters
    ----------
    train_losses : array (n_train,)
        Losses of members, nats; any strictly increasing function of them gives the same.
    heldout_losses : array (n_heldout,)
        Losses of rows that the model has not seen.
    rng : Generator
        The only source of randomness.
    groups : array (n_heldout,), optional
        One id a held-out row; whole groups are resampled.
    """
    train, heldout = _placements(train_losses, heldout_losses)
    found = _difference(train, heldout, rng, groups)
    return Interval(found.value, max(found.low, 0.0), min(found.high, 1.0))


def auc_difference(
    student_train: ArrayLike,
    student_heldout: ArrayLike,
    teacher_train: ArrayLike,
    teacher_heldout: ArrayLike,
    rng: np.random.Generator,
    groups: ArrayLike | None = None,
) -> Interval:
    """Return AUC(student) − AUC(teacher), both on the same rows of a split.

    The difference of two correlated AUCs (DeLong et al. 1988): what the student remembers beyond
    its control. Arrays as in `membership_auc`, those of one split row by row.

    Raises
    ------
    ValueError
        When student and teacher differ in the rows of a split.
    """
    own_train, own_heldout = _placements(student_train, student_heldout)
    other_train, other_heldout = _placements(teacher_train, teacher_heldout)
    if len(own_train) != len(other_train) or len(own_heldout) != len(other_heldout):
        raise ValueError("student and teacher must be scored on the same rows")
    return _difference(own_train - other_train, own_heldout - other_heldout, rng, groups)


def agreement_drop(
    train_agrees: ArrayLike,
    heldout_agrees: ArrayLike,
    rng: np.random.Generator,
    groups: ArrayLike | None = None,
) -> Interval:
    """Return mean agreement on train minus that on held-out rows, with its interval.

    Parameters
    ----------
    train_agrees, heldout_agrees : array (n,)
        1 (or True) where student and teacher predict the same class.
    rng : Generator
        The only source of randomness.
    groups : array (n_heldout,), optional
        One id a held-out row.
    """
    train = np.asarray(train_agrees, dtype=np.float64)
    heldout = np.asarray(heldout_agrees, dtype=np.float64)
    draws = bootstrap_means(train[:, None], rng) - bootstrap_means(
        heldout[:, None], rng, groups=groups
    )
    return interval_of(draws[:, 0], float(train.mean() - heldout.mean()))


def _placements(train_losses: ArrayLike, heldout_losses: ArrayLike) -> tuple[Floats, Floats]:
    """Share of the other split that each row beats; the mean of either array is the AUC."""
    train = np.asarray(train_losses, dtype=np.float64)
    heldout = np.asarray(heldout_losses, dtype=np.float64)
    if len(train) == 0 or len(heldout) == 0:
        raise ValueError("an AUC needs rows of both splits")
    above = 1.0 - _share_below(np.sort(heldout), train)
    return above, _share_below(np.sort(train), heldout)


def _share_below(ordered: Floats, values: Floats) -> Floats:
    """Share of `ordered` below each value, its ties counted by half."""
    first = np.searchsorted(ordered, values, side="left")
    last = np.searchsorted(ordered, values, side="right")
    return np.asarray((first + last) / (2.0 * len(ordered)))


def _difference(
    train: Floats, heldout: Floats, rng: np.random.Generator, groups: ArrayLike | None
) -> Interval:
    """Interval of an AUC (or a difference of two) from its placements on both splits."""
    value = float(train.mean())
    draws = bootstrap_means(train[:, None], rng) + bootstrap_means(
        heldout[:, None], rng, groups=groups
    )
    return interval_of(draws[:, 0] - value, value)
