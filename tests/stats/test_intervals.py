import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdoctor.domain.findings import Interval
from gapdoctor.stats.intervals import (
    accuracy_interval,
    bootstrap_means,
    group_codes,
    interval_of,
    mean_interval,
    wilson,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_spread_is_that_of_the_mean() -> None:
    values = rng(1).normal(3.0, 2.0, size=(800, 2))
    draws = bootstrap_means(values, rng(2), resamples=4000)
    assert draws.shape == (4000, 2)
    np.testing.assert_allclose(draws.mean(axis=0), values.mean(axis=0), atol=0.01)
    np.testing.assert_allclose(draws.std(axis=0), values.std(axis=0) / np.sqrt(800), rtol=0.05)


def test_columns_keep_their_dependence() -> None:
    one = rng(1).normal(size=500)
    draws = bootstrap_means(np.stack([one, one + 7.0], axis=1), rng(2))
    np.testing.assert_allclose(draws[:, 1] - draws[:, 0], 7.0, atol=1e-12)


def test_pooled_blocks_agree_with_the_plain_bootstrap() -> None:
    # Heavy-tailed as losses are: most rows near zero, some of several nats.
    losses = rng(3).exponential(size=6000) ** 2
    pooled = bootstrap_means(losses[:, None], rng(4), resamples=4000)[:, 0]
    r = rng(5)
    plain = np.array([losses[r.integers(0, 6000, 6000)].mean() for _ in range(2000)])
    assert pooled.std() == pytest.approx(plain.std(), rel=0.08)
    width = np.quantile(plain, 0.975) - np.quantile(plain, 0.025)
    for level in (0.025, 0.5, 0.975):
        assert abs(np.quantile(pooled, level) - np.quantile(plain, level)) < 0.06 * width


def test_whole_groups_are_resampled() -> None:
    # 50 groups of 20 equal rows: 1,000 rows that are worth 50.
    ids = np.repeat(np.arange(50), 20)
    values = rng(6).normal(size=50)[ids]
    alone = mean_interval(values, rng(7))
    grouped = mean_interval(values, rng(7), groups=ids)
    ratio = (grouped.high - grouped.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(np.sqrt(20), rel=0.15)
    assert grouped.value == alone.value


def test_groups_of_different_size_give_a_ratio_of_sums() -> None:
    # Value = 1 in the one large group, 0 in nine small ones; the mean stays the row mean.
    ids = np.array(["big"] * 90 + [f"small {i}" for i in range(9)])
    values = (ids == "big").astype(float)
    draws = bootstrap_means(values[:, None], rng(8), groups=ids)
    # A draw holds the large group k times of ten: 90k / (90k + 10 − k), then widened.
    centered = draws[:, 0] - values.mean()
    factor = np.sqrt(10 / 9) * 2.262157 / 1.959964
    possible = np.array([90 * k / (90 * k + 10 - k) for k in range(11)]) - values.mean()
    assert all(np.isclose(possible * factor, d, atol=1e-5).any() for d in np.unique(centered))


def test_many_groups_are_pooled_too() -> None:
    ids = np.repeat(np.arange(3000), 2)
    values = rng(9).normal(size=3000)[ids]
    draws = bootstrap_means(values[:, None], rng(10), groups=ids, resamples=4000)
    assert draws.std() == pytest.approx(values.std() / np.sqrt(3000), rel=0.08)


@pytest.mark.parametrize(("n", "groups"), [(30, None), (400, None), (2500, None), (300, 10)])
def test_coverage_on_planted_normal_data(n: int, groups: int | None) -> None:
    r, drawn, hits, repeats = rng(11), rng(12), 0, 200
    for _ in range(repeats):
        values = r.normal(1.0, 2.0, size=n)
        ids = None
        if groups is not None:
            ids = np.arange(n) % groups
            values = values + r.normal(0.0, 1.0, size=groups)[ids]
        found = mean_interval(values, drawn, groups=ids)
        hits += found.low <= 1.0 <= found.high
    told = wilson(hits, repeats)
    assert told.low <= 0.95 <= told.high


def test_same_seed_same_draws() -> None:
    values = rng(1).normal(size=(2000, 3))
    first, second = (bootstrap_means(values, rng(5), resamples=20) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_one_row_or_one_group_says_nothing_about_spread() -> None:
    assert mean_interval([2.0], rng()) == Interval(2.0, -np.inf, np.inf)
    assert mean_interval([2.0, 4.0], rng(), groups=["a", "a"]) == Interval(3.0, -np.inf, np.inf)


def test_a_column_that_is_not_finite_leaves_the_others_alone() -> None:
    values = np.stack([np.ones(20), np.full(20, np.nan), np.full(20, np.inf)], axis=1)
    draws = bootstrap_means(values, rng())
    np.testing.assert_array_equal(draws[:, 0], 1.0)
    assert not np.isfinite(draws[:, 1:]).any()
    assert interval_of(draws[:, 2], np.inf) == Interval(np.inf, -np.inf, np.inf)


@pytest.mark.parametrize("values", [np.empty((0, 2)), np.ones(4)])
def test_wrong_shapes_are_refused(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="values must be"):
        bootstrap_means(values, rng())


def test_group_ids_must_fit_the_rows() -> None:
    with pytest.raises(ValueError, match="2 group ids for 3 rows"):
        bootstrap_means(np.ones((3, 1)), rng(), groups=["a", "b"])


def test_percentiles_of_known_draws() -> None:
    wide = interval_of(np.arange(1001.0), 500.0)
    assert (wide.value, wide.low, wide.high) == pytest.approx((500.0, 25.0, 975.0))
    narrow = interval_of(np.arange(1001.0), 480.0, level=0.8)
    assert (narrow.value, narrow.low, narrow.high) == pytest.approx((480.0, 100.0, 900.0))


def test_wilson_known_answers() -> None:
    # Brown, Cai & DasGupta 2001: (p + z²/2n ± z√(p(1−p)/n + z²/4n²)) / (1 + z²/n).
    found = wilson(8, 10)
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.4901625, 0.9433178))
    assert wilson(0, 20).low == 0.0
    assert wilson(20, 20).high == 1.0
    assert wilson(0, 20).high == pytest.approx(0.161125, abs=1e-6)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 4), (5, 4)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="0 <= successes <= n"):
        wilson(successes, n)


@given(st.integers(1, 500), st.floats(0, 1))
def test_wilson_holds_its_value_and_mirrors(n: int, share: float) -> None:
    k = round(share * n)
    found, other = wilson(k, n), wilson(n - k, n)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert (found.low, found.high) == pytest.approx((1 - other.high, 1 - other.low))


def test_accuracy_is_wilson_without_groups_and_bootstrap_with() -> None:
    correct = np.array([True] * 8 + [False] * 2)
    assert accuracy_interval(correct, rng()) == wilson(8, 10)
    grouped = accuracy_interval(correct, rng(), groups=np.arange(10) // 2)
    assert grouped.value == 0.8
    assert 0 <= grouped.low < 0.8 < grouped.high <= 1


def test_group_codes_count_from_zero_whatever_the_ids() -> None:
    np.testing.assert_array_equal(group_codes(["b", "a", "b", "c"]), [0, 1, 0, 2])
    np.testing.assert_array_equal(group_codes(np.array([9, 9, -1])), [0, 0, 1])
