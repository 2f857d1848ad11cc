"""Paired differences of several arms at once: simultaneous intervals and what n rows can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from gapdoctor.domain.findings import Floats, Interval
from gapdoctor.stats.intervals import LEVEL, cluster_sums, resample_counts

RESAMPLES = 2000
MIN_SEEDS = 6
"""Seeds are resampled from this many on: with fewer, no test over seeds alone can reach a
two-sided p below 0.05 (2/2ⁿ of sign flips: 0.0625 at 5, 0.031 at 6)."""
MIN_UNITS = 5
"""Rows or groups below which nothing is said: in simulation, intervals of normal differences hold
from here on."""
ERROR_FLOOR = 0.25
"""Share of the standard error that a resample's own is at least: where three rows carry a
difference, a twentieth of the resamples hold none of them and would give infinite statistics,
which the intervals of all other arms would pay for."""
POWER = 0.8


@dataclass(frozen=True)
class PairedRows:
    """Arm − its control, row by row and seed by seed."""

    rows: Floats
    """(s, n), one line a seed; nats, or any unit."""
    seeds: tuple[int, ...]
    """(s,) what both were trained with; one line that knows no seed has any number."""

    def __post_init__(self) -> None:
        if self.rows.ndim != 2 or not self.rows.size or len(self.rows) != len(self.seeds):
            raise ValueError(f"need (s, n) for {len(self.seeds)} seeds, not {self.rows.shape}")
        if not np.isfinite(self.rows).all():
            raise ValueError("differences must be finite")


@dataclass(frozen=True)
class Compared:
    """One arm against its control. All in the unit of the rows."""

    difference: Interval
    """Mean over rows and seeds, with its simultaneous interval."""
    by_seed: Floats
    """(s,)"""
    standard_error: float
    """Of the mean; over rows, and over seeds where these were resampled."""
    p_value: float | None
    """Two-sided, adjusted for all arms; None where seeds were not resampled."""

    @property
    def same_sign(self) -> bool:
        """Whether every seed says better, or every seed says worse."""
        return bool((self.by_seed < 0).all() or (self.by_seed > 0).all())


@dataclass(frozen=True)
class Family:
    """Arms compared at once: all their intervals hold together with the given coverage."""

    arms: tuple[Compared, ...]
    critical: float
    """Half an interval's width, in standard errors."""
    units: int
    """Rows or groups that were resampled (before pooling)."""


def compare_paired(
    differences: Sequence[PairedRows],
    rng: np.random.Generator,
    *,
    groups: ArrayLike | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> Family:
    """Compare arms with their controls on the same rows; the intervals hold simultaneously.

    The distribution of the largest studentised difference, max_j |T_j|, is bootstrapped with the
    rows of all arms drawn together (whole groups, where given), so that the dependence between
    arms counts (Westfall & Young 1993, Resampling-Based Multiple Testing, ch. 2; Romano & Wolf
    2005, JASA 100:94–108, single-step). Each interval is mean ± c · error with the `level`
    quantile c; an adjusted p-value is the share of draws with a larger maximum, so that p < 0.05
    is an interval that leaves 0 out. T_j is studentised within each resample (bootstrap-t, Efron
    & Tibshirani 1993, ch. 12.5), which keeps its coverage on skewed losses and few groups where
    percentiles do not.

    Seeds are averaged row by row. From `MIN_SEEDS` on they are resampled too, independently of
    rows, arms of the same seeds together: errors add up, slightly on the safe side, since what
    seed and row do together counts in both (Owen & Eckles 2012, arXiv 1106.2125). With fewer, an
    interval holds for these seeds.

    Parameters
    ----------
    differences : sequence of PairedRows
        One an arm, over the same n rows.
    rng : Generator
        The only source of randomness.
    groups : array (n,), optional
        One id a row.
    level : float
        Simultaneous coverage.
    resamples : int
        Bootstrap draws.

    Returns
    -------
    Family
        Arms in the order given. Of fewer than `MIN_UNITS` rows or groups: intervals without
        ends. An arm whose rows all differ by the same number has an interval of no width.

    Raises
    ------
    ValueError
        When there is no arm, or arms differ in rows.
    """
    table = _averaged(differences)
    units = len(table) if groups is None else len(set(np.asarray(groups).tolist()))
    if units < MIN_UNITS:
        unknown = tuple(_unknown(d) for d in differences)
        return Family(unknown, inf, units)
    moved, drawn, errors = _row_draws(table, groups, resamples, rng)
    seed_draws = _seed_draws(differences, resamples, rng)
    for j, d in enumerate(differences):
        if d.seeds in seed_draws:
            extra, own, error = _seed_part(d, seed_draws[d.seeds])
            moved[:, j] += extra
            drawn[:, j] += own
            errors[j] += error
    varies = errors > (_ROUNDING * np.abs(table).max(axis=0)) ** 2
    maxima = _maxima(moved[:, varies], drawn[:, varies], errors[varies])
    critical = float(np.quantile(maxima, level))
    arms = tuple(
        _compared(d, float(value), float(np.sqrt(variance)), critical, maxima)
        for d, value, variance in zip(differences, table.mean(axis=0), errors, strict=True)
    )
    return Family(arms, critical, units)


def minimum_detectable_effect(
    standard_error: float, critical: float, power: float = POWER
) -> float:
    """Return the effect, in the unit of the error, that is found with probability `power`.

    (c + z_power) · error for an interval of c errors to each side (Card et al. 2020, With Little
    Power Comes Great Responsibility, EMNLP, arXiv 2010.06595; Cohen 1988).
    """
    return (critical + NormalDist().inv_cdf(power)) * standard_error


def rows_needed(
    rows: int, standard_error: float, critical: float, effect: float, power: float = POWER
) -> int | None:
    """Return how many rows would show `effect` with probability `power`; None for no effect.

    The formula of `minimum_detectable_effect` solved for n, the error falling as 1/√n from what
    it is at `rows`.
    """
    least = minimum_detectable_effect(standard_error, critical, power)
    if effect == 0 or not np.isfinite(least):
        return None
    return ceil(rows * (least / abs(effect)) ** 2)


def _averaged(differences: Sequence[PairedRows]) -> Floats:
    """(n, k): each arm's rows, averaged over its seeds."""
    if not differences:
        raise ValueError("no arm to compare")
    lengths = {d.rows.shape[1] for d in differences}
    if len(lengths) > 1:
        raise ValueError(f"arms over {sorted(lengths)} rows cannot be compared at once")
    return np.stack([d.rows.mean(axis=0) for d in differences], axis=1).astype(np.float64)


def _unknown(found: PairedRows) -> Compared:
    value = Interval(float(found.rows.mean()), -inf, inf)
    return Compared(value, found.rows.mean(axis=1), inf, None)


def _row_draws(
    table: Floats, groups: ArrayLike | None, resamples: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """How far each resample moves each mean (B, k), its own variances (B, k), and those (k,).

    The variance of a ratio of sums, linearised: Σ (S − mean·N)² / (ΣN)² times m/(m − 1).
    """
    sums, sizes = cluster_sums(table, groups, rng)
    m = len(sizes)
    rest = sums - table.mean(axis=0) * sizes[:, None]
    counts = resample_counts(m, resamples, rng)
    total = (counts @ sizes)[:, None]
    moved = (counts @ rest) / total
    squares = (
        counts @ rest**2
        - 2 * moved * (counts @ (rest * sizes[:, None]))
        + moved**2 * (counts @ sizes**2)[:, None]
    )
    scale = m / (m - 1)
    drawn = scale * np.maximum(squares, 0.0) / total**2
    return moved, drawn, scale * (rest**2).sum(axis=0) / sizes.sum() ** 2


def _seed_draws(
    differences: Sequence[PairedRows], resamples: int, rng: np.random.Generator
) -> dict[tuple[int, ...], Floats]:
    """How often each seed is drawn (B, s), by the seeds of an arm: alike arms share the draws."""
    found: dict[tuple[int, ...], Floats] = {}
    for d in differences:
        if len(d.seeds) >= MIN_SEEDS and d.seeds not in found:
            found[d.seeds] = resample_counts(len(d.seeds), resamples, rng)
    return found


def _seed_part(found: PairedRows, counts: Floats) -> tuple[Floats, Floats, float]:
    """As `_row_draws`, of one arm's means by seed."""
    s = len(found.seeds)
    means = found.rows.mean(axis=1)
    rest = means - means.mean()
    moved = counts @ rest / s
    variance = np.maximum(counts @ rest**2 / s - moved**2, 0.0) / (s - 1)
    return moved, variance, float((rest**2).sum() / (s * (s - 1)))


_ROUNDING = 1e-12
"""Rows that differ by less than this share of them do not differ."""


def _maxima(moved: Floats, drawn: Floats, errors: Floats) -> Floats:
    """Return max_j |T_j| of each resample (B,) over the arms that vary."""
    if not len(errors):
        return np.full(len(moved), NormalDist().inv_cdf((1 + LEVEL) / 2))
    own = np.sqrt(np.maximum(drawn, ERROR_FLOOR**2 * errors))
    return np.asarray((np.abs(moved) / own).max(axis=1))


def _compared(
    found: PairedRows, value: float, error: float, critical: float, maxima: Floats
) -> Compared:
    difference = Interval(value, value - critical * error, value + critical * error)
    p = _p_value(value, error, maxima) if len(found.seeds) >= MIN_SEEDS else None
    return Compared(difference, found.rows.mean(axis=1), error, p)


def _p_value(value: float, error: float, maxima: Floats) -> float:
    """Return the adjusted p; what was observed counts as a draw (Davison & Hinkley 1997, 4.2)."""
    if value == 0.0:
        return 1.0
    observed = abs(value) / error if error > 0 else inf
    return float((1 + (maxima >= observed).sum()) / (1 + len(maxima)))
