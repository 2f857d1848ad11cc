"""What folds say, on curves whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gapdoctor.verify.folds import fold_interval, heldout_beside_folds, read_folds

EPOCHS = np.arange(1, 21)


def valley(at: float, level: float = 0.0) -> np.ndarray:
    """A curve that is lowest after an epoch."""
    return level + 0.01 * (EPOCHS - at) ** 2


def test_the_epoch_of_the_lowest_mean() -> None:
    found = read_folds([valley(7, level) for level in (0.3, 0.5, 0.9)], [10, 10, 10])
    assert (found.epoch, found.epochs, found.others) == (7, 20, (7, 7))
    assert found.lowest == pytest.approx([0.3, 0.5, 0.9])
    assert found.last == pytest.approx(np.array([0.3, 0.5, 0.9]) + 1.69)
    assert found.gain.value == pytest.approx(1.69)
    assert found.gain.high - found.gain.low == pytest.approx(0.0, abs=1e-9)
    assert found.better == 3


def test_levels_of_folds_do_not_move_it_and_rows_count_alike() -> None:
    found = read_folds([valley(5), valley(15, 9.0)], [10, 10])
    assert (found.epoch, found.others) == (10, (5, 15))
    assert read_folds([valley(5), valley(15)], [30, 10]).epoch in (7, 8)


def test_no_fold_is_judged_by_its_own_choice() -> None:
    """Each of two folds is lowest where the other is high: nothing is gained by stopping."""
    one, other = np.full(20, 1.0), np.full(20, 1.0)
    one[2:5], other[2:5] = 0.0, 2.5
    other[10:13], one[10:13] = 0.0, 2.5
    found = read_folds([one, other], [10, 10])
    assert found.gain.value == pytest.approx(-1.5)
    assert found.better == 0


def test_a_single_low_epoch_is_luck() -> None:
    curve = valley(12)
    curve[2] = -0.1
    assert read_folds([curve, curve], [9, 9]).epoch == 12


def test_a_curve_that_falls_to_its_end() -> None:
    found = read_folds([1 / EPOCHS, 2 / EPOCHS], [9, 9])
    assert found.epoch == 20
    assert found.gain.value == 0.0


def test_curves_of_different_length_are_read_as_far_as_all_go() -> None:
    assert read_folds([valley(18), valley(18)[:9]], [9, 9]).epochs == 9
    for bad in ([valley(3)], [valley(3), []]):
        with pytest.raises(ValueError, match="say nothing"):
            read_folds(bad, [9, 9])


def test_the_interval_is_that_of_nadeau_and_bengio() -> None:
    values = [0.1, 0.3, 0.2, 0.5, 0.4]
    half = stats.t.ppf(0.975, 4) * np.sqrt((1 / 5 + 1 / 4) * np.var(values, ddof=1))
    found = fold_interval(values)
    assert found.value == pytest.approx(0.3)
    assert (found.high - found.value, found.value - found.low) == pytest.approx((half, half))


def covered(k: int, draws: int = 400) -> float:
    """Share of intervals that hold the true mean loss of a mean, where students share rows."""
    rng, hits = np.random.default_rng(0), 0
    for _ in range(draws):
        rows = rng.normal(size=60)
        parts = np.array_split(rows, k)
        losses = []
        for j, part in enumerate(parts):
            mean = np.concatenate([*parts[:j], *parts[j + 1 :]]).mean()
            losses.append(((part - mean) ** 2).mean())
        found = fold_interval(losses)
        truth = 1 + 1 / (60 * (k - 1) / k)
        hits += found.low <= truth <= found.high
    return hits / draws


def test_it_covers_at_least_what_it_says() -> None:
    assert covered(5) >= 0.95


def test_held_out_rows_beside_rows_left_out() -> None:
    rng = np.random.default_rng(0)
    same = heldout_beside_folds(rng.exponential(size=800), rng.exponential(size=500), rng)
    assert same.low < 0 < same.high
    harder = heldout_beside_folds(rng.exponential(size=800), rng.exponential(size=500) + 0.5, rng)
    assert harder.low > 0.3
    assert harder.value == pytest.approx(0.5, abs=0.15)
    exact = heldout_beside_folds(np.ones(50), np.full(50, 3.0), rng)
    assert (exact.value, exact.low, exact.high) == (2.0, 2.0, 2.0)


def test_whole_groups_are_resampled() -> None:
    rng = np.random.default_rng(0)
    level = rng.normal(size=20)
    rows, ids = np.repeat(level, 30), np.repeat(np.arange(20), 30)
    alone = heldout_beside_folds(np.zeros(600), rows, rng)
    whole = heldout_beside_folds(np.zeros(600), rows, rng, groups=ids)
    assert whole.high - whole.low > 4 * (alone.high - alone.low)
    other = heldout_beside_folds(rows, np.zeros(600), rng, train_groups=ids)
    assert other.high - other.low == pytest.approx(whole.high - whole.low, rel=0.2)
