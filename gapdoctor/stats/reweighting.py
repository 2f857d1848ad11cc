"""Weights that make held-out rows look like train rows, and the loss that they return."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression

from gapdoctor.domain.findings import Floats
from gapdoctor.stats.intervals import group_codes
from gapdoctor.stats.two_sample import principal_scores

FOLDS = 5
DIMENSIONS = 32
"""Principal components that the classifier sees."""
PENALTY = 0.1
"""scikit-learn's C: strength of the classifier's ridge penalty, inverse."""


@dataclass(frozen=True, slots=True)
class Weights:
    """One weight a held-out row, 1 on average."""

    heldout: Floats
    """(n_heldout,)"""
    effective_share: float
    """(Σw)²/(n·Σw²): the share of rows that the weighted ones are worth (Kish 1965)."""


def density_weights(
    train_features: ArrayLike,
    heldout_features: ArrayLike,
    rng: np.random.Generator,
    groups: ArrayLike | None = None,
) -> Weights:
    """Weigh held-out rows by the density ratio train / held-out.

    w = p(train | x) / p(held-out | x) · n_heldout / n_train from a logistic classifier of the two
    splits (Bickel, Brückner & Scheffer 2009; Cai et al. 2023, arXiv 2303.02011). Cross-fitted in
    five folds: no row is weighed by a classifier that has seen it, or its group.

    Parameters
    ----------
    train_features, heldout_features : array (n, d)
        As in `compare_components`.
    rng : Generator
        Shuffles the folds.
    groups : array (n_heldout,), optional
        One id a held-out row.

    Raises
    ------
    ValueError
        With fewer than five rows (or groups) a split.
    """
    train = np.asarray(train_features, dtype=np.float64)
    heldout = np.asarray(heldout_features, dtype=np.float64)
    scores = principal_scores(np.concatenate([train, heldout]), DIMENSIONS)
    is_train = np.arange(len(scores)) < len(train)
    fold = np.concatenate([_folds(len(train), None, rng), _folds(len(heldout), groups, rng)])
    log_odds = np.empty(len(scores))
    for k in range(FOLDS):
        classifier = LogisticRegression(C=PENALTY, max_iter=1000)
        classifier.fit(scores[fold != k], is_train[fold != k])
        log_odds[fold == k] = classifier.decision_function(scores[fold == k])
    # The common factor n_heldout / n_train drops out, as the weights are scaled to a mean of 1.
    return _scaled(log_odds[~is_train])


def prior_weights(train_labels: ArrayLike, heldout_labels: ArrayLike, classes: int) -> Weights:
    """Weigh held-out rows by p_train(label) / p_heldout(label) (Saerens et al. 2002).

    Train classes that no held-out row has cannot be made up for. No weight is above √n times the
    mean (truncated importance sampling, Ionides 2008): a handful of rows of a class that is common
    in training would speak for all of them; cut off, they return less rather than anything.
    """
    labels = np.asarray(heldout_labels, dtype=np.int64)
    counts = np.bincount(np.asarray(train_labels, dtype=np.int64), minlength=classes)
    ratio = counts / np.maximum(np.bincount(labels, minlength=classes), 1)
    weights = ratio[labels].astype(np.float64)
    weights = np.minimum(weights, np.sqrt(len(labels)) * weights.mean()) if len(labels) else weights
    with np.errstate(divide="ignore"):
        return _scaled(np.log(weights))


def reweighted_return(losses: ArrayLike, weights: ArrayLike) -> Floats:
    """Return, row by row, what reweighting gives back: L − L_weighted is the mean of (n,) nats.

    (1 − w)·(loss − L_weighted) with w scaled to a mean of 1 over these rows: the estimate's own
    linearisation, so that resampling the rows gives its interval.

    Parameters
    ----------
    losses : array (n,)
        Nats.
    weights : array (n,)
        Of the same rows, not all zero.
    """
    loss, weight = np.asarray(losses, np.float64), np.asarray(weights, np.float64)
    weight = weight / weight.mean()
    return np.asarray((1.0 - weight) * (loss - (weight * loss).mean()))


def _scaled(log_weights: Floats) -> Weights:
    if not np.isfinite(log_weights).any():
        return Weights(np.zeros(len(log_weights)), 0.0)
    weights = np.exp(log_weights - log_weights.max())
    weights = weights / weights.mean()
    return Weights(weights, float(1.0 / np.square(weights).mean()))


def _folds(n: int, groups: ArrayLike | None, rng: np.random.Generator) -> NDArray[np.int64]:
    """A fold a row, (n,), groups whole, folds as equal as they can be."""
    codes = np.arange(n) if groups is None else group_codes(groups)
    distinct = int(codes.max()) + 1 if n else 0
    if distinct < FOLDS:
        raise ValueError(f"{FOLDS} folds need as many rows or groups a split, not {distinct}")
    return np.asarray(rng.permutation(np.arange(distinct) % FOLDS)[codes])
