"""Labels are class indices, or the first that is not is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from gapdoctor.errors import DataError
from gapdoctor.observe.labels import as_class_indices, class_names, known_labels

ACCEPTED = [
    [0, 2, 1],
    (0, 2, 1),
    np.array([0, 2, 1], dtype=np.uint8),
    np.array([0.0, 2.0, 1.0]),
    np.array([[0], [2], [1]]),
    np.array([0, 2, 1], dtype=object),
    torch.tensor([0, 2, 1], dtype=torch.int32),
    torch.tensor([0.0, 2.0, 1.0], requires_grad=True),
    [torch.tensor(0), torch.tensor(2), torch.tensor(1)],
    [torch.tensor([0]), torch.tensor([2]), torch.tensor([1])],
    [np.int64(0), 2, np.float32(1)],
]


@pytest.mark.parametrize("labels", ACCEPTED, ids=lambda x: type(x).__name__)
def test_whole_numbers_of_any_type_are_class_indices(labels: Any) -> None:
    found = as_class_indices(labels, "data.train")
    assert found.dtype == np.int64
    assert found.tolist() == [0, 2, 1]


def test_booleans_are_two_classes() -> None:
    assert as_class_indices([True, False], "data.train").tolist() == [1, 0]


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([0, 1, -100], "label -100 of row 2"),
        (["cat", "dog"], "label 'cat' of row 0"),
        ([0, "dog"], "label 'dog' of row 1"),
        ([0, None], "label None of row 1"),
        ([0, 1.5], r"label 1\.5 of row 1"),
        ([0, float("nan")], "label nan of row 1"),
        (torch.eye(3), "vectors of 3 numbers"),
        (np.zeros((2, 3, 4)), "no list of numbers"),
        (5, "no list of numbers"),
        ({"a": 1}, "no list of numbers"),
        ([[0], [1, 2]], "labels cannot be read"),
        (torch.tensor([1.0], dtype=torch.bfloat16), "labels cannot be read"),
    ],
    ids=str,
)
def test_the_first_label_that_is_no_class_index_is_named(labels: Any, told: str) -> None:
    with pytest.raises(DataError, match=rf"data\.train: .*{told}"):
        as_class_indices(labels, "data.train")


def test_rows_are_named_by_their_number_in_the_data_set() -> None:
    with pytest.raises(DataError, match="row 40"):
        as_class_indices([0, -1], "data.train", np.array([30, 40]))


class Folder(Dataset[Any]):
    """Like torchvision's: it knows its labels without reading a sample."""

    classes = ("cat", "dog")
    target_transform = None

    def __init__(self, targets: Any) -> None:
        self.targets = targets

    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int) -> Any:
        raise AssertionError("no sample may be read for its label")


FOLDER = Folder([0, 1, 1, 0])


@pytest.mark.parametrize(
    ("dataset", "known"),
    [
        (FOLDER, [0, 1, 1, 0]),
        (Subset(FOLDER, [3, 1]), [0, 1]),
        (Subset(Subset(FOLDER, [3, 1]), [1]), [1]),
        (ConcatDataset([FOLDER, Subset(FOLDER, [2])]), [0, 1, 1, 0, 1]),
        (TensorDataset(torch.zeros(2, 5), torch.tensor([1, 0])), [1, 0]),
        (Folder(["cat"] * 4), None),
        (Folder([0, 1]), None),
        (Folder(7), None),
        (ConcatDataset([FOLDER, Folder(None)]), None),
    ],
)
def test_labels_are_known_through_subsets_without_reading(
    dataset: Any, known: list[int] | None
) -> None:
    found = known_labels(dataset, len(dataset))
    assert (None if found is None else found.tolist()) == known


def test_labels_that_are_changed_on_the_way_out_are_not_known() -> None:
    folder = Folder([0, 1, 1, 0])
    folder.target_transform = lambda y: 1 - y  # type: ignore[assignment]
    assert known_labels(folder, 4) is None


def test_class_names_are_found_where_all_parts_agree() -> None:
    other = Folder([0, 1, 1, 0])
    other.classes = ("dog", "cat")  # type: ignore[misc]
    assert class_names(Subset(FOLDER, [0])) == ("cat", "dog")
    assert class_names(ConcatDataset([FOLDER, FOLDER])) == ("cat", "dog")
    assert class_names(ConcatDataset([FOLDER, other])) is None
    assert class_names(TensorDataset(torch.zeros(1))) is None
