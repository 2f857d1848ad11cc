"""Both models, ready to score batches: a module that runs, or logits that were stored."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gapdoctor.errors import DataError, GapDoctorError
from gapdoctor.observe.case import Case, Model, Split, TeacherLogits
from gapdoctor.observe.device import choose_device
from gapdoctor.observe.forward import Forward, Logits, Meter


class Scorer:
    """Runs the models of a case; counts what that costs.

    Parameters
    ----------
    case : Case
        The pair.
    device : str
        As `choose_device` takes it.
    batch_size : int
        Rows a forward pass.
    """

    def __init__(self, case: Case, device: str, batch_size: int) -> None:
        self._case = case
        self._wanted = device
        self._batch_size = batch_size
        self._variants: dict[str, Forward] = {}
        self._elsewhere = 0
        self._models = {
            who: self._forward(model, str(who))
            for who, model in ((Model.STUDENT, case.student), (Model.TEACHER, case.teacher))
            if not (who is Model.TEACHER and isinstance(model, TeacherLogits))
        }

    def run(
        self,
        model: Model,
        batches: Iterable[torch.Tensor],
        *,
        variant: str = "",
        meter: Meter | None = None,
    ) -> Logits:
        """Return what a model (or a `variant` of it, see `add`) says of batches, in order."""
        forward = self._variants[variant] if variant else self._models[model]
        found = forward.run(batches, meter=meter)
        temperature = self._case.output_temperature
        if model is Model.STUDENT and temperature != 1.0:
            return Logits(found.logits / np.float32(temperature), found.features)
        return found

    def add(self, name: str, module: nn.Module) -> None:
        """Make a changed copy of a model known under a name, instead of one of that name."""
        if name in self._variants:
            self.spend(self._variants[name].meter.samples)
        self._variants[name] = self._forward(module, name)

    def runs(self, model: Model) -> bool:
        """Tell whether the model is there to run, rather than its stored logits."""
        return model in self._models

    def head(self, model: Model) -> nn.Linear | None:
        """Return the linear head of a model; None before its first pass or where it has none."""
        return self._models[model].head if model in self._models else None

    def device(self, model: Model) -> torch.device:
        """Return where a model runs."""
        return self._models[model].device

    def device_name(self, model: Model) -> str:
        """Return what a model runs on: the name of the graphics card, or `cpu`, `mps`."""
        device = self._models[model].device
        return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type

    def samples(self) -> int:
        """Return how many rows went through a model, all of them together."""
        return self._elsewhere + sum(
            forward.meter.samples for forward in (*self._models.values(), *self._variants.values())
        )

    def spend(self, samples: int) -> None:
        """Count rows that went through a copy of a model elsewhere, such as in training."""
        self._elsewhere += samples

    def stored(
        self, split: Split, part: int, rows: NDArray[np.int64], count: int
    ) -> NDArray[np.float32]:
        """Return stored teacher logits of `rows` of a part of a split that has `count` rows.

        Raises
        ------
        DataError
            When the stored array is no logits, one row a row of the data set.
        """
        stored = self._case.teacher
        assert isinstance(stored, TeacherLogits)
        name = "train" if split is Split.TRAIN else ("heldout", "test")[part]
        array = getattr(stored, name)
        if array is None or len(array) != count:
            there = 0 if array is None else len(array)
            raise DataError(
                f"teacher.logits: {there} rows of {name}, but the data set has {count}",
                "store one row of logits for each row of the data set, in its order",
            )
        logits = np.asarray(array)
        if logits.ndim != 2 or logits.shape[1] < 2 or logits.dtype.kind not in "iuf":
            raise DataError(
                f"teacher.logits: {name} has shape {logits.shape} of {logits.dtype}, "
                "not (rows, classes) of numbers",
                "store one row of logits, before the softmax, for each row of the data set",
            )
        return logits[rows].astype(np.float32)

    def _forward(self, model: object, who: str) -> Forward:
        if not isinstance(model, nn.Module):
            raise GapDoctorError(
                f"{who}: {type(model).__name__} is not a model", "give an nn.Module, built"
            )
        return Forward(model, who, choose_device(self._wanted, model), self._batch_size)
