"""Pipelines of data sets that carry a `.transform`, their random steps replaced."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.utils.data import Dataset, Subset

from gapdoctor.observe.case import Pipeline

# Steps that torchvision draws anew for each sample without "Random" in their name.
_DROPPED = frozenset({
    "AugMix", "AutoAugment", "ColorJitter", "CutMix", "ElasticTransform", "GaussianBlur",
    "GaussianNoise", "JPEG", "MixUp", "RandAugment", "ScaleJitter", "TrivialAugmentWide",
})  # fmt: skip
_CERTAIN_AT_ONE = frozenset({
    "RandomAdjustSharpness", "RandomAutocontrast", "RandomEqualize", "RandomGrayscale",
    "RandomHorizontalFlip", "RandomInvert", "RandomPosterize", "RandomSolarize",
    "RandomVerticalFlip",
})  # fmt: skip
"""Steps that do the same to every sample where their p is 1."""
_RESIZE_RATIO = 8 / 7
"""A test crop of s is cut from an image resized to s·8/7 (224 of 256), the usual evaluation."""


def _as_it_is(sample: Any) -> Any:
    return sample


def _both_as_they_are(sample: Any, label: Any) -> tuple[Any, Any]:
    return sample, label


@dataclass(frozen=True)
class Steps:
    """Transforms one after the other; what `torchvision.transforms.Compose` does."""

    steps: tuple[Callable[[Any], Any], ...]

    def __call__(self, sample: Any) -> Any:
        """Return the sample after all steps."""
        for step in self.steps:
            sample = step(sample)
        return sample


def transform_of(dataset: Any) -> Callable[[Any], Any] | None:
    """Return the `.transform` that a data set (or the one under a `Subset`) carries, else None."""
    found = getattr(dataset, "transform", None)
    if isinstance(dataset, Dataset) and callable(found):
        return found  # type: ignore[no-any-return]
    return transform_of(dataset.dataset) if isinstance(dataset, Subset) else None


def without_transform(dataset: Any) -> Any:
    """Return a shallow copy of the data set that yields raw samples; the one given is untouched."""
    twin = copy.copy(dataset)
    if isinstance(dataset, Subset) and not callable(getattr(dataset, "transform", None)):
        twin.dataset = without_transform(dataset.dataset)
        return twin
    twin.transform = _as_it_is
    if getattr(dataset, "transforms", None) is not None:
        target = getattr(dataset, "target_transform", None)
        twin.transforms = (lambda x, y: (x, target(y))) if callable(target) else _both_as_they_are
    return twin


def deterministic(
    transform: Callable[[Any], Any], heldout: Callable[[Any], Any] | None, name: str
) -> Pipeline:
    """Return the pipeline that a transform is, without its random part.

    Parameters
    ----------
    transform : callable
        As the data set carries it.
    heldout : callable or None
        The held-out set's transform: a RandomResizedCrop(s) becomes its own resize and crop
        where it ends at s, else Resize(s·8/7) + CenterCrop(s).
    name : str
        For messages.

    Returns
    -------
    Pipeline
        Its `replaced` names each random step and what stands in its place.
    """
    steps: list[Callable[[Any], Any]] = []
    replaced: list[str] = []
    for step in flat_steps(transform):
        stand_in, said = _stand_in(step, heldout)
        steps += stand_in
        replaced += said
    return Pipeline(Steps(tuple(steps)), name=name, replaced=tuple(replaced))


def flat_steps(transform: Callable[[Any], Any] | None) -> list[Callable[[Any], Any]]:
    """Return the steps of a transform, nested compositions opened."""
    if transform is None:
        return []
    inner = (
        transform
        if isinstance(transform, nn.Sequential)
        else getattr(transform, "transforms", None)
    )
    if type(transform).__name__ in {"Compose", "Sequential"} and inner is not None:
        return [s for step in inner for s in flat_steps(step)]
    if isinstance(transform, Steps):
        return [s for step in transform.steps for s in flat_steps(step)]
    return [transform]


def _stand_in(
    step: Callable[[Any], Any], heldout: Callable[[Any], Any] | None
) -> tuple[list[Callable[[Any], Any]], list[str]]:
    kind = type(step).__name__
    if _is_fixed(step, kind):
        return [step], []
    if kind == "RandomResizedCrop":
        size = _size(step)
        own = _ending_at(size, heldout)
        said = "the held-out set's own resize and crop" if own else "a resize and centre crop"
        return own or _resize_and_crop(size, step), [f"{kind}({_text(size)}): {said}"]
    if kind == "RandomCrop":
        size = _size(step)
        return [_centre_crop(size)], [f"{kind}({_text(size)}): a centre crop"]
    if kind.startswith("Random") or kind in _DROPPED:
        return [], [f"{kind}: dropped"]
    return [step], []


def _is_fixed(step: Any, kind: str) -> bool:
    """Whether a step that draws at random has nothing to draw from."""
    if kind in _CERTAIN_AT_ONE:
        return getattr(step, "p", None) == 1
    drawn_from = {"GaussianBlur": "sigma", "JPEG": "quality", "RandomRotation": "degrees"}
    choices = getattr(step, drawn_from.get(kind, ""), None)
    return isinstance(choices, tuple | list) and len(choices) == 2 and choices[0] == choices[1]


def _size(step: Any) -> tuple[int, int]:
    size = step.size
    if isinstance(size, int):
        return size, size
    return (int(size[0]), int(size[-1]))


def _text(size: Sequence[int]) -> str:
    return str(size[0]) if size[0] == size[1] else f"{size[0]}×{size[1]}"


def _centre_crop(size: tuple[int, int]) -> Callable[[Any], Any]:
    from torchvision.transforms import v2

    crop: Callable[[Any], Any] = v2.CenterCrop(list(size))
    return crop


def _resize_and_crop(size: tuple[int, int], step: Any) -> list[Callable[[Any], Any]]:
    from torchvision.transforms import v2

    larger = [round(s * _RESIZE_RATIO) for s in size]
    shorter = larger[0] if size[0] == size[1] else larger
    interpolation = getattr(step, "interpolation", v2.InterpolationMode.BILINEAR)
    return [v2.Resize(shorter, interpolation=interpolation), _centre_crop(size)]


def _ending_at(
    size: tuple[int, int], heldout: Callable[[Any], Any] | None
) -> list[Callable[[Any], Any]]:
    """The held-out set's resize and crop steps, where the last of them gives `size`."""
    steps = [s for s in flat_steps(heldout) if type(s).__name__ in {"Resize", "CenterCrop"}]
    if not steps or getattr(steps[-1], "size", None) is None:
        return []
    return steps if _size(steps[-1]) == size else []
