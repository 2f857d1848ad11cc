import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gapdoctor.stats.calibration import (
    calibration_interval,
    cross_entropy,
    expected_calibration_error,
    fit_temperature,
    kl,
    log_softmax,
    reliability,
)
from gapdoctor.stats.intervals import wilson

LOGITS = hnp.arrays(np.float64, (6, 4), elements=st.floats(-30, 30))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def sampled_labels(logits: np.ndarray, seed: int) -> np.ndarray:
    """Labels drawn from softmax(logits): by construction calibrated at temperature 1."""
    gumbel = rng(seed).gumbel(size=logits.shape)
    return np.asarray((logits + gumbel).argmax(axis=1))


def test_cross_entropy_known_answers() -> None:
    logits = np.array([[0.0, 0.0, 0.0, 0.0], [np.log(3.0), 0.0, -np.inf, -np.inf]])
    logits[1, 2:] = -800.0
    np.testing.assert_allclose(cross_entropy(logits, [1, 0]), [np.log(4), np.log(4 / 3)])


def test_large_logits_neither_overflow_nor_lose_the_loss() -> None:
    logits = np.array([[1e4, 0.0], [-1e4, 0.0], [1e4, 1e4]], dtype=np.float32)
    np.testing.assert_allclose(cross_entropy(logits, [1, 1, 0]), [1e4, 0.0, np.log(2)])
    assert log_softmax(logits).dtype == np.float64


def test_kl_known_answer() -> None:
    teacher, student = np.log([[0.5, 0.5]]), np.log([[0.9, 0.1]])
    expected = 0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1)
    np.testing.assert_allclose(kl(teacher, student), [expected])
    # At temperature 2 the distributions are those of halved logits, and no T² is applied.
    np.testing.assert_allclose(kl(2 * teacher, 2 * student, temperature=2.0), [expected])


def test_many_rows_are_the_same_as_few() -> None:
    teacher, student = rng(8).normal(size=(2, 2500, 3)).astype(np.float32)
    labels = rng(9).integers(0, 3, 2500)
    at = np.array([0, 1023, 1024, 2499])
    np.testing.assert_array_equal(
        cross_entropy(student, labels)[at], cross_entropy(student[at], labels[at])
    )
    np.testing.assert_array_equal(kl(teacher, student)[at], kl(teacher[at], student[at]))


def test_logits_of_other_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="logits of the same rows"):
        kl(np.zeros((3, 2)), np.zeros((1, 2)))


@given(LOGITS, LOGITS, st.floats(-100, 100))
def test_a_constant_per_row_changes_nothing(
    teacher: np.ndarray, student: np.ndarray, constant: float
) -> None:
    labels = np.arange(6) % 4
    np.testing.assert_allclose(
        cross_entropy(student + constant, labels), cross_entropy(student, labels), atol=1e-9
    )
    np.testing.assert_allclose(kl(teacher, student + constant), kl(teacher, student), atol=1e-9)


@given(LOGITS, LOGITS, st.permutations(range(4)))
def test_renaming_classes_changes_nothing(
    teacher: np.ndarray, student: np.ndarray, order: list[int]
) -> None:
    labels = np.arange(6) % 4
    renamed = np.argsort(order)[labels]
    np.testing.assert_allclose(
        cross_entropy(student[:, order], renamed), cross_entropy(student, labels), atol=1e-9
    )
    np.testing.assert_allclose(
        kl(teacher[:, order], student[:, order]), kl(teacher, student), atol=1e-9
    )


@given(LOGITS, LOGITS)
def test_kl_is_zero_only_for_equals(teacher: np.ndarray, student: np.ndarray) -> None:
    assert (kl(teacher, student) >= 0).all()
    np.testing.assert_allclose(kl(teacher, teacher), 0.0, atol=1e-12)


def test_temperature_of_calibrated_logits_is_one() -> None:
    logits = rng(1).normal(0, 2, size=(20_000, 5))
    assert fit_temperature(logits, sampled_labels(logits, 2)) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("factor", [0.1, 3.0, 16.0])
def test_scaled_logits_scale_the_temperature(factor: float) -> None:
    logits = rng(3).normal(0, 2, size=(500, 5))
    labels = sampled_labels(logits, 4)
    once = fit_temperature(logits, labels)
    assert fit_temperature(factor * logits, labels) == pytest.approx(factor * once, rel=1e-6)


def test_the_fitted_temperature_is_the_best() -> None:
    logits = 4 * rng(5).normal(size=(300, 3))
    labels = sampled_labels(logits / 3, 6)
    best = fit_temperature(logits, labels)
    losses = [cross_entropy(logits / (best * f), labels).mean() for f in (1.0, 0.98, 1.02)]
    assert losses[0] < min(losses[1:])
    assert cross_entropy(logits / best, labels).mean() < cross_entropy(logits, labels).mean()


def test_temperature_ends() -> None:
    logits = np.array([[5.0, 0.0], [0.0, 5.0]])
    assert fit_temperature(logits, [0, 1]) == 0.01  # all right: sharper is always better
    assert fit_temperature(logits, [1, 0]) == 1000.0  # all wrong: flatter is always better
    assert fit_temperature(np.zeros((3, 2)), [0, 1, 1]) == 1.0


def test_reliability_known_answer() -> None:
    rows = reliability([0.05, 0.15, 0.2, 0.95, 1.0], [0, 1, 0, 1, 1], bins=10)
    assert [(r.low, r.high, r.count) for r in rows] == [(0.0, 0.1, 1), (0.1, 0.2, 2), (0.9, 1.0, 2)]
    assert rows[1].confidence == pytest.approx(0.175)
    assert rows[1].accuracy == 0.5


def test_expected_calibration_error_known_answer() -> None:
    # 4 rows at .9, half of them right; 4 rows at .55, all right: (4·.4 + 4·.45) / 8.
    confidence = [0.9] * 4 + [0.55] * 4
    correct = [1, 1, 0, 0, 1, 1, 1, 1]
    assert expected_calibration_error(confidence, correct) == pytest.approx(0.425)
    assert expected_calibration_error([], []) == 0.0


@given(st.integers(0, 10_000))
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    r = rng(seed)
    confidence, correct, order = r.random(50), r.random(50) < 0.5, r.permutation(50)
    assert expected_calibration_error(confidence[order], correct[order]) == pytest.approx(
        expected_calibration_error(confidence, correct)
    )


@pytest.mark.parametrize("overconfidence", [0.0, 0.15])
def test_the_interval_holds_the_true_error_and_the_measured_one(overconfidence: float) -> None:
    hits = 0
    for seed in range(100):
        r = rng(seed)
        # One confidence a bin, so that binning hides nothing: the true error is known.
        confidence = (r.integers(6, 15, size=400) + 0.5) / 15
        correct = r.random(400) < confidence - overconfidence
        found = calibration_interval(confidence, correct, r)
        assert found.low <= found.value <= found.high
        assert found.value == pytest.approx(expected_calibration_error(confidence, correct))
        hits += found.low <= overconfidence <= found.high
    assert wilson(hits, 100).high >= 0.95


def test_one_group_says_nothing_about_calibration() -> None:
    found = calibration_interval([0.9, 0.8], [1, 0], rng(), groups=["a", "a"])
    assert (found.low, found.high) == (0.0, 1.0)
