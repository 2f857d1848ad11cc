"""Do train and held-out rows come from one distribution, and what would reweighting return?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from gapdoctor.domain.findings import Floats

COMPONENTS = 8
"""Principal components that are compared."""
MIN_EXPECTED = 5.0
"""Expected rows a cell below which the χ² test merges classes (Cochran 1954)."""


@dataclass(frozen=True, slots=True)
class ComponentTest:
    """Kolmogorov–Smirnov tests of the leading principal components."""

    statistics: Floats
    """(k,) largest distance between the two distribution functions, 0 to 1."""
    p_values: Floats
    """(k,) each by itself."""
    p_value: float
    """Smallest of them times k (Bonferroni), at most 1: the one to be judged."""


@dataclass(frozen=True, slots=True)
class LabelTest:
    """χ² test of the two splits' label counts."""

    statistic: float
    degrees: int
    p_value: float
    distance: float
    """Total variation between the two class mixes, 0 to 1: how large the shift is."""


def compare_components(
    train_features: ArrayLike, heldout_features: ArrayLike, components: int = COMPONENTS
) -> ComponentTest:
    """Compare two samples component by component (Rabanser et al. 2019, arXiv 1810.11953).

    The components are those of both samples pooled, columns scaled to unit variance, so that
    under no shift the two are exchangeable and the test keeps its level.

    Parameters
    ----------
    train_features, heldout_features : array (n, d)
        Any unit; rows independent (one a group). Features of a model that has not seen the train
        labels: a trained model's differ between splits without any shift. At least 500 rows a
        side are needed to see much.
    components : int
        How many, at most; fewer where the features span fewer.

    Returns
    -------
    ComponentTest
        With p-value 1 where no column varies.
    """
    train = np.asarray(train_features, dtype=np.float64)
    heldout = np.asarray(heldout_features, dtype=np.float64)
    scores = principal_scores(np.concatenate([train, heldout]), components)
    tests = [
        stats.ks_2samp(column[: len(train)], column[len(train) :], method="asymp")
        for column in scores.T
    ]
    p_values = np.array([float(t.pvalue) for t in tests])
    return ComponentTest(
        statistics=np.array([float(t.statistic) for t in tests]),
        p_values=p_values,
        p_value=min(1.0, float(p_values.min()) * len(tests)) if tests else 1.0,
    )


def compare_labels(train_labels: ArrayLike, heldout_labels: ArrayLike, classes: int) -> LabelTest:
    """Compare the class mixes of two splits (Pearson 1900).

    Classes too rare to be tested each are merged into one.

    Parameters
    ----------
    train_labels, heldout_labels : integer array (n,)
    classes : int
        C.
    """
    counts = _label_counts(train_labels, heldout_labels, classes)
    shares = counts / counts.sum(axis=1, keepdims=True)
    distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
    expected = counts.sum(axis=0) * counts.sum(axis=1).min() / counts.sum()
    rare = expected < MIN_EXPECTED
    cells = np.concatenate([counts[:, ~rare], counts[:, rare].sum(axis=1, keepdims=True)], axis=1)
    cells = cells[:, cells.sum(axis=0) > 0]
    if cells.shape[1] < 2:
        return LabelTest(0.0, 0, 1.0, distance)
    found = stats.chi2_contingency(cells, correction=False)
    return LabelTest(float(found.statistic), int(found.dof), float(found.pvalue), distance)


def principal_scores(rows: ArrayLike, components: int) -> Floats:
    """Return the leading principal components (n, k) of rows (n, d), columns to unit variance.

    k is at most `components`, and less where the rows span fewer dimensions.
    """
    table = np.asarray(rows, dtype=np.float64)
    spread = table.std(axis=0)
    varies = spread > 1e-12 * np.maximum(np.abs(table).max(axis=0), 1e-300)
    scaled = (table[:, varies] - table[:, varies].mean(axis=0)) / spread[varies]
    wide = scaled.shape[1] > len(scaled)
    # Rows' or columns' inner products have the same powers: the smaller matrix is taken.
    powers, axes = np.linalg.eigh(scaled @ scaled.T if wide else scaled.T @ scaled)
    leading = [i for i in range(len(powers) - 1, -1, -1) if powers[i] > 1e-9 * powers[-1]]
    leading = leading[:components]
    if wide:
        return np.asarray(axes[:, leading] * np.sqrt(powers[leading]))
    return np.asarray(scaled @ axes[:, leading])


def _label_counts(train_labels: ArrayLike, heldout_labels: ArrayLike, classes: int) -> Floats:
    """(2, C) rows of each class in train and held-out."""
    counts = [
        np.bincount(np.asarray(labels, dtype=np.int64), minlength=classes)
        for labels in (train_labels, heldout_labels)
    ]
    return np.stack(counts).astype(np.float64)
