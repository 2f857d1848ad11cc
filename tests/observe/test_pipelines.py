"""Pipelines that data sets carry, those that the config names, and which are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset
from torchvision import datasets, transforms

from gapdoctor import Case, Pipeline, Preprocess
from gapdoctor.errors import DataError, UserCodeError
from gapdoctor.observe.inputs import prepare
from gapdoctor.observe.pipelines import Prepared, prepare_case

SIZE = 12
TEST = transforms.Compose(
    [transforms.Resize(14), transforms.CenterCrop(SIZE), transforms.ToTensor()]
)
TRAIN = transforms.Compose([
    transforms.RandomResizedCrop(SIZE), transforms.RandomHorizontalFlip(), transforms.ToTensor()
])  # fmt: skip
ZERO = np.zeros(1, dtype=np.int64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of two tiny PNGs each."""
    root = tmp_path_factory.mktemp("pictures")
    for number, name in enumerate(("cat", "dog")):
        (root / name).mkdir()
        for i in range(2):
            pixels = np.full((16, 20, 3), 40 * i + 100 * number, dtype=np.uint8)
            pixels[:, ::2] += 9
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def pair(train: Any, heldout: Any, **more: Any) -> Prepared:
    model = torch.nn.Identity()
    return prepare_case(Case(model, model, train, heldout, **more), stream_rows=10, seed=0)


def test_the_transforms_of_image_folders_are_the_two_pipelines(folder: Path) -> None:
    train = datasets.ImageFolder(folder, transform=TRAIN)
    heldout = datasets.ImageFolder(folder, transform=TEST)
    found = pair(train, heldout)
    raw = found.train.read(ZERO).inputs
    assert isinstance(raw[0], Image.Image)
    expected = torch.stack([TEST(raw[0])])
    assert torch.equal(prepare(raw, found.pipelines["train"], "train"), expected)
    assert torch.equal(prepare(raw, found.pipelines["inference"], "train"), expected)
    assert found.given
    assert found.same == {
        "train": "train",
        "inference": "inference",
        "teacher": "train",
        "heldout_teacher": "train",
    }
    assert found.notes[1:] == (
        "train pipeline from the data set's transform; RandomResizedCrop(12): the held-out set's "
        "own resize and crop",
        "train pipeline from the data set's transform; RandomHorizontalFlip: dropped",
    )
    assert found.train.labels is not None
    assert found.train.labels.tolist() == [0, 0, 1, 1]
    assert found.train.classes == ("cat", "dog")
    assert train.transform is TRAIN
    assert heldout[0][0].shape == (3, SIZE, SIZE)


def test_they_are_found_through_loaders_and_subsets(folder: Path) -> None:
    train = Subset(datasets.ImageFolder(folder, transform=TRAIN), [3, 0])
    heldout = DataLoader(datasets.ImageFolder(folder, transform=TEST), batch_size=2)
    found = pair(train, heldout, test=datasets.ImageFolder(folder, transform=TEST))
    assert found.given
    assert found.train.read(ZERO).labels.tolist() == [1]
    assert isinstance(found.train.read(ZERO).inputs[0], Image.Image)
    assert found.test is not None
    assert isinstance(found.test.read(ZERO).inputs[0], Image.Image)


def test_one_transform_of_both_sets_is_one_pipeline(folder: Path) -> None:
    sets = [datasets.ImageFolder(folder, transform=TEST) for _ in range(2)]
    found = pair(*sets)
    assert found.same["inference"] == "train"


def test_a_transform_on_one_side_only_leaves_the_data_as_they_are(folder: Path) -> None:
    heldout = TensorDataset(torch.zeros(2, 3, SIZE, SIZE), torch.tensor([0, 1]))
    found = pair(datasets.ImageFolder(folder, transform=TEST), heldout)
    assert not found.given
    assert set(found.pipelines.values()) == {None}
    both = [datasets.ImageFolder(folder, transform=t) for t in (TRAIN, TEST)]
    assert not pair(*both, test=heldout).given


class Scaled(Dataset[Any]):
    """Does something of its own after the transform, as many data sets do."""

    def __init__(self, transform: Any, factor: float) -> None:
        self.transform, self.factor = transform, factor

    def __len__(self) -> int:
        return 3

    def __getitem__(self, i: int) -> Any:
        x = self.transform(Image.fromarray(np.full((8, 8, 3), 10 * i + 5, dtype=np.uint8)))
        return (x * self.factor if isinstance(x, torch.Tensor) else x / self.factor), i % 2


@pytest.mark.parametrize("factor", [2.0, 0.5])
def test_a_data_set_that_does_more_than_its_transform_is_read_as_it_is(factor: float) -> None:
    data = Scaled(transforms.ToTensor(), factor)
    found = pair(data, data)
    assert not found.given
    assert "does more to a sample than its transform" in found.notes[0]
    read = prepare(found.train.read(ZERO).inputs, found.pipelines["train"], "train")
    assert torch.equal(read, torch.stack([data[0][0]]))


def test_a_loader_with_its_own_collate_is_read_as_it_is(folder: Path) -> None:
    def fold(samples: list[Any]) -> Any:
        return torch.stack([x for x, _ in samples]) - 1, [y for _, y in samples]

    data = datasets.ImageFolder(folder, transform=TEST)
    found = pair(DataLoader(data, collate_fn=fold), DataLoader(data, collate_fn=fold))
    assert not found.given
    assert torch.equal(prepare(found.train.read(ZERO).inputs, None, "train")[0], data[0][0] - 1)


# -- named pipelines ---------------------------------------------------------------------------

ROWS = (torch.ones(4, 2), torch.tensor([0, 1, 0, 1]))


def halve(x: torch.Tensor) -> torch.Tensor:
    return x / 2


def double(x: torch.Tensor) -> torch.Tensor:
    return x * 2


def named(**given: Any) -> Prepared:
    return pair(ROWS, ROWS, preprocess=Preprocess(**given))


def test_the_teacher_eats_the_train_pipeline_unless_told_otherwise() -> None:
    assert named(train=halve, inference=double).same["teacher"] == "train"
    assert named(train=halve, inference=double, teacher=double).same["teacher"] == "inference"
    assert named(train=halve, inference=double, teacher=abs).same["teacher"] == "teacher"


@pytest.mark.parametrize("side", ["train", "inference"])
def test_the_only_pipeline_given_serves_both_splits_and_that_is_said(side: str) -> None:
    found = named(**{side: halve})
    assert set(found.same.values()) == {"train"}
    assert not found.given
    assert f"both splits go through the {side} pipeline" in found.notes[0]


class Vague:
    """Says that it equals everything, and cannot be asked."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")

    __hash__ = None  # type: ignore[assignment]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def method(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_pipelines_are_told_apart_by_identity() -> None:
    one, other = Vague(), Vague()
    assert named(train=one, inference=other).same["inference"] == "inference"
    assert named(train=one, inference=one).same["inference"] == "train"
    assert named(train=one.method, inference=one.method).same["inference"] == "train"
    assert named(train=one.method, inference=other.method).same["inference"] == "inference"
    batched = Pipeline(halve, batched=True)
    assert named(train=halve, inference=batched).same["inference"] == "inference"


# -- preparing ---------------------------------------------------------------------------------


def test_a_batched_pipeline_gets_a_stacked_batch() -> None:
    seen = []

    def call(batch: Any) -> Any:
        seen.append(batch.shape)
        return batch.reshape(len(batch), -1) * 2

    pictures = [np.ones((2, 2), dtype=np.uint8)] * 3
    made = prepare(pictures, Pipeline(call, batched=True), "train")
    assert seen == [(3, 2, 2)]
    assert made.tolist() == [[2, 2, 2, 2]] * 3


def in_place(x: Any) -> Any:
    x *= 0
    return x


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("raw", [torch.ones(2, 3), np.ones((2, 3)), [torch.ones(3)] * 2])
def test_a_pipeline_that_works_in_place_harms_no_raw_sample(raw: Any, batched: bool) -> None:
    prepare(raw, Pipeline(in_place, batched), "train")
    assert float(sum(x.sum() for x in raw)) == 6


def test_numbers_of_any_kind_become_tensors() -> None:
    frozen = np.arange(4.0)[::-1]
    frozen.flags.writeable = False
    assert prepare([frozen], None, "train").tolist() == [[3, 2, 1, 0]]
    assert prepare([frozen], None, "train").dtype == torch.float32
    assert prepare([[1, 2]], None, "train").dtype == torch.int64
    assert prepare([Image.new("L", (2, 2), 7)], None, "train").tolist() == [[[7, 7], [7, 7]]]


@pytest.mark.parametrize(
    ("inputs", "pipeline", "kind", "told"),
    [
        ([object()], None, DataError, r"data\.train: an input of type object is no tensor"),
        ([{"ids": 1}], None, DataError, "an input of type dict is no tensor"),
        ([[1], [1, 2]], None, DataError, r"different shapes \[\(1,\), \(2,\)\]"),
        ([[[1], [1, 2]]], None, DataError, "an input of type list is no tensor"),
        ([1.0], Pipeline(lambda x: 1 / 0, name="run.py:p"), UserCodeError,
         "preprocess run.py:p: raised ZeroDivisionError on a raw float of train"),
        ([1.0], Pipeline(lambda x: None, name="run.py:p"), UserCodeError,
         "preprocess run.py:p: made a NoneType of a raw sample of train"),
        ([[1, 2], [3]], Pipeline(np.sum, batched=True), DataError, "cannot be stacked"),
        ([torch.ones(1), torch.ones(2)], Pipeline(torch.sum, batched=True), DataError,
         "cannot be stacked for a batched pipeline"),
        (np.ones((4, 2)), Pipeline(lambda x: x[:2], batched=True), UserCodeError,
         r"made shape \(2, 2\) of a batch of 4 rows"),
        (np.ones((4, 2)), Pipeline(np.sum, batched=True), UserCodeError, r"made shape \(\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_prepared_is_told_in_one_line(
    inputs: Any, pipeline: Pipeline | None, kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind, match=told):
        prepare(inputs, pipeline, "train")
