"""The forward pass: batches of model-ready inputs in, logits and head inputs out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gapdoctor.errors import GapDoctorError, IncompleteRun, UserCodeError
from gapdoctor.observe.borrow import borrowed
from gapdoctor.observe.device import is_out_of_memory
from gapdoctor.observe.head import as_logits, find_head, head_inputs


@dataclass
class Meter:
    """What forward passes cost, summed up."""

    samples: int = 0
    seconds: float = 0.0
    """Inside models alone; reading and preparing are apart."""


@dataclass(frozen=True)
class Logits:
    """Arrays of one pass."""

    logits: NDArray[np.float32]
    """(n, C)"""
    features: NDArray[np.float32] | None
    """(n, d) what the linear head was fed; None where no such head was found."""


@dataclass
class Forward:
    """One of the two models, ready to run on batches.

    The head is looked for once, on the first batch.
    """

    model: nn.Module
    who: str
    device: torch.device
    batch_size: int
    meter: Meter = field(default_factory=Meter)
    _head: nn.Linear | None = None
    _head_known: bool = False

    def run(self, batches: Iterable[torch.Tensor], *, meter: Meter | None = None) -> Logits:
        """Return the logits of all batches, in order.

        Parameters
        ----------
        batches : iterable of tensors (b, …)
            Model-ready inputs, on the CPU.
        meter : Meter, optional
            Counts this pass beside the model's own meter.

        Raises
        ------
        UserCodeError
            When the model raises; names it and the shape that it was given.
        IncompleteRun
            When memory runs out on a single row.
        """
        logits: list[NDArray[np.float32]] = []
        features: list[NDArray[np.float32]] = []
        with borrowed(self.model, self.device) as model:
            for batch in batches:
                for part in self._sized(batch):
                    if not self._head_known:
                        self._find_head(model, part)
                    out, fed = self._step(model, part, meter)
                    logits.append(out)
                    if fed is not None:
                        features.append(fed)
        return Logits(
            np.concatenate(logits),
            np.concatenate(features) if len(features) == len(logits) else None,
        )

    @property
    def head(self) -> nn.Linear | None:
        """The linear layer whose output is the logits; None before the first pass or without."""
        return self._head

    def _sized(self, batch: torch.Tensor) -> Iterator[torch.Tensor]:
        at = 0
        while at < len(batch):  # batch_size may fall on the way, when memory runs out
            part = batch[at : at + self.batch_size]
            at += len(part)
            yield part

    def _find_head(self, model: nn.Module, part: torch.Tensor) -> None:
        part = part[:2]
        try:
            with naming_failures(self.who, part):
                self._head = find_head(model, self._own(model, part), self.who)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise _no_memory(self.who, len(part)) from error
        self._head_known = True

    def _own(self, model: nn.Module, part: torch.Tensor) -> torch.Tensor:
        """A copy, since a model may work in place, on the device and in the model's precision."""
        floating = (p.dtype for p in model.parameters() if p.is_floating_point())
        dtype = next(floating, part.dtype) if part.is_floating_point() else part.dtype
        return part.to(self.device, dtype, copy=True)

    def _step(
        self, model: nn.Module, part: torch.Tensor, meter: Meter | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        started = time.perf_counter()
        try:
            with naming_failures(self.who, part), head_inputs(self._head) as fed:
                out = as_logits(model(self._own(model, part)), self.who, len(part))
                logits = out.float().cpu().numpy()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(part) == 1:
                raise _no_memory(self.who, 1) from error
            smaller = True
        else:
            smaller = False
        if smaller:  # outside the except block: its traceback would keep the tensors alive
            return self._in_two(model, part, meter)
        for counter in (self.meter, meter):
            if counter is not None:
                counter.samples += len(part)
                counter.seconds += time.perf_counter() - started
        whole = len(fed) == 1 and fed[0].ndim == 2 and len(fed[0]) == len(part)
        return logits, fed[0].float().cpu().numpy() if whole else None

    def _in_two(
        self, model: nn.Module, part: torch.Tensor, meter: Meter | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        self.batch_size = max(1, len(part) // 2)
        halves = [self._step(model, p, meter) for p in torch.split(part, self.batch_size)]
        fed = [f for _, f in halves if f is not None]
        return (
            np.concatenate([z for z, _ in halves]),
            np.concatenate(fed) if len(fed) == len(halves) else None,
        )


def _no_memory(who: str, rows: int) -> IncompleteRun:
    return IncompleteRun(
        f"{who}: memory ran out on a batch of {rows} row{'s' * (rows > 1)}",
        "use --device cpu, or a machine with more memory",
    )


class naming_failures:
    """Turn what a user's forward raises into one line with the model and the shape."""

    def __init__(self, who: str, part: torch.Tensor, what: str = "forward") -> None:
        self.who, self.part, self.what = who, part, what

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if error is None or not isinstance(error, Exception) or isinstance(error, GapDoctorError):
            return
        if is_out_of_memory(error):
            return
        shape, dtype = tuple(self.part.shape), str(self.part.dtype).removeprefix("torch.")
        raise UserCodeError(
            f"{self.who}: {self.what} raised {type(error).__name__} on a batch of shape {shape} "
            f"({dtype}): {str(error).splitlines()[0] if str(error) else ''}",
            "check that the [preprocess] pipelines make what this model eats",
        ) from error
