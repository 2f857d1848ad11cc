"""What learning curves say on their own: overfitting, unfinished, unstable or healthy.

The ratio of train to held-out loss is never used: a distilled student's train loss is a composite
of two terms and cannot be set against a cross-entropy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from gapdoctor.domain.findings import Floats
from gapdoctor.stats.curve_shape import by_epoch, end_slope, level_noise, running_median, scatter

_FEW_EPOCHS = 12
"""Epochs. With fewer, a median of five would hide most of a rise."""


class CurveState(StrEnum):
    """The one word of a pair of learning curves."""

    OVERFITTING = "overfitting"
    UNFINISHED = "unfinished"
    UNSTABLE = "unstable"
    HEALTHY = "healthy"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class CurveLimits:
    """The limits that a reading is judged by. Starting values, to be tried on planted faults."""

    min_epochs: int = 5
    """Epochs with a held-out loss; with fewer, nothing is said."""
    window: int = 5
    """Epochs of the running median; 3 with fewer than 12 epochs."""
    rise: float = 0.04
    """Relative rise of the smoothed held-out loss since its minimum. Prechelt 1998 stops at a
    generalization loss of 0.05; with the median of five, 0.037 separates 38 of the 40 published
    histories of OverfitGuard (arXiv 2401.10359)."""
    rise_nats: float = 0.01
    """Nats: a smaller rise harms nobody, however large beside a tiny minimum."""
    noise_factor: float = 4.0
    """Standard errors by which a rise must exceed the scatter: the lowest of some hundred noisy
    medians lies about 3 below their mean by chance alone."""
    fall: float = 0.02
    """Relative fall of the held-out loss over the last fifth that counts as still falling."""
    annealed: float = 0.1
    """Share of the highest learning rate at or below which it counts as annealed."""
    oscillation: float = 0.25
    """Scatter of the held-out loss from epoch to epoch in the last half, relative to its level.
    AutoTrainer (Zhang et al. 2021) takes 0.03 of accuracy, which healthy curves reach too; a
    healthy scatter of 0.1 is estimated below 0.25 even from few epochs."""
    oscillation_nats: float = 0.05
    """Nats: a smaller scatter harms nobody."""
    lost_gain: float = 0.5
    """Share of its earlier gain that a diverged train loss has lost again at the end."""
    lost_level: float = 0.1
    """Relative rise since its minimum that a diverged train loss exceeds, too."""
    complete: float = 0.9
    """Share of the recipe's epochs that counts as all of them."""


@dataclass(frozen=True, slots=True)
class CurveReading:
    """What a pair of learning curves shows. Losses in the unit they were logged in (nats)."""

    state: CurveState
    epochs: int
    """Epochs with a held-out loss."""
    best_epoch: float
    """Where the smoothed held-out loss is lowest; NaN without enough epochs."""
    rise_nats: float
    """Smoothed held-out loss at the end − its minimum; NaN without enough epochs."""
    rise: float
    """The same, relative to the minimum."""
    rise_noise: float
    """What `rise_nats` must exceed to stand out from the scatter."""
    noise: float
    """Scatter of the held-out loss from epoch to epoch in the last half."""
    oscillation: float
    """`noise` relative to the level there."""
    heldout_slope: float
    """Nats an epoch over the last fifth; NaN without enough epochs."""
    train_slope: float
    """The same for the train loss."""
    still_falling: bool
    """The held-out loss falls at the end, beyond its scatter and by more than the limit."""
    annealed: bool | None
    """The learning rate came down; None where it is not known."""
    diverged: bool
    """A loss became infinite or NaN, or the train loss lost most of its gain again."""
    ended_early: bool | None
    """Fewer epochs than planned; None where the plan is not known."""


def read_curves(
    epoch: ArrayLike,
    train_loss: ArrayLike | None,
    heldout_loss: ArrayLike,
    lr: ArrayLike | None = None,
    planned_epochs: int | None = None,
    limits: CurveLimits | None = None,
) -> CurveReading:
    """Read learning curves.

    Parameters
    ----------
    epoch : array (n,)
        Epoch numbers, from 0 or 1, in any order, gaps and several rows an epoch allowed.
    train_loss : array (n,) or None
        As logged, composite or not; NaN where not logged.
    heldout_loss : array (n,)
        As logged; NaN where not logged. Both losses NaN in the last epoch is a divergence.
    lr : array (n,), optional
        Learning rate of each epoch.
    planned_epochs : int, optional
        What the recipe says. Leave out where early stopping was intended.
    limits : CurveLimits, optional
        What is judged by.

    Returns
    -------
    CurveReading
        `state` is the first that holds of unstable (diverged), inconclusive (fewer than 5
        epochs), overfitting, unstable (oscillation), unfinished (still falling or ended early,
        the learning rate not annealed), healthy.

    Raises
    ------
    ValueError
        When the columns differ in length.
    """
    limit = limits or CurveLimits()
    number, (train, heldout, rate) = by_epoch(epoch, train_loss, heldout_loss, lr)
    seen, logged = np.isfinite(heldout), np.isfinite(train)
    at, curve = number[seen], heldout[seen]
    best_epoch, rise_nats, rise, rise_noise = _rise(at, curve, limit)
    slope, slope_high, change = end_slope(at, curve)
    noise, level = scatter(curve), _level(curve)
    reading = CurveReading(
        state=CurveState.INCONCLUSIVE,
        epochs=len(curve),
        best_epoch=best_epoch,
        rise_nats=rise_nats,
        rise=rise,
        rise_noise=rise_noise,
        noise=noise,
        oscillation=_relative(noise, level),
        heldout_slope=slope,
        train_slope=end_slope(number[logged], train[logged])[0],
        still_falling=slope_high < 0 and -change > max(limit.rise_nats, limit.fall * abs(level)),
        annealed=_annealed(rate, limit),
        diverged=_diverged(train, heldout, limit),
        ended_early=_ended_early(number, planned_epochs, limit),
    )
    return replace(reading, state=_state(reading, limit))


def _state(reading: CurveReading, limit: CurveLimits) -> CurveState:
    if reading.diverged:
        return CurveState.UNSTABLE
    if reading.epochs < limit.min_epochs:
        return CurveState.INCONCLUSIVE
    if reading.rise > limit.rise and reading.rise_nats > max(limit.rise_nats, reading.rise_noise):
        return CurveState.OVERFITTING
    if reading.oscillation > limit.oscillation and reading.noise > limit.oscillation_nats:
        return CurveState.UNSTABLE
    if not reading.annealed and (reading.still_falling or reading.ended_early):
        return CurveState.UNFINISHED
    return CurveState.HEALTHY


def _rise(at: Floats, curve: Floats, limit: CurveLimits) -> tuple[float, float, float, float]:
    """Where the smoothed curve is lowest, its rise since in nats and relative, and the noise."""
    window = limit.window if len(curve) >= _FEW_EPOCHS else 3
    level = running_median(curve, window)
    if len(level) == 0:
        return np.nan, np.nan, np.nan, np.nan
    lowest = int(np.argmin(level))
    rise = float(level[-1] - level[lowest])
    concerned = curve[min(lowest + window // 2, max(0, len(curve) - 5)) :]
    noise = limit.noise_factor * float(np.sqrt(2.0)) * level_noise(concerned, window)
    return float(at[lowest + window // 2]), rise, _relative(rise, float(level[lowest])), noise


def _annealed(rate: Floats, limit: CurveLimits) -> bool | None:
    known = rate[np.isfinite(rate)]
    if len(known) == 0 or known.max() <= 0:
        return None
    return bool(known[-1] <= limit.annealed * known.max())


def _diverged(train: Floats, heldout: Floats, limit: CurveLimits) -> bool:
    if np.isinf(train).any() or np.isinf(heldout).any():
        return True
    blank = np.isnan(train) & np.isnan(heldout)
    if len(blank) and blank[-1] and not blank.all():
        return True
    curve = train[np.isfinite(train)]
    if len(curve) < limit.min_epochs:
        return False
    lowest = float(curve.min())
    lost = float(np.median(curve[-3:])) - lowest
    gained = float(curve[0]) - lowest
    return lost > max(
        limit.lost_gain * gained,
        limit.lost_level * abs(lowest),
        limit.noise_factor * scatter(curve),
    )


def _ended_early(number: Floats, planned: int | None, limit: CurveLimits) -> bool | None:
    if planned is None or len(number) == 0:
        return None
    # Counted from 0, one step more was made than the last number says.
    step = float(np.median(np.diff(number))) if len(number) > 1 else 1.0
    done = float(number[-1]) + (step if number[0] == 0 else 0.0)
    return done < limit.complete * planned


def _level(curve: Floats) -> float:
    """Median of the last half; NaN for an empty curve."""
    return float(np.median(curve[len(curve) // 2 :])) if len(curve) else np.nan


def _relative(amount: float, level: float) -> float:
    if level == 0:
        return np.inf if amount > 0 else 0.0
    return amount / abs(level)
