"""The order of rows depends on seed, epoch and count alone; batches leave no row alone."""

from __future__ import annotations

import numpy as np
import pytest

from gapdoctor.training.batches import batch_count, batches_of, order_of, parts_of


def test_an_order_holds_every_row_once_and_is_its_seeds_own() -> None:
    first = order_of(3, 0, 100)
    assert sorted(first.tolist()) == list(range(100))
    assert (order_of(3, 0, 100) == first).all()
    assert (order_of(3, 1, 100) != first).any()
    assert (order_of(4, 0, 100) != first).any()


@pytest.mark.parametrize(
    ("count", "size", "lengths"),
    [
        (6, 2, [2, 2, 2]),
        (7, 3, [3, 4]),  # the seventh row is not left alone
        (8, 3, [3, 3, 2]),
        (3, 8, [3]),
        (1, 8, [1]),
        (4, 1, [1, 1, 1, 1]),
    ],
)
def test_a_last_row_joins_the_batch_before(count: int, size: int, lengths: list[int]) -> None:
    found = batches_of(np.arange(count), size)
    assert [len(b) for b in found] == lengths
    assert np.concatenate(found).tolist() == list(range(count))
    assert batch_count(count, size) == len(found)


@pytest.mark.parametrize(
    ("count", "rows", "lengths"),
    [(8, 8, [8]), (9, 8, [4, 5]), (9, 4, [3, 3, 3]), (3, 2, [3]), (3, 1, [1, 1, 1]), (1, 4, [1])],
)
def test_parts_are_about_equal_and_of_one_row_only_where_asked(
    count: int, rows: int, lengths: list[int]
) -> None:
    found = parts_of(count, rows)
    assert [p.stop - p.start for p in found] == lengths
    assert [i for p in found for i in range(p.start, p.stop)] == list(range(count))
