"""Which layer of the student goes with which of the teacher."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from gapdoctor.observe.device import model_device
from gapdoctor.training.features.layers import Layer, Survey, survey, why_not_heard
from gapdoctor.training.rows import Indices

Pairs = tuple[tuple[str, str], ...]
"""(path in the student, path in the teacher), from the inputs to the logits."""
ROWS = 31
"""Rows by which layers are compared: more than a few, and a number that no other axis is likely to
have."""
PARTS = 3
"""Stretches of the student's depth, from each of which one layer is paired (the three groups of
attention transfer on CIFAR: Zagoruyko & Komodakis 2017)."""
EARLIEST = 0.15
"""Relative depth below which layers are passed over: edges and colours need no teacher (starting
value)."""
NEAR = 0.2
"""Relative depth by which two layers of a pair differ, at most (starting value)."""
ALIKE = 0.05
"""Similarities that differ by less are the same: then the outermost layer is taken."""


def spread(count: int) -> Indices:
    """Return which of `count` rows layers are compared by: evenly spread, data may be sorted."""
    return np.linspace(0, count - 1, min(ROWS, count)).round().astype(np.int64)


def paired_layers(
    student: nn.Module,
    teacher: object,
    inputs: torch.Tensor,
    teacher_inputs: torch.Tensor | None = None,
) -> Pairs | str:
    """Return up to three pairs of layers, or why there are none.

    Both models run once on the rows, where they are, and are left as they were.

    Parameters
    ----------
    student : nn.Module
    teacher : nn.Module or TeacherLogits
    inputs : tensor (n, …)
        Model-ready rows, `ROWS` of them where there are so many.
    teacher_inputs : tensor (n, …), optional
        The same rows where the teacher has a pipeline of its own.

    Raises
    ------
    UserCodeError
        When a model cannot take the rows.
    """
    found: list[Survey] = []
    theirs = inputs if teacher_inputs is None else teacher_inputs
    for who, model, rows in (("student", student, inputs), ("teacher", teacher, theirs)):
        reason = why_not_heard(model)
        if reason or not isinstance(model, nn.Module):
            return f"the {who} {reason}"
        seen = survey(model, rows[:ROWS], who, model_device(model))
        # an exported program calls no layer that has weights of its own
        if isinstance(model, torch.fx.GraphModule) and not any(x.depth for x in seen.layers):
            return f"the {who} runs as one program, whose layers cannot be listened to"
        if not candidates(seen):
            return f"the {who} has no layer between inputs and logits that returns a plain tensor"
        found.append(seen)
    pairs = choose_pairs(*(candidates(seen) for seen in found))
    return pairs or "no layer of the student stands about as deep as one of the teacher"


def candidates(seen: Survey) -> list[Layer]:
    """Return the layers whose output can be imitated: features, never the logits themselves.

    Of layers that return the very same tensor the outermost stands for all; one that runs several
    times in a pass says several things.
    """
    return [
        layer
        for layer in seen.layers
        if not layer.gives
        and not layer.passed_on
        and layer.calls == 1
        and layer.depth >= EARLIEST
        and layer.shape != seen.logits
        and layer.shape[layer.axis] > 1
    ]


def choose_pairs(student: Sequence[Layer], teacher: Sequence[Layer]) -> Pairs:
    """Return one pair from each third of the student's depth, where there is one.

    Of the pairs that stand about equally deep: whole blocks first, then those of equal size, then
    the most similar. Pairs do not cross.

    Parameters
    ----------
    student, teacher : sequence of Layer
        Candidates, in the order in which they were done.
    """
    chosen: list[tuple[Layer, Layer]] = []
    for part in range(PARTS):
        after = chosen[-1][1].depth if chosen else -1.0
        near = [
            (one, other)
            for one in student
            for other in teacher
            if min(PARTS - 1, int(one.depth * PARTS)) == part
            and abs(one.depth - other.depth) <= NEAR
            and other.depth > after
        ]
        if near:
            chosen.append(max(near, key=lambda pair: _merit(*pair)))
    return tuple((one.path, other.path) for one, other in chosen)


def _merit(one: Layer, other: Layer) -> tuple[object, ...]:
    alike = similarity(one.gram, other.gram)
    outermost = -(one.path.count(".") + other.path.count("."))
    return (
        -(one.inner + other.inner),
        _size(one) == _size(other),
        round(alike / ALIKE),
        outermost,
        -abs(one.depth - other.depth),
        one.depth + other.depth,
    )


def _size(layer: Layer) -> tuple[int, ...]:
    """Of the positions; one alone is none."""
    return tuple(n for n in layer.positions if n > 1)


def similarity(one: torch.Tensor | None, other: torch.Tensor | None) -> float:
    """Return the linear CKA of two layers from the products of their rows (n, n).

    Kornblith et al. 2019, arXiv 1905.00414, with the unbiased estimate of HSIC (Song et al. 2012;
    Nguyen et al. 2021, arXiv 2010.15327, equation 3): with few rows and many features the plain one
    is near 1 whatever is compared. 0 with fewer than 4 rows, or where a layer says the same of all.
    """
    if one is None or other is None or len(one) < 4:
        return 0.0
    mixed, own, theirs = _hsic(one, other), _hsic(one, one), _hsic(other, other)
    return mixed / (own * theirs) ** 0.5 if own > 0 and theirs > 0 else 0.0


def _hsic(one: torch.Tensor, other: torch.Tensor) -> float:
    n = len(one)
    k, l = (m - torch.diag(m.diagonal()) for m in (one, other))  # noqa: E741 - as in the formula
    both = (k * l).sum() + k.sum() * l.sum() / ((n - 1) * (n - 2))
    return float((both - 2 / (n - 2) * (k.sum(0) @ l.sum(1))) / (n * (n - 3)))
