"""The best head on given features: solved beforehand, half solved, and with a loss of its own."""

import numpy as np
import pytest

from gapdoctor.stats.calibration import cross_entropy, kl
from gapdoctor.stats.refit import HeadLoss, refit_share

CLASSES, WIDTH, ROWS = 4, 6, 2_000
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def planted(seed: int = 0) -> Arrays:
    """Features, teacher logits and labels; the teacher is a head on those features, and noise."""
    r = np.random.default_rng(seed)
    features = np.maximum(r.normal(size=(ROWS, WIDTH)), 0)
    teacher = 4.0 * features @ r.normal(size=(WIDTH, CLASSES)) + r.normal(size=(ROWS, CLASSES))
    labels = (teacher + r.gumbel(size=teacher.shape)).argmax(axis=1)
    return features.astype(np.float32), teacher.astype(np.float32), labels


def loss(data: Arrays, **more: float) -> HeadLoss:
    return HeadLoss(*data, **{"task_weight": 0.3, "temperature": 4.0, **more})  # type: ignore[arg-type]


def at_rest(of: HeadLoss) -> np.ndarray:
    """Gradient descent to the end, from nothing."""
    head, rows = np.zeros((CLASSES, WIDTH + 1)), np.arange(ROWS)
    for _ in range(3_000):
        head -= 0.3 * of.slope(head, rows)
    return head


HALF = np.arange(ROWS) % 2 == 0


def test_the_loss_is_that_of_the_recipe() -> None:
    features, teacher, labels = planted()
    head = np.random.default_rng(1).normal(size=(CLASSES, WIDTH + 1))
    logits = features @ head[:, :-1].T + head[:, -1]
    expected = (
        0.3 * cross_entropy(logits, labels).mean() + 0.7 * 16 * kl(teacher, logits, 4.0).mean()
    )
    assert loss(planted()).of(head, np.arange(ROWS)) == pytest.approx(expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_its_slope_is_the_finite_difference(weight: float, smoothing: float) -> None:
    of, rows = loss(planted(), task_weight=weight, label_smoothing=smoothing), np.arange(ROWS)
    head = np.random.default_rng(2).normal(size=(CLASSES, WIDTH + 1))
    step = np.zeros_like(head)
    step[2, 3] = 1e-5
    numeric = (of.of(head + step, rows) - of.of(head - step, rows)) / 2e-5
    assert of.slope(head, rows)[2, 3] == pytest.approx(numeric, rel=1e-4)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_a_head_at_rest_has_nothing_to_win(weight: float) -> None:
    of = loss(planted(), task_weight=weight)
    assert refit_share(of, at_rest(of), HALF) < 0.02


def test_one_on_its_way_has() -> None:
    of = loss(planted())
    shares = [refit_share(of, part * at_rest(of), HALF) for part in (0.9, 0.5, 0.1)]
    assert shares == sorted(shares)
    assert shares[0] > 0.02
    assert shares[-1] > 0.5


def test_how_columns_are_scaled_does_not_matter() -> None:
    features, teacher, labels = planted()
    scale = np.array([1e-3, 1.0, 1e3, 1.0, 10.0, 0.1], np.float32)
    head = 0.5 * at_rest(loss(planted()))
    moved = head / np.append(scale, 1.0)
    shares = [
        refit_share(loss((f, teacher, labels)), h, HALF)
        for f, h in ((features, head), (features * scale, moved))
    ]
    assert shares[0] == pytest.approx(shares[1], abs=1e-3)


def test_dead_features_and_a_missing_bias_are_no_matter() -> None:
    features, teacher, labels = planted()
    features[:, 2] = 0.0
    of = HeadLoss(features, teacher, labels, 0.3, 4.0, biased=False)
    head = np.zeros((CLASSES, WIDTH + 1))
    assert not of.slope(head, np.arange(ROWS))[:, -1].any()
    assert 0.3 < refit_share(of, head, HALF) < 1.0


def test_few_rows_do_not_make_it_look_worse() -> None:
    features, teacher, labels = planted()
    few = HeadLoss(features[:16], teacher[:16], labels[:16], 0.3, 4.0)
    assert refit_share(few, at_rest(loss(planted())), np.arange(16) < 8) >= 0.0
