from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gapdoctor.stats.curve_shape import by_epoch, end_slope, level_noise, running_median, scatter
from gapdoctor.stats.curves import CurveLimits, CurveState, read_curves
from gapdoctor.stats.intervals import wilson

N = 40
EPOCHS = np.arange(1, N + 1)


def settled(n: int = N, level: float = 0.6) -> np.ndarray:
    return level * (1 + 3 * np.exp(-15 * np.arange(n) / n))


def rising(n: int = N, best: float = 0.4, by: float = 0.4) -> np.ndarray:
    x = np.arange(n) / (n - 1)
    return settled(n) + by * np.clip((x - best) / (1 - best), 0, None)


def state(heldout: np.ndarray, train: np.ndarray | None = None, **options: Any) -> CurveState:
    return read_curves(np.arange(1, len(heldout) + 1), train, heldout, **options).state


def test_settled_curves_are_healthy() -> None:
    reading = read_curves(EPOCHS, 0.1 * settled(), settled(), planned_epochs=N)
    assert reading.state is CurveState.HEALTHY
    assert (reading.epochs, reading.ended_early, reading.diverged) == (N, False, False)
    assert reading.rise == pytest.approx(0.0)


def test_a_rise_is_overfitting_and_is_measured() -> None:
    reading = read_curves(EPOCHS, 0.1 * settled(), rising())
    assert reading.state is CurveState.OVERFITTING
    assert reading.best_epoch == pytest.approx(17, abs=2)
    # Medians of five: the end is read two epochs before the last.
    assert reading.rise_nats == pytest.approx(0.4 * (1 - 2 / 23.4), abs=0.02)
    assert reading.rise == pytest.approx(reading.rise_nats / 0.6, rel=0.15)


@pytest.mark.parametrize("by", [0.02, 0.03])
def test_a_rise_below_the_limit_is_healthy_until_the_limit_says_otherwise(by: float) -> None:
    heldout = rising(by=by)
    assert state(heldout) is CurveState.HEALTHY
    strict = replace(CurveLimits(), rise=0.005, rise_nats=0.001)
    assert state(heldout, limits=strict) is CurveState.OVERFITTING


def test_a_tiny_loss_may_double_without_harm() -> None:
    assert state(0.002 * rising(by=0.6)) is CurveState.HEALTHY


def test_one_bad_epoch_is_no_overfitting() -> None:
    heldout = settled()
    heldout[-1] *= 2
    assert state(heldout) is CurveState.HEALTHY


def test_a_composite_train_loss_changes_nothing() -> None:
    # A distilled student's train loss lies above its held-out loss; only its shape may count.
    for heldout in (settled(), rising()):
        assert state(heldout, 12 * settled()) is state(heldout, 0.01 * settled())


def test_still_falling_is_unfinished_unless_annealed() -> None:
    heldout = 2.0 - 1.5 * np.arange(N) / N
    assert state(heldout) is CurveState.UNFINISHED
    assert state(heldout, lr=np.full(N, 0.1)) is CurveState.UNFINISHED
    assert state(heldout, lr=0.1 * np.cos(np.pi * np.arange(N) / (2 * N))) is CurveState.HEALTHY
    reading = read_curves(EPOCHS, heldout, heldout)
    assert reading.still_falling
    assert reading.heldout_slope == pytest.approx(-1.5 / N)
    assert reading.train_slope == pytest.approx(-1.5 / N)


def test_an_end_before_the_plan_is_unfinished() -> None:
    assert state(settled(), planned_epochs=100) is CurveState.UNFINISHED
    assert state(settled(), planned_epochs=N + 2) is CurveState.HEALTHY
    assert state(settled(), planned_epochs=100, lr=np.geomspace(1, 0.01, N)) is CurveState.HEALTHY


@pytest.mark.parametrize(
    ("epochs", "planned", "early"),
    [
        (np.arange(20), 20, False),
        (np.arange(1, 21), 20, False),
        (np.arange(0, 100, 5), 100, False),
        (np.arange(1, 18), 20, True),
        (np.arange(20), None, None),
    ],
)
def test_epochs_may_count_from_nought_or_one(
    epochs: np.ndarray, planned: int | None, early: bool | None
) -> None:
    reading = read_curves(epochs, None, settled(len(epochs)), planned_epochs=planned)
    assert reading.ended_early is early


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_that_is_lost_is_unstable(bad: float) -> None:
    train, heldout = settled(), settled()
    train[30:], heldout[30:] = bad, bad
    reading = read_curves(EPOCHS, train, heldout)
    assert reading.diverged
    assert reading.state is CurveState.UNSTABLE


def test_a_train_loss_that_climbs_back_is_unstable() -> None:
    train = settled()
    train[30:] = 2.0
    assert state(settled(), train) is CurveState.UNSTABLE


def test_divergence_is_told_of_few_epochs_too() -> None:
    assert state(np.array([1.0, np.nan]), np.array([1.0, np.nan])) is CurveState.UNSTABLE


def test_a_swinging_loss_is_unstable() -> None:
    swing = np.where(np.arange(N) % 2, 1.6, 0.6)
    reading = read_curves(EPOCHS, 0.1 * settled(), settled() * swing)
    assert reading.state is CurveState.UNSTABLE
    assert reading.oscillation > CurveLimits().oscillation


def test_heldout_losses_logged_now_and_then() -> None:
    heldout = rising()
    heldout[np.arange(N) % 4 != 3] = np.nan
    reading = read_curves(EPOCHS, settled(), heldout)
    assert reading.epochs == 10
    assert reading.state is CurveState.OVERFITTING
    assert not reading.diverged


def test_rows_of_one_epoch_are_merged() -> None:
    epoch, (train, heldout) = by_epoch(
        [2, 1, 1, 2, 2], [0.4, np.nan, 0.5, np.nan, 0.3], [np.nan, 0.9, np.nan, 0.8, np.nan]
    )
    np.testing.assert_array_equal(epoch, [1, 2])
    np.testing.assert_array_equal(train, [0.5, 0.3])
    np.testing.assert_array_equal(heldout, [0.9, 0.8])


@pytest.mark.parametrize("n", [0, 1, 4])
def test_few_epochs_are_inconclusive(n: int) -> None:
    assert state(np.linspace(1, 5, n), np.linspace(1, 0.1, n)) is CurveState.INCONCLUSIVE


def test_columns_must_fit() -> None:
    with pytest.raises(ValueError, match="3 values for 2 epochs"):
        read_curves([1, 2], [1.0, 1.0], [1.0, 1.0, 1.0])


@given(hnp.arrays(np.float64, st.integers(5, 60), elements=st.floats(-0.015, 0.015)))
def test_no_noise_within_the_limit_is_ever_called_overfitting(noise: np.ndarray) -> None:
    # Noise that happens to fall with the epochs is a slope: it may read as unfinished.
    assert state(0.8 * (1 + noise)) in (CurveState.HEALTHY, CurveState.UNFINISHED)


@given(
    st.floats(0.01, 100),
    hnp.arrays(np.float64, 30, elements=st.floats(0.1, 2.0)),
)
def test_the_unit_of_the_train_loss_changes_nothing(factor: float, train: np.ndarray) -> None:
    assert state(rising(30), factor * train) is state(rising(30), train)


@pytest.mark.parametrize(("noise", "correlation"), [(0.03, 0.0), (0.1, 0.0), (0.05, 0.5)])
def test_noisy_healthy_curves_raise_few_false_alarms(noise: float, correlation: float) -> None:
    alarms, runs = 0, 300
    for seed in range(runs):
        r = np.random.default_rng(seed)
        n = int(r.integers(5, 120))
        wander = r.normal(size=n)
        for i in range(1, n):
            wander[i] = correlation * wander[i - 1] + np.sqrt(1 - correlation**2) * wander[i]
        heldout = settled(n, r.uniform(0.1, 2)) * (1 + noise * wander)
        train = 0.2 * settled(n) * (1 + 0.05 * r.normal(size=n))
        alarms += state(heldout, train) in {CurveState.OVERFITTING, CurveState.UNSTABLE}
    assert wilson(alarms, runs).high < 0.05


def test_noisy_overfitting_is_seen() -> None:
    seen = 0
    for seed in range(100):
        r = np.random.default_rng(seed)
        heldout = rising(int(r.integers(12, 120)), by=0.3) * (1 + 0.03 * r.normal())
        seen += state(heldout * (1 + 0.03 * r.normal(size=len(heldout)))) is CurveState.OVERFITTING
    assert wilson(seen, 100).low > 0.85


def test_running_median_takes_full_windows() -> None:
    np.testing.assert_array_equal(running_median(np.array([1.0, 9, 2, 3, 4]), 3), [2, 3, 3])
    assert len(running_median(np.ones(2), 3)) == 0


def test_a_noisy_step_up_is_a_rise() -> None:
    for seed in range(20):
        heldout = settled() * (1 + 0.03 * np.random.default_rng(seed).normal(size=N))
        heldout[28:] *= 1.4
        assert state(heldout) is CurveState.OVERFITTING


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_a_drop_of_the_learning_rate_is_no_oscillation(factor: float) -> None:
    # A step down is progress; a step up that stays (a logit scale let loose) is a rise.
    heldout = settled()
    heldout[26:] *= factor
    expected = CurveState.HEALTHY if factor < 1 else CurveState.OVERFITTING
    assert state(heldout) is expected


def test_scatter_is_that_around_the_trend() -> None:
    r = np.random.default_rng(0)
    noisy = 5 - 0.01 * np.arange(2000) + 0.2 * r.normal(size=2000)
    assert scatter(noisy) == pytest.approx(0.2, rel=0.1)
    assert scatter(np.linspace(3, 1, 50)) == pytest.approx(0.0, abs=1e-12)


def test_level_noise_is_that_of_a_median_of_five() -> None:
    r = np.random.default_rng(1)
    found = np.mean([level_noise(r.normal(size=3000), 5) for _ in range(20)])
    assert found == pytest.approx(np.sqrt(np.pi / 2 / 5), rel=0.03)
    slow = np.repeat(r.normal(size=600), 5)
    assert level_noise(slow, 5) == pytest.approx(1.0, rel=0.1)  # five equal values: no gain


def test_end_slope_reads_the_last_fifth() -> None:
    curve = np.concatenate([np.full(40, 5.0), 5.0 - 0.1 * np.arange(1, 11)])
    slope, high, change = end_slope(np.arange(50.0), curve)
    assert (slope, high, change) == pytest.approx((-0.1, -0.1, -0.9))
    assert np.isnan(end_slope(np.arange(3.0), np.ones(3))).all()
