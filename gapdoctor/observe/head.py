"""The linear head: which layer makes the logits, and what it is fed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from gapdoctor.errors import UserCodeError


def as_logits(output: Any, who: str, rows: int) -> torch.Tensor:
    """Return the logits (N, C) in a model's output, cut off from its graph (see `logits_in`)."""
    return logits_in(output, who, rows).detach()


def logits_in(output: Any, who: str, rows: int) -> torch.Tensor:
    """Return the logits (N, C) in a model's output, as they are.

    Parameters
    ----------
    output : tensor, tuple, dict, or object with `.logits`
        The first tensor of a tuple; the entry `logits` (or `out`) of a dict or an object.
    who : str
        `student` or `teacher`, for messages.
    rows : int
        N, the rows that the model was given.

    Raises
    ------
    UserCodeError
        When no logits of rank 2 with at least two classes are found; names what was.
    """
    found = _tensor_in(output)
    if found is None:
        raise UserCodeError(
            f"{who}: forward returned {type(output).__name__}, in which no logits were found",
            "return a tensor (N, C), a tuple that starts with it, or a dict with the key 'logits'",
        )
    if found.ndim != 2 or found.shape[1] < 2:
        raise UserCodeError(
            f"{who}: forward returned shape {tuple(found.shape)}, not (N, C) with C ≥ 2",
            "wrap the model so that it returns one row of class logits a sample",
        )
    if len(found) != rows:
        raise UserCodeError(
            f"{who}: forward returned {len(found)} rows of logits for a batch of {rows}",
            "wrap the model so that it returns one row of class logits a sample",
        )
    return found


def _tensor_in(output: Any) -> torch.Tensor | None:
    if isinstance(output, torch.Tensor):
        return output
    for key in ("logits", "out"):
        found = output.get(key) if isinstance(output, dict) else getattr(output, key, None)
        if isinstance(found, torch.Tensor):
            return found
    if isinstance(output, tuple | list):
        return next((part for part in output if isinstance(part, torch.Tensor)), None)
    return None


def find_head(model: nn.Module, batch: torch.Tensor, who: str) -> nn.Linear | None:
    """Return the linear layer whose output is the logits, or None.

    The model runs once on `batch`; hooks are removed before returning, also after an error.
    """
    made: list[tuple[nn.Linear, torch.Tensor]] = []
    handles = [
        module.register_forward_hook(lambda m, _, out: made.append((m, out.clone())))
        for module in model.modules()
        if isinstance(module, nn.Linear)
    ]
    try:
        logits = as_logits(model(batch), who, len(batch))
    finally:
        for handle in handles:
            handle.remove()
    same = [m for m, out in made if out.shape == logits.shape and torch.equal(out, logits)]
    return same[-1] if same and sum(m is same[-1] for m, _ in made) == 1 else None


@contextmanager
def head_inputs(head: nn.Linear | None) -> Iterator[list[torch.Tensor]]:
    """Collect what the head is fed while inside; (N, d) a call. Nothing where there is no head."""
    fed: list[torch.Tensor] = []
    if head is None:
        yield fed
        return

    def keep(_: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        fed.append((inputs[0] if inputs else named["input"]).detach())

    handle = head.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        yield fed
    finally:
        handle.remove()
