"""Input statistics: known numbers of known pictures, columns and long rows; distances between."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gapdoctor.domain.findings import Intervention
from gapdoctor.observe.case import Split
from gapdoctor.observe.input_statistics import (
    CELLS,
    COLUMNS,
    COMPARED,
    GRID,
    ROWS_LOOKED_AT,
    distance,
    input_statistics,
    looked_at,
    mended_statistics,
)
from gapdoctor.observe.observations import Observations, Settings
from gapdoctor.observe.progress import Progress
from gapdoctor.pipeline import look


def taken_apart(pictures: torch.Tensor) -> dict[str, np.ndarray[Any, Any]]:
    """The statistics of pictures (n, C, H, W), by what they are."""
    channels, cells = pictures.shape[1], pictures.shape[1] * GRID * GRID
    sizes = {"mean": channels, "std": channels, "cells": cells}
    sizes |= dict.fromkeys(("down", "across", "bend", "low", "high"), 1)
    ends = np.cumsum(list(sizes.values()))
    found = input_statistics(pictures)
    assert found.dtype == np.float64
    assert found.shape == (len(pictures), ends[-1])
    return dict(zip(sizes, np.split(found, ends[:-1], axis=1), strict=True))


def ramp(height: int = 8, width: int = 8) -> torch.Tensor:
    """One picture (1, 1, H, W) that grows by 1 from column to column."""
    return torch.arange(width).float().expand(1, 1, height, width)


def test_a_ramp_has_known_numbers() -> None:
    found = taken_apart(ramp())
    assert found["mean"].item() == 3.5
    assert found["std"].item() == pytest.approx(np.std(np.tile(np.arange(8), 8), ddof=1))
    assert found["cells"].reshape(GRID, GRID).tolist() == [[0.5, 2.5, 4.5, 6.5]] * GRID
    steps = [found[key].item() for key in ("down", "across", "bend", "low", "high")]
    assert steps == [0.0, 1.0, 0.0, 0.0, 7.0]


def test_channels_are_told_apart() -> None:
    found = taken_apart(torch.cat([ramp(), ramp() * 0 + 9, -ramp()], dim=1))
    assert found["mean"].tolist() == [[3.5, 9.0, -3.5]]
    assert found["std"][0, 1] == 0
    assert (found["low"].item(), found["high"].item()) == (-7.0, 9.0)


def test_what_transforms_move(rng: np.random.Generator) -> None:
    pictures = torch.tensor(rng.normal(size=(5, 3, 12, 12)), dtype=torch.float32)
    before, turned = taken_apart(pictures), taken_apart(pictures.rot90(dims=(2, 3)))
    for key in ("mean", "std", "low", "high", "bend"):
        assert np.allclose(before[key], turned[key], atol=1e-5)
    assert np.allclose(before["down"], turned["across"])
    assert not np.allclose(before["cells"], turned["cells"], atol=0.1)
    blurred = taken_apart(torch.nn.functional.avg_pool2d(pictures, 3, 1, 1))
    assert (blurred["bend"] < before["bend"] / 2).all()


def test_maps_without_a_channel_are_pictures_of_one() -> None:
    assert np.array_equal(input_statistics(ramp()[:, 0]), input_statistics(ramp()))


def test_whole_numbers_are_taken_as_numbers() -> None:
    assert np.array_equal(input_statistics(ramp().to(torch.uint8)), input_statistics(ramp()))


@pytest.mark.parametrize("shape", [(4, 7), (4, COLUMNS), (4, 2, 3, 3), (4, 3, 5), (4,)])
def test_few_columns_and_small_maps_are_taken_as_they_are(shape: tuple[int, ...]) -> None:
    rows = torch.arange(float(np.prod(shape))).reshape(shape)
    assert np.array_equal(input_statistics(rows), rows.reshape(4, -1).double().numpy())


def test_long_rows_are_summed_up() -> None:
    rows = torch.arange(5.0 * CELLS).expand(2, -1)
    found = input_statistics(rows)
    assert found.shape == (2, CELLS + 4)
    assert np.allclose(found[0, :CELLS], 2 + 5 * np.arange(CELLS))
    spread, step, low, high = found[0, CELLS:]
    assert spread == pytest.approx(np.std(np.arange(5 * CELLS), ddof=1), rel=1e-6)
    assert (step, low, high) == (1.0, 0.0, 5 * CELLS - 1)


# -- distance ----------------------------------------------------------------------------------


def column(*values: float) -> np.ndarray[Any, Any]:
    return np.array(values, dtype=np.float64)[:, None]


@pytest.mark.parametrize(
    ("first", "second", "apart"),
    [
        (column(0, 1), column(0, 1, 2, 3), 0.5),
        (column(0, 1, 2), column(5, 6), 1.0),
        (column(0, 1, 2), column(2, 1, 0), 0.0),
        (column(7, 7), column(7, 7, 7), 0.0),
        (column(7, 7), column(8), 1.0),
        (column(0, 1, 2), column(1e-6, 1 + 1e-6, 2 - 1e-6), 0.0),  # rounding
    ],
)
def test_distances_that_are_known(first: Any, second: Any, apart: float) -> None:
    assert distance(first, second) == pytest.approx(apart)
    assert distance(second, first) == pytest.approx(apart)


def test_it_is_the_root_mean_square_over_the_columns() -> None:
    one = np.concatenate([column(0, 1, 2, 3)] * 2, axis=1)
    other = np.concatenate([column(0, 1, 2, 3), column(10, 11, 12, 13)], axis=1)
    assert distance(one, other) == pytest.approx(np.sqrt(0.5))


def test_of_many_columns_a_part_is_looked_at() -> None:
    """Every second of twice as many: those between do not matter."""
    rows = np.zeros((6, 2 * COMPARED))
    between = rows.copy()
    between[:, 1::2] = 5
    assert distance(rows, between) == pytest.approx(0, abs=1e-12)
    assert distance(rows, between[:, ::-1]) == pytest.approx(1)


@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(2, 40))
def test_it_is_the_distance_of_kolmogorov_and_smirnov(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(n, 3)), rng.normal(0.5, 2, size=(m, 3))
    near = np.sort(np.concatenate([first, second]), axis=0)
    if (np.diff(near, axis=0) < 1e-3 * near.std(axis=0)).any():
        return  # taken for equal, which scipy does not do
    pairs = zip(first.T, second.T, strict=True)
    expected = [stats.ks_2samp(a, b, method="asymp").statistic for a, b in pairs]
    assert distance(first, second) == pytest.approx(np.sqrt(np.mean(np.square(expected))))


# -- of observations ---------------------------------------------------------------------------


def looked(planted: ModuleType, n: int = 300, **more: Any) -> Observations:
    return look(planted.healthy(n, **more), Settings(batch_size=64), Progress())


def inputs(seen: Observations, split: Split) -> np.ndarray[Any, Any]:
    given = seen.case.train if split is Split.TRAIN else seen.case.heldout
    return np.asarray(given[0].double())[seen.rows(split).index]


@pytest.mark.parametrize("split", list(Split))
def test_rows_come_in_reading_order(planted: ModuleType, split: Split) -> None:
    seen = looked(planted)
    assert np.array_equal(mended_statistics(seen, split), inputs(seen, split))


def test_they_are_taken_once(planted: ModuleType) -> None:
    seen = looked(planted)
    assert mended_statistics(seen, Split.TRAIN) is mended_statistics(seen, Split.TRAIN)


def test_no_more_rows_are_looked_at_than_named(planted: ModuleType) -> None:
    wide = planted.bayes(6.0)  # an interval so wide that looking goes on to the end
    seen = looked(planted, ROWS_LOOKED_AT + 100, student=wide)
    assert seen.used > ROWS_LOOKED_AT
    assert looked_at(seen, Split.HELDOUT).tolist() == list(range(ROWS_LOOKED_AT))
    last = np.arange(seen.used - 3, seen.used)
    found = mended_statistics(seen, Split.HELDOUT, last)
    assert np.array_equal(found, inputs(seen, Split.HELDOUT)[last])


def test_rows_can_be_asked_for(planted: ModuleType) -> None:
    seen = looked(planted)
    some = np.array([1, 4, 299])
    assert np.array_equal(
        mended_statistics(seen, Split.TRAIN, some), inputs(seen, Split.TRAIN)[some]
    )


def test_a_test_set_is_what_is_looked_at(planted: ModuleType) -> None:
    seen = looked(planted, test=planted.rows(3, 50))
    positions = looked_at(seen, Split.HELDOUT)
    assert len(positions) == 50
    assert seen.rows(Split.HELDOUT).from_test[positions].all()
    expected = seen.case.test[0].double().numpy()[seen.rows(Split.HELDOUT).index[positions]]
    assert np.array_equal(mended_statistics(seen, Split.HELDOUT), expected)


def test_heldout_rows_are_mended_by_what_was_proven(planted: ModuleType) -> None:
    seen = looked(planted)
    before = {split: mended_statistics(seen, split) for split in Split}
    seen.offer("double", transform=lambda x: 2 * x)
    seen.believe(Intervention("correction", "double", touches_teacher=True))
    assert np.array_equal(mended_statistics(seen, Split.HELDOUT), 2 * before[Split.HELDOUT])
    assert np.array_equal(mended_statistics(seen, Split.TRAIN), before[Split.TRAIN])


def test_both_splits_come_through_the_train_pipeline(planted: ModuleType) -> None:
    seen = look(planted.mismatched(300), Settings(batch_size=64), Progress())
    for split in Split:
        assert np.allclose(
            mended_statistics(seen, split), planted.undo(inputs(seen, split)), atol=1e-5
        )
