"""Train rows: read once where they fit, in any order, through the right pipelines."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch

from gapdoctor import Preprocess
from gapdoctor.observe.pipelines import prepare_case
from gapdoctor.training.rows import Batch, Indices, TrainingRows, rows_of_case, rows_of_tensors


class Source:
    """20 rows that count how often each is read."""

    def __init__(self) -> None:
        self.reads = np.zeros(20, dtype=int)

    def __call__(self, index: Indices) -> Batch:
        self.reads[index] += 1
        values = torch.from_numpy(index).float()
        return Batch(index, values[:, None] * 10, torch.from_numpy(index % 3))


def at(*rows: int) -> Indices:
    return np.array(rows, dtype=np.int64)


def test_each_row_is_read_once_where_all_fit() -> None:
    source = Source()
    rows = TrainingRows(20, source)
    for index in (at(3, 1, 7), at(7, 3), at(1, 19, 3, 0)):
        batch = rows.batch(index)
        assert batch.inputs[:, 0].tolist() == (10 * index).tolist()
        assert batch.labels.tolist() == (index % 3).tolist()
        assert batch.index.tolist() == index.tolist()
    assert source.reads[[0, 1, 3, 7, 19]].tolist() == [1] * 5
    assert source.reads.sum() == 5


def test_rows_that_do_not_fit_are_read_again() -> None:
    source = Source()
    rows = TrainingRows(20, source, keep=20 * 12 - 1)  # 4 bytes an input, 8 a label
    for index in (at(3, 1), at(1, 3)):
        assert rows.batch(index).inputs[:, 0].tolist() == (10 * index).tolist()
    assert source.reads[[1, 3]].tolist() == [2, 2]


def test_tensors_are_handed_out_by_row() -> None:
    inputs, labels = torch.arange(12.0).reshape(6, 2), torch.tensor([0, 1, 2, 0, 1, 2])
    rows = rows_of_tensors(inputs, labels, -inputs)
    batch = rows.batch(at(5, 2))
    assert rows.count == 6
    assert batch.inputs.tolist() == [[10.0, 11.0], [4.0, 5.0]]
    assert batch.teacher_inputs is not None
    assert batch.teacher_inputs.tolist() == [[-10.0, -11.0], [-4.0, -5.0]]
    assert batch.labels.tolist() == [2, 2]


def test_a_batch_may_be_changed_without_changing_the_rows() -> None:
    inputs = torch.zeros(4, 2)
    rows = rows_of_tensors(inputs, torch.zeros(4, dtype=torch.int64))
    rows.batch(at(0, 1)).inputs.add_(5)
    assert rows.batch(at(0, 1)).inputs.abs().sum() == 0


@pytest.mark.parametrize("own", [False, True])
def test_rows_of_a_case_come_through_its_train_pipeline(planted: ModuleType, own: bool) -> None:
    inputs, labels = planted.rows(1, 30)
    teacher = planted.forgotten if own else None
    case = planted.healthy(
        train=planted.raw((inputs, labels)),
        heldout=planted.raw(planted.rows(2, 30)),
        preprocess=Preprocess(planted.undo, planted.undo, teacher=teacher),
    )
    batch = rows_of_case(prepare_case(case, 1000, 0)).batch(at(4, 2))
    assert torch.allclose(batch.inputs, inputs[[4, 2]], atol=1e-5)
    assert batch.labels.tolist() == labels[[4, 2]].tolist()
    assert (batch.teacher_inputs is not None) == own
    if batch.teacher_inputs is not None:
        assert torch.allclose(batch.teacher_inputs, inputs[[4, 2]] + 1.5, atol=1e-5)


def test_all_rows_at_once_where_they_fit() -> None:
    inputs, labels = torch.rand(600, 3), torch.arange(600) % 4
    source = rows_of_tensors(inputs, labels)
    whole = TrainingRows(600, source.batch).whole()
    assert whole is not None
    assert torch.equal(whole.inputs, inputs)
    assert torch.equal(whole.labels, labels)
    assert TrainingRows(600, source.batch, keep=600 * 3 * 4 - 1).whole() is None
