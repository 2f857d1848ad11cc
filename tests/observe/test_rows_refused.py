"""What is no data, and what a user's data raise, is told in one line that names where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
)

from gapdoctor.errors import DataError, GapDoctorError, UserCodeError
from gapdoctor.observe.rows import as_rows

N = 6
INPUTS = np.arange(2.0 * N).reshape(N, 2)
LABELS = np.array([0, 1, 2, 0, 1, 2])


class Pairs(Dataset[Any]):
    """(input, label), one by one."""

    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> Any:
        if i >= N:
            raise IndexError(i)
        return INPUTS[i], LABELS[i]


class Broken(Pairs):
    """Row 3 cannot be read."""

    def __getitem__(self, i: int) -> Any:
        if i == 3:
            raise OSError("truncated image")
        return super().__getitem__(i)


class Endless(Pairs):
    """Claims rows that are not there."""

    def __len__(self) -> int:
        return N + 1


class Lengthless(Pairs):
    def __len__(self) -> int:
        raise NotImplementedError


class Torn(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        yield INPUTS[0], 0
        raise ConnectionError("gone")


def read_all(source: Any, name: str) -> None:
    rows = as_rows(source, name)
    rows.read(np.arange(rows.count))


def fails() -> None:
    raise FileNotFoundError("no such disk")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (Broken(), r"data\.train: row 3 cannot be read: OSError: truncated image"),
        (Endless(), r"data\.train: row 6 cannot be read: IndexError"),
        (Lengthless(), r"data\.train: its length cannot be told"),
        (Torn(), r"data\.train: stopped at item 1 of the stream: ConnectionError: gone"),
        (fails, r"data\.train: raised when called: FileNotFoundError: no such disk"),
        (DataLoader(Pairs(), collate_fn=lambda s: 1 / 0), "the collate function raised"),
    ],
    ids=["row", "index", "length", "stream", "function", "collate"],
)
def test_what_a_users_data_raise_is_one_line_that_names_where(source: Any, told: str) -> None:
    with pytest.raises(UserCodeError, match=told):
        read_all(source, "train")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ([], "has no rows"),
        ((torch.empty(0, 2), torch.empty(0, dtype=torch.long)), "has no rows"),
        (iter([]), "has no rows"),
        ((INPUTS, LABELS[:4]), "6 inputs but 4 labels"),
        (7, "int is not a data set"),
        ("data/train", "'data/train' is a path, not a data set"),
        ({"x": INPUTS, "y": LABELS}, r"a dict with the keys \['x', 'y'\], not 'input' and 'label'"),
        (INPUTS, "a sample is ndarray, not"),
        ([(1,), (2,), (3,)], "a sample is tuple, not"),
        (lambda: lambda: 1, "function is not a data set"),
        (DataLoader(Pairs(), collate_fn=lambda s: (INPUTS[:1], LABELS[:2])), "kept|must keep|made"),
        ((INPUTS, np.array(["cat", "dog"] * 3)), "label 'cat' of row 0"),
        ([(x, "dog") for x in INPUTS], "label 'dog' of row 0"),
    ],
)
def test_what_is_no_data_is_refused_in_one_line(source: Any, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_all(source, "heldout")


def test_a_bad_label_of_a_data_set_names_its_row_number() -> None:
    samples = [(x, int(y)) for x, y in zip(INPUTS, LABELS, strict=True)]
    samples[4] = (samples[4][0], -100)
    with pytest.raises(DataError, match="label -100 of row 4"):
        as_rows(samples, "train").read(np.array([0, 4, 1]))


def test_a_bad_label_of_a_stream_names_its_place_in_the_stream() -> None:
    samples = ((INPUTS[0], 0.5 if i == 3 else 0) for i in range(5))
    with pytest.raises(DataError, match=r"label 0\.5 of row 3"):
        as_rows(samples, "train")


class NoLength(Dataset[Any]):
    def __getitem__(self, i: int) -> Any:
        return INPUTS[i], LABELS[i]


def test_a_data_set_without_a_length_says_so() -> None:
    with pytest.raises(DataError, match="NoLength without __len__ is not a data set"):
        as_rows(NoLength(), "train")


def test_every_refusal_is_of_our_own_kind_and_one_line() -> None:
    with pytest.raises(GapDoctorError) as caught:
        as_rows((INPUTS, np.eye(6)), "train")
    assert "\n" not in caught.value.message
    assert caught.value.hint
