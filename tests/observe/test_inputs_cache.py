"""Prepared inputs are kept while there is room, and read again beyond it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gapdoctor.observe.case import Pipeline
from gapdoctor.observe.inputs import Inputs
from gapdoctor.observe.rows import Rows
from gapdoctor.observe.samples import Raw

N, BATCH = 10, 4
ROW_BYTES = 4


class Counted:
    """Ten rows that count how often they are read."""

    def __init__(self) -> None:
        self.reads = np.zeros(N, dtype=int)

    def rows(self) -> Rows:
        def read(index: np.ndarray) -> Raw:
            np.add.at(self.reads, index, 1)
            return Raw(torch.tensor(index, dtype=torch.float32)[:, None], index % 2)

        return Rows("train", N, N, read)


@pytest.fixture
def counted() -> Counted:
    return Counted()


ORDER = np.arange(N)[::-1].copy()
PIPELINES = {"train": Pipeline(lambda x: x), "inference": Pipeline(lambda x: x + 100)}


def opened(counted: Counted, room: int = 10**6) -> tuple[Inputs, list[int]]:
    budget = [room]
    return Inputs([(counted.rows(), ORDER)], PIPELINES, budget), budget


def run(inputs: Inputs, pipeline: str, start: int = 0, stop: int = N) -> list[float]:
    batches = list(inputs.batches(0, start, stop, pipeline, BATCH))
    assert all(len(b) == BATCH for b in batches[:-1])
    return [float(x) for b in batches for x in b[:, 0]]


def test_one_reading_serves_every_pipeline(counted: Counted) -> None:
    inputs, _ = opened(counted)
    assert run(inputs, "train") == ORDER.tolist()
    assert run(inputs, "inference") == (ORDER + 100).tolist()
    assert run(inputs, "train") == ORDER.tolist()
    assert counted.reads.tolist() == [1] * N
    assert inputs.labels[0].tolist() == (ORDER % 2).tolist()


def test_later_rounds_read_new_rows_only(counted: Counted) -> None:
    inputs, _ = opened(counted)
    run(inputs, "train", 0, 8)
    assert counted.reads.sum() == 8
    run(inputs, "train", 8, N)
    # a short pass meets the first rows of a longer chunk
    assert run(inputs, "train", 0, 6) == ORDER[:6].tolist()
    assert counted.reads.tolist() == [1] * N


def test_what_does_not_fit_is_read_again(counted: Counted) -> None:
    inputs, budget = opened(counted, room=3 * BATCH * ROW_BYTES)
    run(inputs, "train")
    assert budget[0] < BATCH * ROW_BYTES
    assert run(inputs, "inference") == (ORDER + 100).tolist()
    assert run(inputs, "train") == ORDER.tolist()
    kept = ORDER[:BATCH]
    assert (counted.reads[kept] == 1).all()
    assert (np.delete(counted.reads, kept) > 1).all()
    assert budget[0] >= 0
    assert inputs.labels[0].tolist() == (ORDER % 2).tolist()


def test_a_longer_chunk_takes_the_place_of_a_shorter_one(counted: Counted) -> None:
    inputs, budget = opened(counted)
    run(inputs, "train", 0, 2)
    before = budget[0]
    run(inputs, "train", 0, 4)
    assert before - budget[0] == 2 * 2 * ROW_BYTES
    assert counted.reads[ORDER[0]] == 2


def test_rows_are_gathered_in_the_order_asked_for(counted: Counted) -> None:
    inputs, _ = opened(counted)
    run(inputs, "train")
    positions = np.array([9, 0, 5, 4])
    found = inputs.gather(0, positions, "inference", BATCH)
    assert found[:, 0].tolist() == (ORDER[positions] + 100).tolist()
    assert counted.reads.tolist() == [1] * N


def test_reading_anew_tells_random_inputs(counted: Counted) -> None:
    rng = np.random.default_rng(0)
    pipelines = {
        "same": Pipeline(lambda x: x * float("nan")),
        "random": Pipeline(lambda x: x + rng.random()),
        "shape": Pipeline(lambda x: torch.zeros(rng.integers(1, 10**6))),
    }
    inputs = Inputs([(counted.rows(), ORDER)], pipelines, [10**6])
    assert not inputs.differs(0, 3, "same")
    assert inputs.differs(0, 3, "random")
    assert inputs.differs(0, 1, "shape")
