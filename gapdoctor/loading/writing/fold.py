"""Temperature and class order, folded into the linear head: the deployed code stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gapdoctor.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class Folded:
    """A student's weights, and what could not be folded into them."""

    weights: dict[str, Tensor]
    """All of its `state_dict()`, on the CPU; the model itself is unchanged."""
    output_temperature: float
    """What is still to be divided by: `[student] output_temperature`; 1 where all is folded in."""
    order_left: bool
    """Whether the class order could not be folded in."""
    reason: str = ""
    """Why not, as a sentence; empty where all was folded in."""


def fold(
    model: nn.Module,
    head: nn.Linear | None,
    *,
    temperature: float = 1.0,
    order: Sequence[int] | None = None,
) -> Folded:
    """Fold a temperature and a class order into the head that makes the logits.

    z / T = (W/T)·h + b/T: the same logits, but for the rounding of a float. Column j of the logits
    means class order[j], so row j of W and b moves to row order[j].

    Parameters
    ----------
    model : nn.Module
        The student; read only.
    head : nn.Linear or None
        Its layer whose output is the logits (`observe.head.find_head`). None: it has none.
    temperature : float
        The logits are divided by it; with `[student] output_temperature` in force, the product.
    order : sequence of int, optional
        The class that each column of the logits means.

    Raises
    ------
    CheckpointError
        When the temperature is not above 0, or the order is no permutation of the classes.
    """
    if not temperature > 0:
        raise CheckpointError(f"temperature {temperature}: must be above 0", "give another one")
    weights = {
        name: tensor.detach().cpu().clone()
        for name, tensor in model.state_dict().items()
        if isinstance(tensor, Tensor)
    }
    moved = None if order is None else _permutation(order, head)
    if temperature == 1.0 and moved is None:
        return Folded(weights, 1.0, order_left=False)
    reason = _obstacle(model, head)
    if reason:
        return Folded(weights, temperature, order_left=moved is not None, reason=reason)
    for name in _names(model, head):
        weights[name] = _folded(weights[name], temperature, moved)
    return Folded(weights, 1.0, order_left=False)


def _folded(tensor: Tensor, temperature: float, order: Tensor | None) -> Tensor:
    """Divided in float64, so that the only rounding is the one of storing it."""
    scaled = (tensor.double() / temperature).to(tensor.dtype)
    if order is None:
        return scaled
    result = torch.empty_like(scaled)
    result[order] = scaled
    return result


def _permutation(order: Sequence[int], head: nn.Linear | None) -> Tensor | None:
    found = torch.as_tensor([int(i) for i in order], dtype=torch.int64)
    classes = len(found) if head is None else head.out_features
    if sorted(found.tolist()) != list(range(classes)):
        raise CheckpointError(
            f"class order {found.tolist()}: no permutation of {classes} classes",
            "name each class once",
        )
    return None if found.tolist() == list(range(classes)) else found


def _names(model: nn.Module, head: nn.Linear | None) -> list[str]:
    """The head's own entries of the state_dict."""
    path = next(name for name, module in model.named_modules() if module is head)
    entries = ("weight", "bias") if head is not None and head.bias is not None else ("weight",)
    return [f"{path}.{entry}".strip(".") for entry in entries]


def _obstacle(model: nn.Module, head: nn.Linear | None) -> str:
    """Why the head cannot take it, or nothing."""
    if head is None:
        return "The logits do not come straight from a linear layer."
    stored = model.state_dict()
    if "weight" not in head._parameters or any(n not in stored for n in _names(model, head)):
        return "The head's weights are computed from others (a parametrization)."
    for own in head._parameters.values():
        if own is not None and _holders(model, own) > 1:
            return "The head shares its weights with another layer."
    return ""


def _holders(model: nn.Module, parameter: nn.Parameter) -> int:
    """How many modules hold this parameter, or another one over the same numbers."""
    return sum(
        p.data_ptr() == parameter.data_ptr() and p.numel() > 0
        for module in model.modules()
        for p in module._parameters.values()
        if p is not None
    )
