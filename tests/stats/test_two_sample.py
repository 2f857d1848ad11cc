import numpy as np
import pytest
from scipy.stats import chi2_contingency, ks_2samp

from gapdoctor.stats.intervals import wilson
from gapdoctor.stats.two_sample import compare_components, compare_labels, principal_scores


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def correlated(r: np.random.Generator, n: int) -> np.ndarray:
    return r.normal(size=(n, 4)) @ rng(99).normal(size=(4, 12)) + 0.1 * r.normal(size=(n, 12))


def test_one_column_is_the_plain_test() -> None:
    train, heldout = rng(1).normal(size=300), rng(2).normal(0.3, 1, size=200)
    found = compare_components(train[:, None], heldout[:, None])
    expected = ks_2samp(train, heldout, method="asymp")
    assert found.statistics == pytest.approx([expected.statistic])
    assert found.p_value == pytest.approx(expected.pvalue)


def test_false_alarms_keep_the_level() -> None:
    alarms = 0
    for seed in range(200):
        r = rng(seed)
        alarms += compare_components(correlated(r, 300), correlated(r, 250)).p_value < 0.05
    assert wilson(alarms, 200).low < 0.05


def test_a_shift_is_seen_in_eight_components_at_most() -> None:
    r = rng(3)
    heldout = correlated(r, 500)
    heldout[:, 5] += 1.5 * heldout[:, 5].std()
    found = compare_components(correlated(r, 500), heldout)
    assert found.p_value < 1e-6
    assert len(found.p_values) == 8
    assert found.p_value == pytest.approx(8 * found.p_values.min())


def test_units_of_the_columns_change_nothing() -> None:
    r = rng(4)
    train, heldout = correlated(r, 200), correlated(r, 200) + 0.3
    scale = r.uniform(0.01, 100, size=12)
    once = compare_components(train, heldout)
    again = compare_components(train * scale + 5.0, heldout * scale + 5.0)
    np.testing.assert_allclose(again.statistics, once.statistics)


def test_features_that_do_not_vary() -> None:
    found = compare_components(np.ones((30, 3)), np.ones((20, 3)))
    assert found.p_value == 1.0
    assert len(found.p_values) == 0
    r = rng(5)
    some = np.concatenate([np.ones((100, 2)), r.normal(size=(100, 1))], axis=1)
    assert len(compare_components(some[:50], some[50:]).p_values) == 1


def test_more_columns_than_rows_give_the_same_components() -> None:
    r = rng(6)
    rows = correlated(r, 40)
    wide = principal_scores(np.tile(rows, (1, 10)), 5)  # 120 columns
    narrow = principal_scores(rows, 5)
    np.testing.assert_allclose(np.abs(wide), np.sqrt(10) * np.abs(narrow), rtol=1e-6, atol=1e-8)
    assert (np.diff(wide.var(axis=0)) < 0).all()


def test_labels_known_answer() -> None:
    train, heldout = [0] * 60 + [1] * 40, [0] * 30 + [1] * 70
    found = compare_labels(train, heldout, 2)
    expected = chi2_contingency([[60, 40], [30, 70]], correction=False)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.degrees == 1
    assert found.distance == pytest.approx(0.3)


def test_rare_classes_are_merged() -> None:
    train = [0] * 100 + [1] * 100 + list(range(2, 42))
    found = compare_labels(train, train, 50)
    assert found.degrees == 2
    assert (found.statistic, found.p_value, found.distance) == pytest.approx((0.0, 1.0, 0.0))


def test_renaming_classes_changes_nothing() -> None:
    r = rng(7)
    train, heldout, order = r.integers(0, 5, 300), r.integers(0, 4, 200), r.permutation(5)
    once, again = (
        compare_labels(a, b, 5) for a, b in ((train, heldout), (order[train], order[heldout]))
    )
    assert once.p_value == pytest.approx(again.p_value)
    assert once.distance == pytest.approx(again.distance)


def test_a_single_class_cannot_shift() -> None:
    assert compare_labels([1] * 20, [1] * 30, 3).p_value == 1.0
