import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, norm

from gapdoctor.stats.intervals import wilson
from gapdoctor.stats.membership import agreement_drop, auc_difference, membership_auc


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_known_answers() -> None:
    assert membership_auc([0.0, 1.0], [2.0, 3.0], rng()).value == 1.0
    assert membership_auc([2.0, 3.0], [0.0, 1.0], rng()).value == 0.0
    assert membership_auc([1.0, 1.0, 1.0], [1.0, 1.0], rng()).value == 0.5
    # Pairs won: (0 < 1), (0 < 2), (1 = 1: half), (1 < 2) of four.
    assert membership_auc([0.0, 1.0], [1.0, 2.0], rng()).value == 0.875


@given(st.integers(0, 10_000))
def test_equals_mann_whitney(seed: int) -> None:
    r = rng(seed)
    train, heldout = r.integers(0, 6, 30).astype(float), r.integers(0, 6, 20).astype(float)
    expected = mannwhitneyu(heldout, train).statistic / 600
    assert membership_auc(train, heldout, r).value == pytest.approx(expected)


@given(st.integers(0, 10_000))
def test_rows_in_another_order_or_scale_give_the_same(seed: int) -> None:
    r = rng(seed)
    train, heldout = r.exponential(size=25), r.exponential(size=35)
    moved = membership_auc(np.log(r.permutation(train)), np.log(r.permutation(heldout)), r)
    assert moved.value == pytest.approx(membership_auc(train, heldout, r).value)


def test_coverage() -> None:
    truth, hits = float(norm.cdf(0.5 / np.sqrt(2))), 0
    for seed in range(200):
        r = rng(seed)
        found = membership_auc(r.normal(size=200), r.normal(0.5, 1, size=120), r)
        hits += found.low <= truth <= found.high
    told = wilson(hits, 200)
    assert told.low <= 0.95 <= told.high


def test_the_interval_agrees_with_resampling_the_rows() -> None:
    r = rng(1)
    train, heldout = r.exponential(size=150), 1.4 * r.exponential(size=100)
    found = membership_auc(train, heldout, rng(2))
    draws = [
        membership_auc(
            train[r.integers(0, 150, 150)], heldout[r.integers(0, 100, 100)], rng()
        ).value
        for _ in range(300)
    ]
    width = found.high - found.low
    assert width == pytest.approx(np.quantile(draws, 0.975) - np.quantile(draws, 0.025), rel=0.15)


def test_the_teacher_is_the_control() -> None:
    r = rng(3)
    train, heldout = r.normal(size=800), r.normal(0.8, 1, size=800)
    same = auc_difference(train, heldout, train, heldout, rng())
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    more = auc_difference(train - 1.0, heldout, train, heldout, rng())
    assert more.low > 0.1
    expected = (
        membership_auc(train - 1.0, heldout, rng()).value
        - membership_auc(train, heldout, rng()).value
    )
    assert more.value == pytest.approx(expected)


def test_a_common_hardness_of_rows_makes_the_difference_narrow() -> None:
    r = rng(4)
    train, heldout = r.normal(size=500), r.normal(0.5, 1, size=500)
    noise = [r.normal(0, 0.1, 500) for _ in range(2)]
    paired = auc_difference(train + noise[0], heldout + noise[1], train, heldout, rng())
    alone = membership_auc(train, heldout, rng())
    assert (paired.high - paired.low) < 0.3 * (alone.high - alone.low)


def test_groups_widen() -> None:
    r = rng(5)
    ids = np.repeat(np.arange(20), 20)
    train, heldout = r.normal(size=400), r.normal(size=20)[ids]
    alone, grouped = (
        membership_auc(train, heldout, rng()),
        membership_auc(train, heldout, rng(), groups=ids),
    )
    assert (grouped.high - grouped.low) > 2 * (alone.high - alone.low)


def test_agreement_drop() -> None:
    train, heldout = np.array([1] * 90 + [0] * 10), np.array([1] * 120 + [0] * 80)
    found = agreement_drop(train, heldout, rng())
    assert found.value == pytest.approx(0.3)
    half = 1.96 * np.sqrt(0.9 * 0.1 / 100 + 0.6 * 0.4 / 200)
    assert (found.low, found.high) == pytest.approx((0.3 - half, 0.3 + half), abs=0.02)


def test_wrong_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="rows of both splits"):
        membership_auc([], [1.0], rng())
    with pytest.raises(ValueError, match="on the same rows"):
        auc_difference([1.0, 2.0], [1.0], [1.0], [1.0], rng())
