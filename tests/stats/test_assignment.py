import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdoctor.stats.assignment import best_order, confusion, read_order, reorder
from gapdoctor.stats.calibration import cross_entropy

CLASSES = 6


def predictions(seed: int, n: int = 600, accuracy: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    r = np.random.default_rng(seed)
    labels = r.integers(0, CLASSES, n)
    guess = np.where(r.random(n) < accuracy, labels, r.integers(0, CLASSES, n))
    return guess, labels


def test_confusion_known_answer() -> None:
    np.testing.assert_array_equal(
        confusion([0, 0, 1], [0, 1, 1], 3), [[1, 0, 0], [1, 1, 0], [0] * 3]
    )


def test_the_right_order_is_left_alone() -> None:
    guess, labels = predictions(0)
    found = read_order(guess[:300], labels[:300], guess[300:], labels[300:], CLASSES)
    assert (found.offset, found.moved) == (0, 0)
    np.testing.assert_array_equal(found.before, found.after)
    assert found.before.mean() == (guess[300:] == labels[300:]).mean()


@pytest.mark.parametrize("offset", [1, -1])
def test_an_offset_is_named(offset: int) -> None:
    guess, labels = predictions(1)
    guess = (guess - offset) % CLASSES
    found = read_order(guess[:300], labels[:300], guess[300:], labels[300:], CLASSES)
    assert found.offset == offset
    assert found.moved == CLASSES
    assert found.before.mean() < 0.1
    assert found.after.mean() > 0.85


@given(st.permutations(range(CLASSES)))
def test_any_permutation_is_undone(order: list[int]) -> None:
    guess, labels = predictions(2)
    swapped = np.array(order)[guess]
    found = read_order(swapped[:300], labels[:300], swapped[300:], labels[300:], CLASSES)
    np.testing.assert_array_equal(found.order, np.argsort(order))
    np.testing.assert_array_equal(found.after, guess[300:] == labels[300:])


def test_guesses_by_chance_gain_nothing_on_the_other_half() -> None:
    gains = []
    for seed in range(30):
        guess, labels = predictions(seed, n=400, accuracy=0.0)
        found = read_order(guess[:200], labels[:200], guess[200:], labels[200:], CLASSES)
        gains.append(found.after.mean() - found.before.mean())
    assert abs(np.mean(gains)) < 3 * np.std(gains) / np.sqrt(30)


def test_classes_without_rows_stay() -> None:
    counts = np.zeros((5, 5))
    counts[0, 2], counts[2, 4], counts[4, 0] = 20, 20, 20
    np.testing.assert_array_equal(best_order(counts), [4, 1, 0, 3, 2])


def test_reordered_logits_give_the_loss_back() -> None:
    r = np.random.default_rng(3)
    logits, labels = r.normal(size=(50, CLASSES)), r.integers(0, CLASSES, 50)
    order = r.permutation(CLASSES)
    faulty = logits[:, order]  # column j holds what class order[j] means
    np.testing.assert_array_equal(reorder(faulty, order), logits)
    np.testing.assert_allclose(
        cross_entropy(reorder(faulty, order), labels), cross_entropy(logits, labels)
    )
    guess = faulty.argmax(axis=1)
    np.testing.assert_array_equal(reorder(faulty, order).argmax(axis=1), order[guess])
