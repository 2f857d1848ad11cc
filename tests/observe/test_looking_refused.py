"""A case that cannot be looked at is refused, with the row or the shape that says why."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from gapdoctor import Case
from gapdoctor.errors import DataError, GapDoctorError, UserCodeError
from gapdoctor.observe.observations import Observations, Settings
from gapdoctor.observe.progress import Progress
from gapdoctor.observe.sampling import choosing_half
from gapdoctor.pipeline import look


def looked(case: Case, **more: Any) -> Observations:
    return look(case, Settings(**{"batch_size": 64, **more}), Progress())


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"student": torch.relu}, "student: builtin_function_or_method is not a model"),
        ({"teacher": "teacher.pth"}, "teacher: str is not a model"),
        ({"groups": ["a"]}, r"data\.groups: 1 ids for 90 held-out rows"),
    ],
)
def test_a_case_that_cannot_be_is_refused(
    planted: ModuleType, more: dict[str, Any], told: str
) -> None:
    with pytest.raises(GapDoctorError, match=told):
        looked(planted.healthy(90, **more))


def test_groups_that_leave_nothing_to_report_on_are_refused(planted: ModuleType) -> None:
    chosen = next(g for g in "abcdef" if choosing_half(np.array([0]), [g])[0])
    with pytest.raises(DataError, match="all 90 rows of 1 groups fall into the half that chooses"):
        looked(planted.healthy(90, groups=[chosen] * 90))


@pytest.mark.parametrize("split", ["train", "heldout", "test"])
def test_a_label_beyond_the_classes_names_its_row(planted: ModuleType, split: str) -> None:
    inputs, labels = planted.rows(4, 90)
    labels[17] = 3
    told = rf"data\.{split}: label 3 of row 17, but the student has 3 classes"
    with pytest.raises(DataError, match=told):
        looked(planted.healthy(90, **{split: (inputs, labels)}))


def test_models_of_different_classes_are_refused(planted: ModuleType) -> None:
    teacher = planted.linear(np.zeros((5, 4)), np.zeros(5))
    with pytest.raises(DataError, match="the student has 3 classes, the teacher 5"):
        looked(planted.healthy(90, teacher=teacher))


def test_inputs_of_another_shape_are_told_with_model_and_shape(planted: ModuleType) -> None:
    wrong = torch.zeros(90, 7), torch.zeros(90, dtype=torch.long)
    told = r"student: forward raised RuntimeError on a batch of shape \(2, 7\)"
    with pytest.raises(UserCodeError, match=told):
        looked(planted.healthy(90, train=wrong))
