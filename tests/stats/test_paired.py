from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from gapdoctor.stats.intervals import wilson
from gapdoctor.stats.paired import (
    MIN_UNITS,
    Family,
    PairedRows,
    compare_paired,
    minimum_detectable_effect,
    rows_needed,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def arm(*rows: object) -> PairedRows:
    table = np.atleast_2d(np.asarray(rows, dtype=float))
    return PairedRows(table, tuple(range(len(table))))


def covered(family: Family, truth: float = 0.0) -> bool:
    found = [one.difference for one in family.arms]
    return all(d.low <= truth <= d.high for d in found)


# -- known answers -----------------------------------------------------------------------------


def test_one_arm_of_many_rows_is_the_t_interval() -> None:
    rows = rng(1).normal(-0.3, 2.0, size=900)
    found = compare_paired([arm(rows)], rng(2), resamples=8000)
    error = rows.std(ddof=1) / np.sqrt(900)

    assert found.arms[0].standard_error == pytest.approx(error)
    assert found.arms[0].difference.value == pytest.approx(rows.mean())
    assert found.critical == pytest.approx(stats.t.ppf(0.975, 899), rel=0.05)
    assert found.arms[0].difference.high == pytest.approx(rows.mean() + found.critical * error)
    assert found.units == 900


def test_independent_arms_pay_for_their_number() -> None:
    # Šidák: k independent arms hold together at 95 % where each holds at 0.95^(1/k).
    arms = [arm(rows) for rows in rng(3).normal(size=(8, 1000))]
    expected = stats.norm.ppf((1 + 0.95 ** (1 / 8)) / 2)

    assert compare_paired(arms, rng(4), resamples=8000).critical == pytest.approx(
        expected, rel=0.03
    )


def test_arms_that_are_the_same_pay_nothing() -> None:
    rows = rng(5).normal(size=1000)
    one = compare_paired([arm(rows)], rng(6))
    many = compare_paired([arm(rows), arm(rows * 2), arm(rows / 3)], rng(6))

    assert many.critical == pytest.approx(one.critical)


def test_seeds_are_averaged_row_by_row_and_told_apart() -> None:
    first, second = rng(7).normal(size=(2, 400))
    found = compare_paired([arm(first - 1, second - 3)], rng(8))
    averaged = compare_paired([arm((first + second) / 2 - 2)], rng(8))

    assert found.arms[0].difference == averaged.arms[0].difference
    np.testing.assert_allclose(found.arms[0].by_seed, [first.mean() - 1, second.mean() - 3])


@pytest.mark.parametrize(
    ("shifts", "same"), [((-1, -2), True), ((1, 2), True), ((-1, 1), False), ((0, -1), False)]
)
def test_same_sign(shifts: tuple[float, ...], same: bool) -> None:
    found = compare_paired([arm(*(np.full(50, s) for s in shifts))], rng())

    assert found.arms[0].same_sign is same


def test_whole_groups_are_resampled() -> None:
    ids = np.repeat(np.arange(60), 20)
    rows = rng(9).normal(size=60)[ids]
    alone, grouped = (compare_paired([arm(rows)], rng(10), groups=g) for g in (None, ids))

    assert grouped.arms[0].standard_error / alone.arms[0].standard_error == pytest.approx(
        np.sqrt(20), rel=0.02
    )
    assert (alone.units, grouped.units) == (1200, 60)


def test_pooled_rows_have_the_error_of_rows() -> None:
    rows = rng(11).exponential(size=6000) ** 2
    found = compare_paired([arm(rows)], rng(12)).arms[0]

    assert found.standard_error == pytest.approx(rows.std() / np.sqrt(6000), rel=0.08)


def test_an_arm_that_is_its_control_neither_fails_nor_costs_the_others() -> None:
    rows = rng(13).normal(-0.2, 1.0, size=500)
    alone = compare_paired([arm(rows)], rng(14))
    both = compare_paired([arm(rows), arm(np.zeros(500)), arm(np.full(500, 0.1))], rng(14))

    assert both.arms[0].difference.high == pytest.approx(alone.arms[0].difference.high)
    assert both.critical == pytest.approx(alone.critical)
    assert (both.arms[1].difference.low, both.arms[1].difference.high) == (0.0, 0.0)
    assert both.arms[2].difference.low == pytest.approx(0.1)


def test_only_arms_that_do_not_vary() -> None:
    found = compare_paired([arm(np.zeros(20))], rng())

    assert found.critical == pytest.approx(1.96, abs=0.001)
    assert found.arms[0].difference.high == 0.0


def test_few_rows_of_one_arm_do_not_blow_up_the_others() -> None:
    # All of the second arm lies in three rows: 5 % of the resamples hold none of them.
    rows = rng(15).normal(size=400)
    few = np.where(np.arange(400) < 3, 10.0, 0.0) + 1e-4 * rng(16).normal(size=400)
    found = compare_paired([arm(rows), arm(few)], rng(17))

    assert found.critical < 8.0


def test_few_units_say_nothing() -> None:
    found = compare_paired([arm(np.arange(12.0))], rng(), groups=np.arange(12) % (MIN_UNITS - 1))
    one = found.arms[0]

    assert (one.difference.value, one.difference.low, one.difference.high) == (
        5.5, -np.inf, np.inf,
    )  # fmt: skip
    assert one.p_value is None
    assert minimum_detectable_effect(one.standard_error, found.critical) == np.inf
    assert rows_needed(12, one.standard_error, found.critical, 1.0) is None


def test_same_seed_same_numbers() -> None:
    arms = [arm(rows) for rows in rng(18).normal(size=(3, 2000))]
    first, second = (compare_paired(arms, rng(19)) for _ in range(2))

    assert [a.difference for a in first.arms] == [a.difference for a in second.arms]


# -- seeds and p-values ------------------------------------------------------------------------


def test_five_seeds_are_not_resampled_and_have_no_p_value() -> None:
    rows = rng(20).normal(size=(5, 300)) + np.arange(5)[:, None]
    found = compare_paired([arm(*rows)], rng(21)).arms[0]

    assert found.p_value is None
    assert found.standard_error == pytest.approx(rows.mean(axis=0).std(ddof=1) / np.sqrt(300))


def test_six_seeds_are_resampled() -> None:
    # Seeds differ by an offset alone: the error is that of six numbers.
    offsets = np.array([-3.0, -2, -1, 1, 2, 3])
    rows = np.zeros((6, 300)) + offsets[:, None] + 1e-3 * rng(22).normal(size=300)
    found = compare_paired([arm(*rows)], rng(23)).arms[0]

    assert found.standard_error == pytest.approx(offsets.std(ddof=1) / np.sqrt(6), rel=1e-3)
    assert found.p_value is not None
    assert found.p_value > 0.5


def test_a_p_value_below_a_twentieth_is_an_interval_without_zero() -> None:
    for shift in np.linspace(-0.2, 0.0, 21):
        arms = [
            arm(*(rng(24).normal(shift, 1.0, size=(6, 400)))),
            arm(*rng(25).normal(size=(6, 400))),
        ]
        found = compare_paired(arms, rng(26)).arms[0]
        assert found.p_value is not None
        assert (found.p_value < 0.05) == (found.difference.high < 0)


def test_p_values_of_no_difference() -> None:
    found = compare_paired([arm(*np.zeros((6, 50))), arm(*np.full((6, 50), -1.0))], rng())

    assert found.arms[0].p_value == 1.0
    assert found.arms[1].p_value == pytest.approx(1 / 2001)


# -- coverage on planted data ------------------------------------------------------------------


def normal(r: np.random.Generator, n: int, k: int) -> np.ndarray:
    """Arms that share half of their variance, as those with one control do."""
    return r.normal(size=n) + r.normal(size=(k, n))


def skewed(r: np.random.Generator, n: int, k: int) -> np.ndarray:
    """Loss differences: most near zero, some of several nats."""
    return r.exponential(size=n) ** 2 - r.exponential(size=(k, n)) ** 2


@pytest.mark.parametrize(
    ("make", "n", "k"),
    [(normal, 60, 1), (normal, 60, 6), (normal, 1500, 4), (skewed, 400, 1), (skewed, 400, 6)],
)
def test_intervals_hold_together(make: Callable[..., np.ndarray], n: int, k: int) -> None:
    r, repeats = rng(27), 200
    hits = sum(
        covered(compare_paired([arm(d) for d in make(r, n, k)], r, resamples=500))
        for _ in range(repeats)
    )

    # Three standard errors of 200 repeats; intervals of each arm alone would hold at 0.8.
    assert hits / repeats >= 0.9


def test_a_few_groups_hold_together() -> None:
    r, repeats, hits = rng(28), 200, 0
    ids = np.arange(120) % 10
    for _ in range(repeats):
        rows = r.normal(size=(4, 120)) + r.normal(size=(4, 10))[:, ids]
        hits += covered(compare_paired([arm(d) for d in rows], r, groups=ids, resamples=500))

    assert hits / repeats >= 0.9


def test_eight_seeds_hold_together() -> None:
    r, repeats, hits = rng(29), 200, 0
    for _ in range(repeats):
        rows = r.normal(size=(3, 8, 200)) + r.normal(0.0, 0.2, size=(3, 8, 1))
        hits += covered(compare_paired([arm(*d) for d in rows], r, resamples=500))

    assert hits / repeats >= 0.9


def test_ignoring_seeds_would_not_hold() -> None:
    """What five seeds cannot tell: an interval for these seeds misses the mean over all."""
    r, repeats, hits = rng(30), 100, 0
    for _ in range(repeats):
        rows = r.normal(size=(5, 200)) + r.normal(0.0, 0.2, size=(5, 1))
        hits += covered(compare_paired([arm(*rows)], r, resamples=500))

    assert hits / repeats < 0.8


# -- power -------------------------------------------------------------------------------------


def test_minimum_detectable_effect_known_answer() -> None:
    # 1.96 + 0.8416 standard errors (Cohen 1988).
    assert minimum_detectable_effect(0.1, 1.959964) == pytest.approx(0.2801585)


def test_the_effect_is_found_as_often_as_told() -> None:
    r, repeats, hits = rng(31), 300, 0
    effect = minimum_detectable_effect(1 / np.sqrt(400), 1.959964)
    for _ in range(repeats):
        found = compare_paired([arm(r.normal(-effect, 1.0, size=400))], r, resamples=400)
        hits += found.arms[0].difference.high < 0

    told = wilson(hits, repeats)
    assert told.low <= 0.8 <= told.high


def test_rows_needed_is_the_same_formula() -> None:
    least = minimum_detectable_effect(0.1, 2.5)

    assert rows_needed(500, 0.1, 2.5, least) == 500
    assert rows_needed(500, 0.1, 2.5, -least / 2) == 2000
    assert rows_needed(500, 0.1, 2.5, 0.0) is None


# -- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [np.ones(4), np.ones((2, 4)), np.empty((1, 0)), [[np.nan, 1.0]]])
def test_differences_of_a_wrong_form_are_refused(rows: object) -> None:
    with pytest.raises(ValueError, match=r"need \(s, n\)|must be finite"):
        PairedRows(np.asarray(rows), (0,))


def test_no_arm_is_refused() -> None:
    with pytest.raises(ValueError, match="no arm"):
        compare_paired([], rng())


def test_arms_over_other_rows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[10, 12\] rows"):
        compare_paired([arm(np.ones(10)), arm(np.ones(12))], rng())
