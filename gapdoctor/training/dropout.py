"""Dropout as a knob: on the layers there are, or before the head; no key of the weights changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.dropout import _DropoutNd

from gapdoctor.errors import GapDoctorError
from gapdoctor.observe.borrow import borrowed
from gapdoctor.observe.device import model_device
from gapdoctor.observe.forward import naming_failures
from gapdoctor.observe.head import find_head
from gapdoctor.training.placement import fed


@contextmanager
def with_dropout(student: nn.Module, p: float | None, sample: torch.Tensor) -> Iterator[None]:
    """Let a student drop features in train mode while inside; afterwards it is as it was.

    Dropout layers drop with probability `p` (Srivastava et al. 2014), all of them; where there is
    none, the features that the linear head is fed. A student with a layer of this very `p` was
    built with it and is left alone; so is every student where `p` is None or 0.

    Parameters
    ----------
    student : nn.Module
        Its layers and hooks are changed.
    p : float or None
        A recipe's `dropout`.
    sample : tensor (n, …)
        Model-ready rows, by which the head is found.

    Raises
    ------
    GapDoctorError
        When there is neither a dropout layer nor a linear head.
    """
    layers = [m for m in student.modules() if isinstance(m, _DropoutNd)]
    before = [layer.p for layer in layers]
    if not p or p in before:
        yield
        return
    handle = None if layers else _head_of(student, sample).register_forward_pre_hook(
        _dropping(p), with_kwargs=True
    )  # fmt: skip
    for layer in layers:
        layer.p = p
    try:
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            layer.p = own
        if handle is not None:
            handle.remove()


def _dropping(p: float) -> Any:
    def drop(
        module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        if not module.training:
            return None
        if inputs:
            return (functional.dropout(inputs[0], p), *inputs[1:]), named
        return inputs, {**named, "input": functional.dropout(named["input"], p)}

    return drop


def _head_of(student: nn.Module, sample: torch.Tensor) -> nn.Linear:
    head = _find_head(student, sample)
    if head is None:
        raise GapDoctorError(
            "recipe.dropout: the student has neither a dropout layer nor a linear head",
            "build it with dropout layers, or leave recipe.dropout out",
        )
    return head


def _find_head(student: nn.Module, sample: torch.Tensor) -> nn.Linear | None:
    device = model_device(student)
    with borrowed(student, device), naming_failures("student", sample[:2]):
        return find_head(student, fed(sample[:2], student, device), "student")
