"""What the teacher says: asked once a row, lent and given back as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor.errors import DataError, GapDoctorError
from gapdoctor.training import teacher as module
from gapdoctor.training.rows import Batch, TrainingRows, rows_of_tensors
from gapdoctor.training.teacher import TeacherOutputs

CPU = torch.device("cpu")
INPUTS = torch.arange(40.0).reshape(20, 2)
LABELS = torch.zeros(20, dtype=torch.int64)


class Doubling(nn.Module):
    """Says twice its input; notes which rows it was asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[float] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert not self.training
        self.asked += (x[:, 0] / 2).tolist()
        return 2 * x


def batch(rows: TrainingRows, *index: int) -> Batch:
    return rows.batch(np.array(index, dtype=np.int64))


def test_each_row_is_asked_about_once() -> None:
    teacher, rows = Doubling(), rows_of_tensors(INPUTS, LABELS)
    outputs = TeacherOutputs(teacher, rows, CPU)
    with outputs.lent():
        for index in ((3, 5), (5, 3, 4), (4,)):
            said = outputs.of_rows(batch(rows, *index), 8)
            assert torch.equal(said, 2 * INPUTS[list(index)])
            assert not said.requires_grad
    assert sorted(teacher.asked) == [3, 4, 5]


def test_it_can_be_asked_about_all_rows_in_their_order() -> None:
    teacher, rows = Doubling(), rows_of_tensors(INPUTS, LABELS)
    outputs = TeacherOutputs(teacher, rows, CPU)
    with outputs.lent():
        outputs.ask_all(6)
        assert teacher.asked == list(range(20))
        outputs.of_rows(batch(rows, 7, 1), 6)
        outputs.ask_all(6)
    assert len(teacher.asked) == 20


def test_a_view_is_asked_about_each_time() -> None:
    teacher, rows = Doubling(), rows_of_tensors(INPUTS, LABELS)
    outputs = TeacherOutputs(teacher, rows, CPU)
    with outputs.lent():
        for _ in range(2):
            assert torch.equal(outputs.of_view(INPUTS[:5] + 1, 2), 2 * (INPUTS[:5] + 1))
    assert len(teacher.asked) == 10


def test_beyond_the_memory_it_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_BYTES", 20 * 2 * 4 - 1)
    teacher, rows = Doubling(), rows_of_tensors(INPUTS, LABELS)
    outputs = TeacherOutputs(teacher, rows, CPU)
    with outputs.lent():
        outputs.ask_all(20)
        for _ in range(2):
            assert torch.equal(outputs.of_rows(batch(rows, 9, 8), 8), 2 * INPUTS[[9, 8]])
    assert teacher.asked[-4:] == [9, 8, 9, 8]


def test_a_teacher_with_its_own_pipeline_gets_its_own_inputs() -> None:
    rows = rows_of_tensors(INPUTS, LABELS, INPUTS + 100)
    outputs = TeacherOutputs(Doubling(), rows, CPU)
    with outputs.lent():
        assert torch.equal(outputs.of_rows(batch(rows, 2), 8), 2 * (INPUTS[[2]] + 100))


def test_stored_logits_are_used_by_row_and_know_no_view() -> None:
    rows = rows_of_tensors(INPUTS, LABELS)
    outputs = TeacherOutputs(-INPUTS.double(), rows, CPU)
    with outputs.lent():
        said = outputs.of_rows(batch(rows, 6, 0), 8)
        assert torch.equal(said, -INPUTS[[6, 0]])
        with pytest.raises(GapDoctorError, match="know nothing of augmented rows"):
            outputs.of_view(INPUTS, 8)


def test_stored_logits_need_one_row_a_train_row() -> None:
    with pytest.raises(DataError, match="19 rows, but train has 20"):
        TeacherOutputs(INPUTS[:19], rows_of_tensors(INPUTS, LABELS), CPU)


def test_the_teacher_is_given_back_as_it_was_also_after_an_error() -> None:
    teacher = Doubling().train()
    outputs = TeacherOutputs(teacher, rows_of_tensors(INPUTS, LABELS), CPU)

    def fail() -> None:
        with outputs.lent():
            assert not teacher.training
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert teacher.training


def test_a_teacher_that_raises_is_named() -> None:
    rows = rows_of_tensors(INPUTS, LABELS)
    outputs = TeacherOutputs(nn.Linear(3, 2), rows, CPU)
    with outputs.lent(), pytest.raises(GapDoctorError, match="teacher: forward raised"):
        outputs.of_rows(batch(rows, 0), 8)
