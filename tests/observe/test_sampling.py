"""Which rows are looked at, and which half a row is in."""

from __future__ import annotations

import numpy as np
import pytest

from gapdoctor.errors import DataError
from gapdoctor.observe.case import Split
from gapdoctor.observe.sampling import choosing_half, reading_order, rounds
from gapdoctor.observe.splits import check_groups, check_halves, split_rows

LABELS = np.repeat([0, 1, 2], [600, 300, 100])


def test_each_row_comes_once_by_the_seed(rng: np.random.Generator) -> None:
    order = reading_order(1_000, LABELS, rng)
    again = reading_order(1_000, LABELS, np.random.default_rng(0))
    other = reading_order(1_000, LABELS, np.random.default_rng(1))
    assert sorted(order.tolist()) == list(range(1_000))
    assert order.tolist() == again.tolist()
    assert order.tolist() != other.tolist()
    assert sorted(reading_order(50, None, rng).tolist()) == list(range(50))


@pytest.mark.parametrize("size", [10, 50, 137, 500])
def test_each_prefix_holds_each_class_in_proportion(size: int, rng: np.random.Generator) -> None:
    prefix = LABELS[reading_order(1_000, LABELS, rng)[:size]]
    expected = size * np.array([0.6, 0.3, 0.1])
    # a class's k-th row stands within one step of the share k/m
    assert (np.abs(np.bincount(prefix, minlength=3) - expected) <= 2).all()


def test_a_rows_half_is_a_hash_of_its_index_alone() -> None:
    many = choosing_half(np.arange(10_000), None)
    some = choosing_half(np.array([7, 3, 9_999]), None)
    assert some.tolist() == many[[7, 3, 9_999]].tolist()
    assert 0.48 < many.mean() < 0.52
    # written down, so that a new version cannot move a row to the other half unseen
    assert many[:16].astype(int).tolist() == [1, 0, 1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0]


def test_a_group_is_whole_wherever_its_rows_stand() -> None:
    groups = ["ann", "bob", "ann", "cy", "bob", "dan"]
    half = choosing_half(np.arange(6), groups)
    assert half[0] == half[2]
    assert half[1] == half[4]
    alone = {g: bool(choosing_half(np.array([99]), [g])[0]) for g in groups}
    assert half.tolist() == [alone[g] for g in groups]
    assert set(half.tolist()) == {True, False}


def test_rounds_double_from_1024_and_end_at_the_limit() -> None:
    assert rounds(10_000, 256) == [1_024, 2_048, 4_096, 8_192, 10_000]
    assert rounds(300, 256) == [300]
    assert rounds(1_024, 256) == [1_024]
    assert all(size % 100 == 0 for size in rounds(5_000, 100)[:-1])


def test_with_a_test_set_heldout_chooses_and_test_reports() -> None:
    labels, index = [np.zeros(3, int), np.ones(2, int)], [np.array([5, 1, 0]), np.array([1, 0])]
    rows = split_rows(Split.HELDOUT, labels, index, ["a", "b", "c", "d", "e", "f"])
    assert rows.choosing.tolist() == [True, True, True, False, False]
    assert rows.in_gap.tolist() == rows.from_test.tolist() == rows.reporting.tolist()
    assert rows.groups is not None
    assert rows.groups.tolist() == ["f", "b", "a", "test 1", "test 0"]


def test_without_a_test_set_the_gap_is_taken_over_both_halves() -> None:
    rows = split_rows(Split.HELDOUT, [np.zeros(40, int)], [np.arange(40)], None)
    assert rows.in_gap.all()
    assert 0 < rows.choosing.sum() < 40
    train = split_rows(Split.TRAIN, [np.zeros(4, int)], [np.arange(4)], ["x"] * 40)
    assert train.choosing.all()
    assert train.groups is None


def test_groups_need_one_id_a_row() -> None:
    check_groups(None, 3)
    check_groups(["a", "b", "c"], 3)
    with pytest.raises(DataError, match=r"data\.groups: 2 ids for 3 held-out rows"):
        check_groups(["a", "b"], 3)


def test_an_empty_reporting_half_is_refused() -> None:
    chosen = next(g for g in "abcdef" if choosing_half(np.array([0]), [g])[0])
    rows = split_rows(Split.HELDOUT, [np.zeros(9, int)], [np.arange(9)], [chosen] * 9)
    with pytest.raises(DataError, match="all 9 rows of 1 groups fall into the half that chooses"):
        check_halves(rows)
