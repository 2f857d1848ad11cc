import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from gapdoctor.stats.calibration import cross_entropy, kl
from gapdoctor.stats.head import (
    EffectiveWeight,
    HeadGradients,
    cosine,
    dead_share,
    effective_weight,
    head_gradients,
    odds_ratio,
)

CLASSES, WIDTH, ROWS, TEMPERATURE = 5, 6, 400, 4.0


def planted(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, teacher logits and labels that the teacher does not fully explain."""
    r = np.random.default_rng(seed)
    features = r.normal(size=(ROWS, WIDTH))
    teacher = 2.0 * features @ r.normal(size=(WIDTH, CLASSES)) + r.normal(size=(ROWS, CLASSES))
    labels = (teacher + 2.0 * r.gumbel(size=teacher.shape)).argmax(axis=1)
    return features, teacher, labels


def logits_of(head: np.ndarray, features: np.ndarray) -> np.ndarray:
    return np.asarray(features @ head[:, :-1].T + head[:, -1])


def gradients_at(
    head: np.ndarray, features: np.ndarray, teacher: np.ndarray, labels: np.ndarray, **more: float
) -> HeadGradients:
    return head_gradients(
        features, logits_of(head, features), teacher, labels, temperature=TEMPERATURE, **more
    )


def trained_head(
    data: tuple[np.ndarray, np.ndarray, np.ndarray],
    task_weight: float,
    distillation_factor: float,
    decay: float = 0.0,
) -> np.ndarray:
    """Minimise task_weight·CE + (1 − task_weight)·factor·KL + decay/2·‖W‖² to stationarity."""
    features, teacher, labels = data

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        head = flat.reshape(CLASSES, WIDTH + 1)
        logits = logits_of(head, features)
        value = (
            task_weight * cross_entropy(logits, labels).mean()
            + (1 - task_weight) * distillation_factor * kl(teacher, logits, TEMPERATURE).mean()
            + decay / 2 * (head**2).sum()
        )
        found = gradients_at(head, *data)
        slope = (
            task_weight * found.task
            + (1 - task_weight) * distillation_factor / TEMPERATURE**2 * found.distillation
            + decay * head
        )
        return float(value), slope.ravel()

    start = np.zeros(CLASSES * (WIDTH + 1))
    found = minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-7})
    return found.x.reshape(CLASSES, WIDTH + 1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gradients_equal_finite_differences(smoothing: float) -> None:
    features, teacher, labels = planted(1)
    head = np.random.default_rng(2).normal(size=(CLASSES, WIDTH + 1))
    found = gradients_at(head, features, teacher, labels, label_smoothing=smoothing)

    def task(moved: np.ndarray) -> float:
        logits = logits_of(moved, features)
        smooth = np.mean([cross_entropy(logits, np.full(ROWS, c)) for c in range(CLASSES)])
        return float((1 - smoothing) * cross_entropy(logits, labels).mean() + smoothing * smooth)

    def distillation(moved: np.ndarray) -> float:
        return float(TEMPERATURE**2 * kl(teacher, logits_of(moved, features), TEMPERATURE).mean())

    for loss, gradient in ((task, found.task), (distillation, found.distillation)):
        for at in ((0, 0), (3, 2), (1, WIDTH)):
            step = np.zeros_like(head)
            step[at] = 1e-5
            slope = (loss(head + step) - loss(head - step)) / 2e-5
            assert gradient[at] == pytest.approx(slope, abs=1e-7)


@pytest.mark.parametrize("task_weight", [0.1, 0.3, 0.7, 0.9])
@pytest.mark.parametrize("decay", [0.0, 0.02])
def test_the_declared_weight_is_read_back(task_weight: float, decay: float) -> None:
    data = planted()
    head = trained_head(data, task_weight, TEMPERATURE**2, decay)
    found = effective_weight(gradients_at(head, *data), head)
    assert found.task_weight == pytest.approx(task_weight, abs=1e-3)
    assert found.decay == pytest.approx(decay, abs=1e-4)
    assert found.residual < 1e-3
    assert odds_ratio(found, task_weight, TEMPERATURE, True) == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (1.0, TEMPERATURE**2),
        (TEMPERATURE**2 / CLASSES, CLASSES),
        (1.0 / CLASSES, TEMPERATURE**2 * CLASSES),
    ],
    ids=["T2 missing", "mean over classes", "both"],
)
def test_a_slip_shows_as_its_odds_ratio(factor: float, expected: float) -> None:
    data = planted()
    head = trained_head(data, 0.3, factor)
    found = effective_weight(gradients_at(head, *data), head)
    assert odds_ratio(found, 0.3, TEMPERATURE, True) == pytest.approx(expected, rel=0.02)


def test_no_t2_is_no_slip_where_it_is_declared() -> None:
    data = planted()
    head = trained_head(data, 0.3, 1.0)
    found = effective_weight(gradients_at(head, *data), head)
    assert odds_ratio(found, 0.3, TEMPERATURE, scale_by_t2=False) == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize("task_weight", [0.0, 1.0])
def test_a_single_loss_is_told_at_the_end_of_the_scale(task_weight: float) -> None:
    data = planted()
    head = trained_head(data, task_weight, TEMPERATURE**2, decay=0.05)
    found = effective_weight(gradients_at(head, *data), head)
    assert found.task_weight == pytest.approx(task_weight, abs=1e-3)
    assert np.isnan(odds_ratio(found, task_weight, TEMPERATURE, True))


def test_an_untrained_head_leaves_a_large_residual() -> None:
    data = planted()
    head = 0.1 * np.random.default_rng(3).normal(size=(CLASSES, WIDTH + 1))
    assert effective_weight(gradients_at(head, *data), head).residual > 0.4


@pytest.mark.parametrize("task_weight", [0.0, 1.0])
def test_a_single_loss_at_rest_without_decay_leaves_a_small_residual(task_weight: float) -> None:
    data = planted()
    head = trained_head(data, task_weight, TEMPERATURE**2)
    found = effective_weight(gradients_at(head, *data), head)
    assert found.task_weight == pytest.approx(task_weight, abs=1e-3)
    assert found.residual < 0.01


def test_dead_features_are_those_that_never_vary() -> None:
    features = np.random.default_rng(5).normal(size=(50, 8))
    assert dead_share(features) == 0.0
    features[:, :2], features[:, 2] = 0.0, 3.0
    assert dead_share(features) == pytest.approx(3 / 8)
    assert dead_share(np.zeros((50, 4))) == 1.0


def test_the_minimum_lies_within_its_bounds() -> None:
    r = np.random.default_rng(4)
    for _ in range(30):
        task, other, head = r.normal(size=(3, 2, 3))
        found = effective_weight(HeadGradients(task, other), head)
        assert 0 <= found.task_weight <= 1
        assert found.decay >= 0
        grid_a, grid_l = np.meshgrid(np.linspace(0, 1, 101), np.linspace(0, 5, 251))
        a, decay = grid_a[..., None, None], grid_l[..., None, None]
        grid = np.linalg.norm(a * task + (1 - a) * other + decay * head, axis=(-2, -1))
        exact = np.linalg.norm(
            found.task_weight * task + (1 - found.task_weight) * other + found.decay * head
        )
        assert exact <= grid.min() + 1e-12


@given(st.floats(1e-3, 1e3), st.integers(0, 1000))
def test_the_scale_of_the_loss_changes_nothing(factor: float, seed: int) -> None:
    task, other, head = np.random.default_rng(seed).normal(size=(3, 3, 4))
    once = effective_weight(HeadGradients(task, other), head)
    again = effective_weight(HeadGradients(factor * task, factor * other), head)
    assert again.task_weight == pytest.approx(once.task_weight, abs=1e-6)
    assert again.residual == pytest.approx(once.residual, abs=1e-6)
    assert again.decay == pytest.approx(factor * once.decay, rel=1e-6, abs=1e-9)


@given(st.permutations(range(CLASSES)), st.floats(-50, 50))
def test_names_of_classes_and_constants_change_nothing(order: list[int], constant: float) -> None:
    features, teacher, labels = planted(5)
    head = np.random.default_rng(6).normal(size=(CLASSES, WIDTH + 1))
    logits = logits_of(head, features)
    once = head_gradients(features, logits, teacher, labels, temperature=2.0)
    again = head_gradients(
        features,
        logits[:, order] + constant,
        teacher[:, order] - constant,
        np.argsort(order)[labels],
        temperature=2.0,
    )
    np.testing.assert_allclose(again.task, once.task[order], atol=1e-10)
    np.testing.assert_allclose(again.distillation, once.distillation[order], atol=1e-10)


def test_nothing_can_be_told_of_no_gradient() -> None:
    nothing = np.zeros((2, 3))
    found = effective_weight(HeadGradients(nothing, nothing), np.ones((2, 3)))
    assert np.isnan(found.task_weight)
    assert found.residual == 1.0


def test_odds() -> None:
    assert EffectiveWeight(0.75, 0.0, 0.0).odds == pytest.approx(3.0)
    assert EffectiveWeight(1.0, 0.0, 0.0).odds == np.inf


def test_cosine() -> None:
    assert cosine([[1.0, 0.0]], [[-2.0, 0.0]]) == -1.0
    assert cosine([1.0, 0.0], [1.0, 1.0]) == pytest.approx(np.sqrt(0.5))
    assert np.isnan(cosine([0.0], [1.0]))
