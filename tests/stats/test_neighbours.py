import numpy as np
import pytest

from gapdoctor.stats.neighbours import near_duplicates


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def leaky(share: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    train, heldout = rng(1).normal(size=(400, 8)), rng(2).normal(size=(100, 8))
    k = int(share * 100)
    heldout[:k] = train[10 : 10 + k] + 0.001
    return train, heldout


def test_planted_duplicates_are_found_with_their_originals() -> None:
    found = near_duplicates(*leaky())
    assert found.share.value == 0.2
    assert found.share.low < 0.2 < found.share.high
    np.testing.assert_array_equal(found.heldout_rows, np.arange(20))
    np.testing.assert_array_equal(found.train_rows, np.arange(10, 30))
    assert found.usual == 0.0


def test_independent_rows_have_none() -> None:
    found = near_duplicates(*leaky(0.0))
    assert found.share.value == 0.0
    assert len(found.train_rows) == 0


def test_scale_shift_and_rotation_change_nothing() -> None:
    train, heldout = leaky()
    turn, _ = np.linalg.qr(rng(3).normal(size=(8, 8)))
    moved = near_duplicates(50 * train @ turn + 7, 50 * heldout @ turn + 7)
    np.testing.assert_array_equal(moved.heldout_rows, near_duplicates(train, heldout).heldout_rows)


def test_data_with_natural_copies_say_so() -> None:
    train = np.repeat(rng(4).normal(size=(50, 3)), 3, axis=0)
    found = near_duplicates(train, train[:10])
    assert found.usual == 1.0
    assert found.share.value == 1.0


def test_all_rows_alike() -> None:
    assert near_duplicates(np.ones((5, 2)), np.ones((3, 2))).usual == 1.0


def test_too_few_rows() -> None:
    with pytest.raises(ValueError, match="two train rows"):
        near_duplicates(np.ones((1, 2)), np.ones((3, 2)))
