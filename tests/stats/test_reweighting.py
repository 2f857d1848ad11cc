import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdoctor.stats.intervals import mean_interval
from gapdoctor.stats.reweighting import density_weights, prior_weights, reweighted_return


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_shift_of_the_inputs_is_returned() -> None:
    # The loss depends on x alone; train is N(0, 1), held-out N(1, 1).
    r = rng(1)
    train, heldout = r.normal(size=(3000, 1)), r.normal(1.0, 1.0, size=(3000, 1))
    weights = density_weights(train, heldout, rng(2))
    losses = heldout[:, 0] ** 2
    returned = reweighted_return(losses, weights.heldout)
    assert losses.mean() == pytest.approx(2.0, abs=0.15)
    assert returned.mean() == pytest.approx(1.0, abs=0.3)
    # For these two normals E[w]² / E[w²] is 1/e.
    assert weights.effective_share == pytest.approx(np.exp(-1), abs=0.12)


def test_no_shift_leaves_the_rows_as_they_are() -> None:
    r = rng(3)
    weights = density_weights(r.normal(size=(800, 5)), r.normal(size=(600, 5)), rng(4))
    assert weights.effective_share > 0.95
    assert weights.heldout.mean() == pytest.approx(1.0)


def test_disjoint_splits_leave_few_effective_rows() -> None:
    r = rng(5)
    heldout = np.concatenate([r.normal(8, 1, size=(500, 2)), r.normal(0, 1, size=(3, 2))])
    assert density_weights(r.normal(size=(500, 2)), heldout, rng(6)).effective_share < 0.1


def test_groups_are_not_split_by_the_folds() -> None:
    # Each group sits at a place of its own: a fold that saw the group would know it by heart.
    r = rng(7)
    ids = np.repeat(np.arange(10), 30)
    heldout = 3 * np.eye(10)[ids] + 0.01 * r.normal(size=(300, 10))
    train = r.normal(size=(300, 10)) * heldout.std(axis=0) + heldout.mean(axis=0)
    apart = density_weights(train, heldout, rng(8))
    whole = density_weights(train, heldout, rng(8), groups=ids)
    spread = [np.ptp(np.log(w.heldout)) for w in (apart, whole)]
    assert spread[0] != pytest.approx(spread[1])


@pytest.mark.parametrize(("n", "groups"), [(4, None), (20, ["a", "b"] * 10)])
def test_too_few_rows_or_groups(n: int, groups: list[str] | None) -> None:
    with pytest.raises(ValueError, match="5 folds need as many"):
        density_weights(rng().normal(size=(20, 2)), rng().normal(size=(n, 2)), rng(), groups)


def test_prior_weights_known_answer() -> None:
    # Train ½ ½, held-out ¾ ¼: weights in the ratio 2/3 to 2.
    weights = prior_weights([0, 1] * 10, [0, 0, 0, 1] * 5, 2)
    np.testing.assert_allclose(weights.heldout, [2 / 3, 2 / 3, 2 / 3, 2.0] * 5)
    assert weights.effective_share == pytest.approx(0.75)
    losses = np.array([1.0, 1.0, 1.0, 5.0] * 5)
    assert reweighted_return(losses, weights.heldout).mean() == pytest.approx(2.0 - 3.0)


def test_a_handful_of_rows_does_not_speak_for_all() -> None:
    """One held-out row of the class that train has most of: 50 times the mean, cut off at √100."""
    heldout = [0] + [1] * 99
    weights = prior_weights([0] * 50 + [1] * 50, heldout, 2)
    raw = np.array([50.0] + [50 / 99] * 99)
    raw[0] = 10 * raw.mean()
    np.testing.assert_allclose(weights.heldout, raw / raw.mean())
    assert weights.effective_share > 0.1


def test_classes_that_train_lacks_weigh_nothing() -> None:
    weights = prior_weights([0, 0, 1], [0, 1, 2, 2], 4)
    np.testing.assert_array_equal(weights.heldout[2:], 0.0)
    nothing = prior_weights([3, 3], [0, 1], 4)
    assert (nothing.heldout.sum(), nothing.effective_share) == (0.0, 0.0)


@given(st.integers(0, 10_000))
def test_the_mean_of_the_rows_is_the_difference_of_the_losses(seed: int) -> None:
    r = rng(seed)
    losses, weights = r.exponential(size=40), r.exponential(size=40)
    returned = reweighted_return(losses, weights)
    expected = losses.mean() - np.average(losses, weights=weights)
    assert returned.mean() == pytest.approx(expected)


def test_the_rows_give_the_right_interval() -> None:
    r = rng(9)
    losses, weights = 5 + r.exponential(size=400), r.exponential(size=400)
    found = mean_interval(reweighted_return(losses, weights), rng(10))
    draws = []
    for _ in range(1000):
        rows = r.integers(0, 400, 400)
        draws.append(losses[rows].mean() - np.average(losses[rows], weights=weights[rows]))
    assert found.low == pytest.approx(np.quantile(draws, 0.025), abs=0.03)
    assert found.high == pytest.approx(np.quantile(draws, 0.975), abs=0.03)
