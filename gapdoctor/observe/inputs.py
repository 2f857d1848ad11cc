"""Model-ready inputs of both splits, through each pipeline, read once where they fit in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gapdoctor.errors import DataError, GapDoctorError, UserCodeError
from gapdoctor.observe.case import Pipeline
from gapdoctor.observe.rows import Rows

CACHE_BYTES = 512 * 1024**2
"""Prepared inputs that are kept for later passes, over both splits; more is read again."""

Indices = NDArray[np.int64]


class Inputs:
    """The rows of one split in reading order, prepared by any of its pipelines.

    Parameters
    ----------
    parts : sequence of (Rows, order)
        The data sets of the split (held-out, and test behind it) with the order of reading.
    pipelines : dict of str to Pipeline or None
        By name; None hands the input on as it is.
    budget : list of one int
        Bytes left for the cache, shared between splits.
    """

    def __init__(
        self,
        parts: Sequence[tuple[Rows, Indices]],
        pipelines: Mapping[str, Pipeline | None],
        budget: list[int],
    ) -> None:
        self._parts = parts
        self._pipelines = pipelines
        self._budget = budget
        self._kept: dict[tuple[int, int, str], torch.Tensor] = {}
        self.seconds = 0.0
        """Spent on reading and preparing, counted apart from what is done with the inputs."""
        self.labels: list[Indices] = [np.empty(0, np.int64) for _ in parts]
        """Labels of the rows read so far, a part."""

    def batches(
        self, part: int, start: int, stop: int, pipeline: str, batch_size: int
    ) -> Iterator[torch.Tensor]:
        """Yield rows `start` to `stop` of a part in reading order, prepared by `pipeline`.

        Nobody may change what is yielded: it may be kept for later passes.
        """
        for at in range(start, stop, batch_size):
            yield self._chunk(part, at, min(at + batch_size, stop), pipeline)

    def gather(self, part: int, positions: Indices, pipeline: str, batch_size: int) -> torch.Tensor:
        """Return the rows at `positions` (of those read before), prepared by `pipeline`."""
        read = len(self.labels[part])
        found = []
        for at in np.unique(positions // batch_size) * batch_size:
            chunk = self._chunk(part, int(at), min(int(at) + batch_size, read), pipeline)
            wanted = positions[(positions >= at) & (positions < at + batch_size)] - at
            whole = np.array_equal(wanted, np.arange(len(chunk)))
            found.append(chunk if whole else chunk[torch.from_numpy(wanted)])
        rows = torch.cat(found)
        if (np.diff(positions // batch_size) >= 0).all():
            return rows
        order = np.argsort(positions // batch_size, kind="stable")
        return rows[torch.from_numpy(np.argsort(order))]

    def differs(self, part: int, count: int, pipeline: str) -> bool:
        """Tell whether the first `count` rows of a part differ when read twice, past the cache."""
        rows, order = self._parts[part]
        first, again = (
            prepare(rows.read(order[:count]).inputs, self._pipelines[pipeline], rows.name).numpy()
            for _ in range(2)
        )
        return not np.array_equal(first, again, equal_nan=first.dtype.kind == "f")

    def _chunk(self, part: int, start: int, stop: int, pipeline: str) -> torch.Tensor:
        kept = self._kept.get((part, start, pipeline))
        if kept is not None and len(kept) >= stop - start:
            return kept[: stop - start]
        started = time.perf_counter()
        wanted = self._read(part, start, stop, pipeline)
        self.seconds += time.perf_counter() - started
        return wanted

    def _read(self, part: int, start: int, stop: int, pipeline: str) -> torch.Tensor:
        rows, order = self._parts[part]
        raw = rows.read(order[start:stop])
        if start == len(self.labels[part]):
            self.labels[part] = np.concatenate([self.labels[part], raw.labels])
        wanted = prepare(raw.inputs, self._pipelines[pipeline], rows.name)
        self._keep((part, start, pipeline), wanted)
        for name in self._pipelines:  # one reading serves every pipeline
            if name != pipeline and self._has_room_for(wanted):
                other = prepare(raw.inputs, self._pipelines[name], rows.name)
                self._keep((part, start, name), other)
        return wanted

    def _has_room_for(self, batch: torch.Tensor) -> bool:
        return batch.element_size() * batch.nelement() <= self._budget[0]

    def _keep(self, key: tuple[int, int, str], batch: torch.Tensor) -> None:
        if self._has_room_for(batch):
            shorter = self._kept.pop(key, None)
            if shorter is not None:
                self._budget[0] += shorter.element_size() * shorter.nelement()
            self._kept[key] = batch
            self._budget[0] -= batch.element_size() * batch.nelement()


def prepare(inputs: Any, pipeline: Pipeline | None, split: str) -> torch.Tensor:
    """Return the model-ready batch of raw inputs.

    Parameters
    ----------
    inputs : sequence of raw inputs, or a stacked tensor or array
        As `Rows.read` gives them.
    pipeline : Pipeline or None
        None: the inputs are model-ready.
    split : str
        For messages.

    Returns
    -------
    tensor (n, …)
        Floating numbers as float32, whole numbers as they are.

    Raises
    ------
    UserCodeError
        When the pipeline raises or gives no tensor; names it.
    DataError
        When samples of unequal shape cannot be stacked.
    """
    if pipeline is None:
        return _stacked(inputs, split, "")
    batch = _made(inputs, pipeline, split)
    for step in pipeline.after:
        batch = step(batch)
    return batch


def _made(inputs: Any, pipeline: Pipeline, split: str) -> torch.Tensor:
    made_by = pipeline.name or "pipeline"
    if not pipeline.batched:
        return _stacked([_called(pipeline, sample, split) for sample in inputs], split, made_by)
    batch = _as_tensor(_called(pipeline, _raw_stack(inputs, split), split), split, made_by)
    if batch.ndim == 0 or len(batch) != len(inputs):
        raise UserCodeError(
            f"preprocess {made_by}: made shape {tuple(batch.shape)} of a batch of {len(inputs)} "
            f"rows of {split}",
            "with batched = true it gets stacked raw samples and gives one row a sample",
        )
    return batch


def _called(pipeline: Pipeline, sample: Any, split: str) -> Any:
    """Call a pipeline on a copy: it may work in place, and others are still to see the sample."""
    if isinstance(sample, torch.Tensor):
        sample = sample.clone()
    elif isinstance(sample, np.ndarray):
        sample = sample.copy()
    try:
        return pipeline.call(sample)
    except GapDoctorError:
        raise
    except Exception as error:  # a user's pipeline may raise anything
        kind = type(sample).__name__
        raise UserCodeError(
            f"preprocess {pipeline.name or 'pipeline'}: raised {type(error).__name__} on a raw "
            f"{kind} of {split}: {error}",
            "it gets what the data set yields, untouched; see the hand-over rules in docs",
        ) from error


def _raw_stack(inputs: Any, split: str) -> Any:
    if hasattr(inputs, "shape"):
        return inputs
    try:
        if all(isinstance(x, torch.Tensor) for x in inputs):
            return torch.stack(list(inputs))
        return np.stack([np.asarray(x) for x in inputs])
    except (RuntimeError, ValueError, TypeError) as error:
        raise DataError(
            f"data.{split}: raw samples cannot be stacked for a batched pipeline: {error}",
            "leave `batched` out: the pipeline then gets one raw sample",
        ) from error


def _stacked(inputs: Any, split: str, made_by: str) -> torch.Tensor:
    if hasattr(inputs, "shape"):
        return _as_tensor(inputs, split, made_by)
    tensors = [_as_tensor(x, split, made_by) for x in inputs]
    shapes = {tuple(t.shape) for t in tensors}
    if len(shapes) > 1:
        raise DataError(
            f"data.{split}: samples of different shapes {sorted(shapes)[:3]} cannot be stacked",
            "resize or pad them in the [preprocess] pipelines",
        )
    return torch.stack(tensors)


def _as_tensor(value: Any, split: str, made_by: str) -> torch.Tensor:
    if not isinstance(value, torch.Tensor):
        try:
            array = np.asarray(value)
            # torch can neither share negative strides nor memory that may not be written to
            value = torch.from_numpy(np.require(array, requirements=["C", "W"]))
        except (TypeError, ValueError) as error:
            kind = type(value).__name__
            if made_by:
                raise UserCodeError(
                    f"preprocess {made_by}: made a {kind} of a raw sample of {split}, not a tensor",
                    "let it end with a tensor without batch axis",
                ) from error
            raise DataError(
                f"data.{split}: an input of type {kind} is no tensor",
                "give [preprocess] train and inference pipelines that make tensors of raw samples",
            ) from error
    plain: torch.Tensor = value.as_subclass(torch.Tensor).detach().cpu()
    return plain.float() if plain.is_floating_point() else plain
