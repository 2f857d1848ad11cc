"""Every form that data come in gives the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
)

from gapdoctor.errors import DataError
from gapdoctor.observe.inputs import prepare
from gapdoctor.observe.rows import SHUFFLE_BUFFER, Rows, as_rows

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


class Dicts(Pairs):
    """Samples under the user's own keys."""

    def __getitem__(self, i: int) -> Any:
        return {"pixels": INPUTS[i], "target": LABELS[i], "id": i}


class Stream(IterableDataset[Any]):
    """The same rows, in their order; counts what it gave."""

    def __init__(self, count: int = N) -> None:
        self.count = count
        self.given = 0

    def __iter__(self) -> Iterator[Any]:
        for i in range(self.count):
            self.given += 1
            yield INPUTS[i % N], int(LABELS[i % N])


class Batches(IterableDataset[Any]):
    """Yields whole batches."""

    def __iter__(self) -> Iterator[Any]:
        yield torch.tensor(INPUTS[:4]), torch.tensor(LABELS[:4])
        yield torch.tensor(INPUTS[4:]), torch.tensor(LABELS[4:])


def fold(samples: list[Any]) -> dict[str, Any]:
    """A user's own collate function, of dict samples."""
    return {
        "pixels": torch.stack([torch.tensor(s["pixels"]) for s in samples]),
        "target": torch.tensor([s["target"] for s in samples]),
    }


FORMS = {
    "a data set": Pairs(),
    "tensors": (torch.tensor(INPUTS), torch.tensor(LABELS)),
    "a tensor data set": TensorDataset(torch.tensor(INPUTS), torch.tensor(LABELS)),
    "arrays": (INPUTS, LABELS),
    "an array and a list": (INPUTS, LABELS.tolist()),
    "two lists": (INPUTS.tolist(), LABELS.tolist()),
    "a list of samples": list(zip(INPUTS, LABELS, strict=True)),
    "a pandas table": (pd.DataFrame(INPUTS, columns=["a", "b"]), pd.Series(LABELS)),
    "a dict of arrays": {"input": INPUTS, "label": LABELS},
    "a function": lambda: (INPUTS, LABELS),
    "a class": Pairs,
    "a loader": DataLoader(Pairs(), batch_size=4, shuffle=True),
    "a loader of tensors": DataLoader(TensorDataset(torch.tensor(INPUTS), torch.tensor(LABELS))),
    "a subset": Subset(ConcatDataset([Pairs(), Pairs()]), [6, 7, 2, 3, 10, 5]),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_gives_the_rows_asked_for_in_that_order(form: str) -> None:
    rows = as_rows(FORMS[form], "train")
    index = np.array([5, 0, 3])
    raw = rows.read(index)
    assert (rows.count, rows.length) == (N, N)
    assert prepare(raw.inputs, None, "train").tolist() == INPUTS[index].tolist()
    assert raw.labels.tolist() == LABELS[index].tolist()


@pytest.mark.parametrize("loader", [None, fold], ids=["data set", "own collate"])
def test_dicts_are_read_by_the_keys_named(loader: Any) -> None:
    source: Any = DataLoader(Dicts(), collate_fn=loader) if loader else Dicts()
    raw = as_rows(source, "train", keys=("pixels", "target")).read(np.array([4, 1]))
    assert prepare(raw.inputs, None, "train").tolist() == INPUTS[[4, 1]].tolist()
    assert raw.labels.tolist() == [1, 1]


def test_a_key_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(DataError, match=r"data\.train: a sample has no key 'input'.*'pixels'"):
        as_rows(Dicts(), "train").read(np.array([0]))


@pytest.mark.parametrize(
    "source",
    [
        Stream(),
        DataLoader(Stream(), batch_size=4),
        DataLoader(Batches(), batch_size=None),
        DataLoader(Stream(), batch_size=None),
        DataLoader(Pairs(), batch_size=None),
        (sample for sample in zip(INPUTS, LABELS, strict=True)),
    ],
    ids=["iterable", "loader", "whole batches", "unbatched", "map without batches", "generator"],
)
def test_a_stream_shorter_than_its_room_is_kept_whole(source: Any) -> None:
    rows = as_rows(source, "train", stream_rows=50)
    raw = rows.read(np.arange(N))
    assert rows.length is None
    assert prepare(raw.inputs, None, "train").tolist() == INPUTS.tolist()
    assert raw.labels.tolist() == LABELS.tolist()


def test_a_stream_is_not_read_beyond_its_buffer() -> None:
    stream = Stream(1_000)
    rows = as_rows(stream, "train", stream_rows=5)
    assert rows.count == 5
    assert stream.given == 5 * SHUFFLE_BUFFER


def test_a_stream_keeps_rows_of_its_whole_buffer_by_the_seed() -> None:
    def kept(seed: int) -> list[float]:
        samples = ((np.array([i]), 0) for i in range(400))
        rows = as_rows(samples, "train", stream_rows=100, seed=seed)
        return [float(x[0]) for x in rows.read(np.arange(100)).inputs]

    first = kept(1)
    assert len(set(first)) == 100
    assert max(first) > 200  # not the first hundred
    assert first == kept(1)
    assert first != kept(2)


def test_a_loaders_own_generator_is_left_as_it_was() -> None:
    generator = torch.Generator().manual_seed(7)
    before = generator.get_state()
    as_rows(DataLoader(Stream(), generator=generator), "train")
    assert torch.equal(generator.get_state(), before)


class Doubled(TensorDataset):
    """Tensors that are changed on the way out."""

    def __getitem__(self, i: Any) -> Any:
        x, y = super().__getitem__(i)
        return 2 * x, y


def test_a_subclass_that_changes_samples_is_read_through_its_own_code() -> None:
    data = Doubled(torch.tensor(INPUTS), torch.tensor(LABELS))
    for source in (data, DataLoader(data), Subset(data, [0, 1])):
        raw = as_rows(source, "train").read(np.array([1]))
        assert prepare(raw.inputs, None, "train").tolist() == (2 * INPUTS[[1]]).tolist()


def test_a_file_that_is_read_in_ascending_order_only_is_read_so() -> None:
    class OnDisk:
        """As h5py has it."""

        shape = INPUTS.shape

        def __len__(self) -> int:
            return N

        def __getitem__(self, index: Any) -> Any:
            if (np.diff(index) <= 0).any():
                raise TypeError("Indexing elements must be in increasing order")
            return INPUTS[index]

    raw = as_rows((OnDisk(), LABELS), "train").read(np.array([4, 0, 2]))
    assert np.asarray(raw.inputs).tolist() == INPUTS[[4, 0, 2]].tolist()


def test_two_samples_in_a_list_are_two_samples() -> None:
    three = [{"input": INPUTS[i], "label": i, "id": i} for i in range(2)]
    for source in ([(INPUTS[0], 0), (INPUTS[1], 1)], three):
        rows = as_rows(source, "train")
        assert rows.read(np.array([1])).labels.tolist() == [1]
        assert rows.count == 2


def test_rows_are_handed_on() -> None:
    rows = as_rows((INPUTS, LABELS), "train")
    assert as_rows(rows, "heldout") is rows
    assert isinstance(rows, Rows)
