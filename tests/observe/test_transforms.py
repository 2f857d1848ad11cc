"""A transform's random steps are replaced by the contract's rules, and which ones is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import Dataset, Subset
from torchvision import transforms as v1
from torchvision.transforms import v2

from gapdoctor.observe.transforms import (
    deterministic,
    flat_steps,
    transform_of,
    without_transform,
)

VERSIONS = pytest.mark.parametrize("t", [v1, v2], ids=["v1", "v2"])


def ready(t: Any) -> Any:
    """What makes a tensor of a picture."""
    return v1.ToTensor() if t is v1 else Tensor()


class Tensor(v2.Compose):
    """v2's two steps, under a name of their own."""

    def __init__(self) -> None:
        super().__init__([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])


def image(size: int = 40) -> Image.Image:
    pixels = np.arange(size * size * 3, dtype=np.uint8).reshape(size, size, 3)
    return Image.fromarray(pixels)


def kinds(transform: Any, heldout: Any = None) -> list[str]:
    pipeline = deterministic(transform, heldout, "x")
    return [type(step).__name__ for step in flat_steps(pipeline.call)]


@VERSIONS
def test_a_random_resized_crop_becomes_the_held_out_sets_own_where_it_ends_at_that_size(
    t: Any,
) -> None:
    train = t.Compose([t.RandomResizedCrop(24), ready(t)])
    heldout = t.Compose([t.Resize(30), t.CenterCrop(24), ready(t)])
    pipeline = deterministic(train, heldout, "x")
    assert torch.equal(pipeline.call(image()), heldout(image()))
    assert pipeline.replaced == ("RandomResizedCrop(24): the held-out set's own resize and crop",)


@VERSIONS
@pytest.mark.parametrize("size", [21, (21, 28)])
def test_without_one_it_becomes_a_resize_to_eight_sevenths_and_a_centre_crop(
    t: Any, size: Any
) -> None:
    heldout = t.Compose([t.Resize(30), t.CenterCrop(20), ready(t)])
    pipeline = deterministic(t.Compose([t.RandomResizedCrop(size), ready(t)]), heldout, "x")
    larger = 24 if size == 21 else [24, 32]
    expected = v2.Compose([v2.Resize(larger), v2.CenterCrop(size), ready(t)])
    assert torch.equal(pipeline.call(image()), expected(image()))
    assert "a resize and centre crop" in pipeline.replaced[0]


@VERSIONS
def test_a_random_crop_becomes_a_centre_crop(t: Any) -> None:
    train = t.Compose([t.RandomCrop(40, padding=4), ready(t)])
    pipeline = deterministic(train, None, "x")
    assert torch.equal(pipeline.call(image()), ready(t)(image()))
    assert pipeline.replaced == ("RandomCrop(40): a centre crop",)


@VERSIONS
def test_what_is_drawn_anew_for_each_sample_is_dropped_and_said(t: Any) -> None:
    train = t.Compose([
        t.RandomHorizontalFlip(), t.RandomVerticalFlip(0.2), t.RandomRotation(15),
        t.ColorJitter(0.4), t.RandAugment(), t.AutoAugment(), t.TrivialAugmentWide(),
        t.RandomApply([t.Grayscale(3)]), t.GaussianBlur(3), ready(t), t.RandomErasing(),
    ])  # fmt: skip
    assert kinds(train) == [type(ready(t)).__name__]
    said = deterministic(train, None, "x").replaced
    assert len(said) == 10
    assert said[0] == "RandomHorizontalFlip: dropped"


@VERSIONS
def test_what_only_looks_random_stays(t: Any) -> None:
    train = t.Compose([
        t.RandomHorizontalFlip(p=1), t.RandomGrayscale(p=1.0), t.GaussianBlur(3, sigma=1.0),
        t.RandomRotation((90, 90)), ready(t),
    ])  # fmt: skip
    pipeline = deterministic(train, None, "x")
    assert pipeline.replaced == ()
    assert torch.equal(pipeline.call(image()), train(image()))


@VERSIONS
def test_steps_are_found_in_nested_compositions(t: Any) -> None:
    inner = t.Compose([t.RandomCrop(8), t.Compose([ready(t)])])
    train = t.Compose([inner, nn.Sequential(t.RandomErasing(), t.Normalize([0.5], [0.5]))])
    assert kinds(train) == ["CenterCrop", type(ready(t)).__name__, "Normalize"]


def test_a_bare_sequential_and_a_bare_function_are_steps_too() -> None:
    sequence = nn.Sequential(v2.RandomHorizontalFlip(), v2.CenterCrop(4))
    assert kinds(sequence) == ["CenterCrop"]
    assert deterministic(np.asarray, None, "x").call([1]).tolist() == [1]


class Pictures(Dataset[Any]):
    """Like torchvision's data sets."""

    def __init__(self, transform: Any = None, target_transform: Any = None) -> None:
        self.transform, self.target_transform = transform, target_transform
        both = transform is not None or target_transform is not None
        self.transforms = (lambda x, y: (transform(x), y)) if both else None

    def __len__(self) -> int:
        return 2

    def __getitem__(self, i: int) -> Any:
        x, y = image(), i
        return self.transforms(x, y) if self.transforms else (x, y)


def test_a_copy_without_transform_yields_raw_samples_and_leaves_the_users_own_alone() -> None:
    step = v1.ToTensor()
    data = Pictures(step, lambda y: y + 1)
    subset = Subset(data, [1])
    before = dict(vars(data))
    assert isinstance(without_transform(data)[0][0], Image.Image)
    assert without_transform(data)[0][1] == 1  # the label is still made of the target
    assert isinstance(without_transform(subset)[0][0], Image.Image)
    assert vars(data) == before
    assert subset.dataset is data


def test_a_transform_is_found_on_data_sets_alone() -> None:
    step = v1.ToTensor()

    class Wrapped(Subset[Any]):
        transform = staticmethod(np.asarray)

    assert transform_of(Pictures(step)) is step
    assert transform_of(Subset(Pictures(step), [0])) is step
    assert transform_of(Wrapped(Pictures(step), [0])) is np.asarray
    assert transform_of(Pictures()) is None
    assert transform_of(v1.Compose([step])) is None
