"""A loader whose sampler names rows is read at those rows only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    Sampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from gapdoctor.observe.rows import as_rows

DATA = TensorDataset(torch.arange(10.0)[:, None], torch.arange(10) % 2)


class Evens(Sampler[int]):
    """A user's own: every second row."""

    def __iter__(self) -> Iterator[int]:
        return iter(range(0, 10, 2))

    def __len__(self) -> int:
        return 5


class ForEver(Sampler[int]):
    def __iter__(self) -> Iterator[int]:
        while True:
            yield from (1, 4)


def read(loader: DataLoader[Any]) -> list[float]:
    rows = as_rows(loader, "heldout")
    return sorted(float(x[0]) for x in rows.read(np.arange(rows.count)).inputs)


@pytest.mark.parametrize(
    "loader",
    [
        DataLoader(DATA, shuffle=True),
        DataLoader(DATA, sampler=RandomSampler(DATA, num_samples=3)),
        DataLoader(DATA, sampler=WeightedRandomSampler([1.0] * 10, 4)),
    ],
    ids=["shuffled", "random", "weighted"],
)
def test_a_sampler_of_the_whole_set_leaves_it_whole(loader: DataLoader[Any]) -> None:
    assert read(loader) == list(range(10))


@pytest.mark.parametrize(
    ("loader", "expected"),
    [
        (DataLoader(DATA, sampler=SubsetRandomSampler([7, 1, 3])), [1, 3, 7]),
        (DataLoader(DATA, sampler=Evens()), [0, 2, 4, 6, 8]),
        (DataLoader(DATA, sampler=ForEver()), [1, 4]),
        (
            DataLoader(DATA, batch_sampler=BatchSampler(SubsetRandomSampler([9, 8]), 2, False)),
            [8, 9],
        ),
        (DataLoader(DATA, batch_sampler=[[0, 5], [6]]), [0, 5, 6]),
    ],
    ids=["subset", "own", "endless", "in batches", "listed batches"],
)
def test_a_sampler_of_some_rows_is_obeyed(loader: DataLoader[Any], expected: list[int]) -> None:
    assert read(loader) == expected


def test_a_subset_samplers_generator_is_not_drawn_from() -> None:
    generator = torch.Generator().manual_seed(3)
    before = generator.get_state()
    read(DataLoader(DATA, sampler=SubsetRandomSampler([1, 2], generator=generator)))
    assert torch.equal(generator.get_state(), before)
