"""What goes wrong at inference: a scene and a knob -> the scene struck by it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from tests.clinic.data import SOURCES
from tests.clinic.models import StudentSpec, cell_of
from tests.clinic.pipelines import ImagePipeline, SoundPipeline, Step, TablePipeline
from tests.clinic.scene import Scene
from tests.clinic.sources.drawn import Drawn

# -- pipelines ---------------------------------------------------------------------------------


def _image(scene: Scene, **fields: Any) -> Scene:
    assert isinstance(scene.after, ImagePipeline)
    return scene.with_(after=replace(scene.after, **fields))


def stepped(scene: Scene, step: Step) -> Scene:
    assert not isinstance(scene.after, TablePipeline)
    return scene.with_(after=replace(scene.after, steps=(*scene.after.steps, step)))


def scaled(scene: Scene, factor: float) -> Scene:
    assert isinstance(scene.after, ImagePipeline)
    return _image(scene, scale=scene.after.scale / factor)


_PAIRS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "none": ((0.0,), (1.0,)),
    "half": ((0.5,), (0.5,)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "mnist": ((0.1307,), (0.3081,)),
    "fashion_mnist": ((0.2860,), (0.3530,)),
}


def _pair(scene: Scene, name: str) -> Scene:
    """Normalise with another usual pair; one that does not fit the channels changes nothing."""
    assert isinstance(scene.after, ImagePipeline)
    channels = 3 if scene.source.kind == "colour" else 1
    mean, std = _PAIRS[name]
    if len(mean) not in (1, channels):
        return scene
    wide = channels // len(mean)
    return _image(scene, mean=mean * wide, std=std * wide)


def _twice(scene: Scene, _: object) -> Scene:
    """Normalise what was normalised."""
    assert isinstance(scene.after, ImagePipeline)
    mean, std = (torch.tensor(v).reshape(1, -1, 1, 1) for v in (scene.after.mean, scene.after.std))
    return _image(scene, late=(lambda x: (x - mean) / std,))


def normalized(scene: Scene, knob: str) -> Scene:
    return _twice(scene, None) if knob == "twice" else _pair(scene, knob)


FLIPS = {"horizontal": -1, "vertical": -2}


def gained(scene: Scene, decibels: float) -> Scene:
    assert isinstance(scene.after, SoundPipeline)
    return scene.with_(after=replace(scene.after, gain=decibels))


def logged(scene: Scene, log: str) -> Scene:
    assert isinstance(scene.after, SoundPipeline)
    return scene.with_(after=replace(scene.after, log=log))


def columns_moved(scene: Scene, knob: str | int) -> Scene:
    """Two columns change places, alike ones first (`pair N`); or all move by one in a ring."""
    assert isinstance(scene.after, TablePipeline)
    width = len(scene.after.mean)
    order = np.arange(width)
    if isinstance(knob, str):
        pair = _alike_first(np.array(scene.after.mean), np.array(scene.after.std))
        one, other = pair[int(knob.split()[1])]
        order[[one, other]] = order[[other, one]]
    else:
        moved = np.random.default_rng(41).permutation(width)[:knob]
        order[moved] = np.roll(moved, 1)
    return scene.with_(after=replace(scene.after, order=tuple(order.tolist())))


def _alike_first(mean: np.ndarray, std: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of columns, those that are off by the fewest deviations first."""
    pairs = [(i, j) for i in range(len(mean)) for j in range(i)]

    def distance(pair: tuple[int, int]) -> float:
        i, j = pair
        apart = abs(mean[i] - mean[j]) / min(std[i], std[j])
        return float(apart + abs(np.log(std[i] / std[j])))

    return sorted(pairs, key=distance)


def units_changed(scene: Scene, knob: Sequence[float]) -> Scene:
    """So many columns come in another unit, so many times larger."""
    assert isinstance(scene.after, TablePipeline)
    factor, count = knob
    width = len(scene.after.mean)
    moved = np.random.default_rng(42).permutation(width)[: int(count)]
    factors = [factor if at in moved else 1.0 for at in range(width)]
    return scene.with_(after=replace(scene.after, factors=tuple(factors)))


def columns_unscaled(scene: Scene, count: int) -> Scene:
    """`count` columns are handed on without being standardised."""
    assert isinstance(scene.after, TablePipeline)
    width = len(scene.after.mean)
    left = set(np.random.default_rng(43).permutation(width)[:count].tolist())
    mean = tuple(0.0 if at in left else m for at, m in enumerate(scene.after.mean))
    std = tuple(1.0 if at in left else s for at, s in enumerate(scene.after.std))
    return scene.with_(after=replace(scene.after, mean=mean, std=std))


# -- data --------------------------------------------------------------------------------------


def world_moved(scene: Scene, amount: float) -> Scene:
    return scene.with_(heldout=scene.source.heldout(amount, scene.spec.priors))


def long_tail(spec: StudentSpec, knob: float = 0.0) -> tuple[float, ...]:
    """Return class priors: 0, those of train; 1, all alike; 2, the tail the other way round."""
    source = SOURCES[cell_of(spec.cell).source]
    count, ratio = len(source.classes), 15.0 if source.name == "digits" else 60.0
    return tuple(ratio ** (-(at / (count - 1)) * (1 - knob)) for at in range(count))


def tailed(spec: StudentSpec) -> StudentSpec:
    return spec.changed({"task_weight": 0.9}, priors=long_tail(spec))


def priors_changed(scene: Scene, knob: float) -> Scene:
    return scene.with_(heldout=scene.source.heldout(priors=long_tail(scene.spec, knob)))


def broadly_taught(spec: StudentSpec) -> StudentSpec:
    return spec.changed(teacher="broad")


def classes_reordered(scene: Scene, knob: str) -> Scene:
    """Held-out labels as a folder listing in another order would number them."""
    count = len(scene.source.classes)
    if knob == "offset":
        order = (np.arange(count) + 1) % count
    elif knob == "as strings":  # '1', '10', '2', …: the numbers from 1, sorted as text
        order = np.argsort([str(n + 1) for n in range(count)], kind="stable")
        order = np.argsort(order) if count > 9 else np.arange(count)[::-1].copy()
    else:  # two neighbours exchanged
        order = np.arange(count)
        order[[0, 1]] = order[[1, 0]]
    return scene.with_(heldout=Drawn(scene.heldout.raw, order[scene.heldout.labels]))


# -- models ------------------------------------------------------------------------------------


def statistics_stale(scene: Scene, share: float) -> Scene:
    """Running statistics that have moved only `share` of the way from where they began."""
    student = copy.deepcopy(scene.student)
    for module in student.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.mul_(share)
            module.running_var.mul_(share).add_(1 - share)
            module.momentum = 1 - (1 - share) ** (1 / max(1, int(module.num_batches_tracked or 1)))
    return scene.with_(student=student)


def has_batchnorm(model: nn.Module) -> bool:
    """Tell whether there are running statistics to go stale."""
    return any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())


def _head(scene: Scene, change: Callable[[nn.Linear], None]) -> Scene:
    student = copy.deepcopy(scene.student)
    head = [m for m in student.modules() if isinstance(m, nn.Linear)][-1]
    with torch.no_grad():
        change(head)
    return scene.with_(student=student)


def louder(scene: Scene, factor: float) -> Scene:
    def change(head: nn.Linear) -> None:
        head.weight.mul_(factor)
        head.bias.mul_(factor)

    return _head(scene, change)


def exported(scene: Scene, places: int) -> Scene:
    def change(head: nn.Linear) -> None:
        head.weight.copy_(head.weight.roll(places, dims=0))
        head.bias.copy_(head.bias.roll(places, dims=0))

    return _head(scene, change)
