"""Losses and divergences of logits, and confidence against accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from gapdoctor.domain.findings import Floats, Interval
from gapdoctor.stats.intervals import bootstrap_means, interval_of

BINS = 15
"""Equal-width bins of confidence (Guo et al. 2017)."""
TEMPERATURES = (0.01, 1000.0)
"""Where a fitted temperature is looked for."""


def log_softmax(logits: ArrayLike) -> Floats:
    """Return log-probabilities (n, C), in float64, of finite logits (n, C)."""
    scores = np.asarray(logits, dtype=np.float64)
    shifted = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def cross_entropy(logits: ArrayLike, labels: ArrayLike) -> Floats:
    """Return −log softmax(logits)[label] of each row, (n,) nats.

    Parameters
    ----------
    logits : array (n, C)
        Finite.
    labels : integer array (n,)
        Between 0 and C − 1.
    """
    scores, classes = np.asarray(logits), np.asarray(labels, dtype=np.int64)
    losses = np.empty(len(classes))
    for block in _blocks(len(classes)):
        logs = log_softmax(scores[block])
        losses[block] = 0.0 - logs[np.arange(len(logs)), classes[block]]
    return losses


def kl(teacher_logits: ArrayLike, student_logits: ArrayLike, temperature: float = 1.0) -> Floats:
    """Return KL(teacher ‖ student) of each row, (n,) nats, both at `temperature`.

    No factor temperature² is applied (that belongs to the training loss, Hinton et al. 2015,
    arXiv 1503.02531).

    Raises
    ------
    ValueError
        When the two differ in shape.
    """
    first, second = np.asarray(teacher_logits), np.asarray(student_logits)
    if first.shape != second.shape:
        raise ValueError(f"logits of the same rows, not {first.shape} and {second.shape}")
    rows = np.empty(len(first))
    for block in _blocks(len(first)):
        teacher = log_softmax(first[block].astype(np.float64) / temperature)
        student = log_softmax(second[block].astype(np.float64) / temperature)
        rows[block] = (np.exp(teacher) * (teacher - student)).sum(axis=1)
    # Rounding can push a row of two equal distributions below zero.
    return np.maximum(rows, 0.0)


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """Return the temperature τ that minimises the mean cross-entropy of logits / τ.

    Temperature scaling (Guo et al. 2017, arXiv 1706.04599). The loss is convex in 1/τ, so its
    slope has one root; that root is searched for on log τ, which is exact where a search for
    the minimum itself would stop at half the digits.

    Parameters
    ----------
    logits : array (n, C)
        Finite.
    labels : integer array (n,)

    Returns
    -------
    float
        Between 0.01 and 1,000. The lower end where every row is right: then the loss falls for
        ever as τ shrinks. 1 where no temperature matters (all logits of each row equal).
    """
    scores = np.asarray(logits, dtype=np.float64)
    rows = np.arange(len(scores))
    centered = scores - scores[rows, np.asarray(labels, dtype=np.int64)][:, None]
    top = centered.max(axis=1, keepdims=True)

    def slope(log_tau: float) -> float:
        """d loss / d(1/τ): the mean over rows of E_p[z] − z_label."""
        weights = np.exp((centered - top) * np.exp(-log_tau))
        return float(((weights * centered).sum(axis=1) / weights.sum(axis=1)).mean())

    cold, hot = (float(np.log(t)) for t in TEMPERATURES)
    if not centered.any():
        return 1.0
    if slope(cold) <= 0.0:
        return TEMPERATURES[0]
    if slope(hot) >= 0.0:
        return TEMPERATURES[1]
    return float(np.exp(optimize.brentq(slope, cold, hot, xtol=1e-9)))


def fit_temperature_to(teacher_logits: ArrayLike, student_logits: ArrayLike) -> float:
    """Return τ > 0 that minimises the mean KL(teacher ‖ student / τ).

    Below 1: the student's logits are flatter than its teacher's. Bounded scalar search on log τ
    (Brent 1973), from 0.05 to 20.

    Parameters
    ----------
    teacher_logits, student_logits : array (n, C)
        Of the same rows.
    """
    student = np.asarray(student_logits, dtype=np.float64)
    found = optimize.minimize_scalar(
        lambda log: float(kl(teacher_logits, student / np.exp(log)).mean()),
        bounds=(-3.0, 3.0), method="bounded", options={"xatol": 1e-3},
    )  # fmt: skip
    return float(np.exp(found.x))


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """One row of a reliability table."""

    low: float
    """The bin holds confidences in (low, high]."""
    high: float
    count: int
    """Rows in the bin."""
    confidence: float
    """Mean over the bin's rows."""
    accuracy: float


def reliability(
    confidence: ArrayLike, correct: ArrayLike, bins: int = BINS
) -> tuple[ReliabilityBin, ...]:
    """Return confidence against accuracy, bin by bin; empty bins are left out.

    Parameters
    ----------
    confidence : array (n,)
        Probability of the predicted class.
    correct : array (n,)
        1 (or True) where the prediction is right.
    bins : int
        Bins of equal width.
    """
    sure = np.asarray(confidence, dtype=np.float64)
    index = _bin_of(sure, bins)
    counts = np.bincount(index, minlength=bins)
    confidences = np.bincount(index, weights=sure, minlength=bins)
    hits = np.bincount(index, np.asarray(correct, dtype=np.float64), minlength=bins)
    return tuple(
        ReliabilityBin(
            low=b / bins,
            high=(b + 1) / bins,
            count=int(counts[b]),
            confidence=float(confidences[b] / counts[b]),
            accuracy=float(hits[b] / counts[b]),
        )
        for b in range(bins)
        if counts[b]
    )


def expected_calibration_error(
    confidence: ArrayLike, correct: ArrayLike, bins: int = BINS
) -> float:
    """Return Σ_b n_b/n · |accuracy_b − confidence_b| (Naeini et al. 2015; Guo et al. 2017).

    Parameters and bins as in `reliability`; 0 for no rows.
    """
    rows = reliability(confidence, correct, bins)
    total = sum(row.count for row in rows)
    return sum(row.count * abs(row.accuracy - row.confidence) for row in rows) / max(total, 1)


def calibration_interval(
    confidence: ArrayLike,
    correct: ArrayLike,
    rng: np.random.Generator,
    *,
    groups: ArrayLike | None = None,
    bins: int = BINS,
) -> Interval:
    """Return the expected calibration error with its bootstrap interval.

    The error is a sum of absolute values, so noise alone pushes it up (Kumar et al. 2019,
    arXiv 1909.10155). Both ends are freed of what resampling adds; the lower end also of what
    sampling may have added, √(2/π) standard errors for each bin that is within two of zero. So
    the interval holds both the error as measured and the one it estimates.

    Parameters and bins as in `reliability`; `groups` as in `bootstrap_means`.
    """
    sure = np.asarray(confidence, dtype=np.float64)
    differences = np.zeros((len(sure), bins))
    differences[np.arange(len(sure)), _bin_of(sure, bins)] = (
        np.asarray(correct, dtype=np.float64) - sure
    )
    point = differences.mean(axis=0)
    value = float(np.abs(point).sum())
    by_bin = bootstrap_means(differences, rng, groups=groups)
    if not np.isfinite(by_bin).all():
        return Interval(value, 0.0, 1.0)
    draws = np.abs(by_bin).sum(axis=1)
    found = interval_of(draws - max(float(draws.mean()) - value, 0.0), value)
    errors = by_bin.std(axis=0)
    added = float(np.sqrt(2 / np.pi) * errors[np.abs(point) < 2 * errors].sum())
    return Interval(
        value, min(max(found.low - added, 0.0), value), min(max(found.high, value), 1.0)
    )


def _blocks(n: int) -> list[slice]:
    """Rows a thousand at a time: logits of many classes would fill the memory in float64."""
    return [slice(at, at + 1024) for at in range(0, n, 1024)]


def _bin_of(confidence: Floats, bins: int) -> NDArray[np.int64]:
    """Index of the bin (b/bins, (b+1)/bins] that holds each confidence; 0 is in the first."""
    edges = np.linspace(0.0, 1.0, bins + 1)[1:-1]
    return np.searchsorted(edges, confidence, side="left").astype(np.int64)
