"""Whether the inputs of a run are still the same: pair, config, code that is named, some rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from gapdoctor.errors import GapDoctorError
from gapdoctor.files import sha256
from gapdoctor.loading.config import Config, config_files
from gapdoctor.observe.borrow import own_random_state
from gapdoctor.observe.case import Case, TeacherLogits
from gapdoctor.observe.rows import as_rows
from gapdoctor.observe.transforms import transform_of, without_transform
from gapdoctor.version import __version__

ROWS = 64
"""Of each split."""


def fingerprint(case: Case, config: Config | None = None) -> str:
    """Return a hash of all that a run of `diagnose` or `fix` depends on, but for its options.

    Both models, the resolved config, every file that it names, the version of gapdoctor, and 64
    seeded rows of each split. A split that can be read only once counts by its kind alone.

    Parameters
    ----------
    case : Case
        Left as it is.
    config : Config, optional
        That it was loaded from; None for live objects: then the recipe counts.
    """
    told: dict[str, Any] = {
        "version": __version__,
        "student": _model(case, "student"),
        "teacher": _model(case, "teacher"),
        "config": None if config is None else _values(config),
        "files": [] if config is None else [[p.name, sha256(p)] for p in config_files(config)],
        "recipe": case.recipe_record.recipe.known(),
        "temperature": case.output_temperature,
        "rows": [_rows(case, name) for name in ("train", "heldout", "test")],
    }
    if case.folded_temperature is not None:
        told["folded"] = case.folded_temperature
    if case.assistant is not None:
        told["assistant"] = _model(case, "assistant")
    text = json.dumps(told, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _values(config: Config) -> dict[str, Any]:
    """All but where the checkpoints lie: their content counts, and a path has many spellings."""
    return {
        section: {k: v for k, v in table.items() if k != "checkpoint"}
        if isinstance(table, Mapping)
        else table
        for section, table in config.values.items()
    }


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _model(case: Case, who: str) -> str:
    record = case.records.get(who)  # type: ignore[call-overload]
    if record is not None and record.sha256 is not None:
        return str(record.sha256)
    model = getattr(case, who)
    if isinstance(model, TeacherLogits):
        return _hash([model.train, model.heldout])
    assert isinstance(model, nn.Module)
    return _hash([type(model).__qualname__, dict(model.state_dict())])


def _rows(case: Case, name: str) -> str | None:
    source = getattr(case, name)
    if source is None:
        return None
    if isinstance(source, Iterator):  # reading would use it up
        return type(source).__qualname__
    try:
        with own_random_state(0):
            rows = as_rows(source, name, keys=case.sample_keys, stream_rows=ROWS, seed=0)
            if transform_of(rows.dataset) is not None:  # what it draws at random is no difference
                bare = without_transform(rows.dataset)
                rows = as_rows(bare, name, keys=case.sample_keys, stream_rows=ROWS, seed=0)
            some = np.random.default_rng(0).choice(rows.count, min(ROWS, rows.count), replace=False)
            read = rows.read(np.sort(some).astype(np.int64))
        return _hash([rows.count, read.inputs, read.labels])
    except GapDoctorError as error:  # told where the rows are needed
        return error.message


def _hash(value: Any) -> str:
    digest = hashlib.sha256()
    _feed(digest, value)
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    """Bytes of tensors, arrays and pictures; of the rest, what it says of itself."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = value.float().numpy() if value.dtype is torch.bfloat16 else value.numpy()
    if isinstance(value, Mapping):
        for key in sorted(value, key=str):
            digest.update(f"{key}:".encode())
            _feed(digest, value[key])
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        digest.update(f"{len(value)}[".encode())
        for item in value:
            _feed(digest, item)
    elif isinstance(value, str | bytes | int | float | bool | None):
        digest.update(repr(value).encode("utf-8", "surrogateescape"))
    elif isinstance(value, np.ndarray) or hasattr(value, "__array_interface__"):
        array = np.ascontiguousarray(value)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(repr(array.tolist()).encode() if array.dtype == object else array.tobytes())
    else:
        digest.update(type(value).__qualname__.encode())
