"""One file that holds a student, its teacher, the recipe and the learning curves."""

from __future__ import annotations

import difflib
import io
from collections.abc import Mapping, Sequence
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gapdoctor.domain.recipe import Recipe
from gapdoctor.errors import CheckpointError, ConfigError
from gapdoctor.files import write_bytes

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor, nn

    Weights = nn.Module | Mapping[str, Tensor]


def save_bundle(
    path: str | Path,
    *,
    student: Weights,
    teacher: Weights | None = None,
    recipe: Recipe | Mapping[str, Any] | None = None,
    history: pd.DataFrame | Mapping[str, Sequence[float]] | None = None,
    names: Mapping[str, str] | None = None,
) -> Path:
    """Save weights, recipe and history in one file; whole or not at all.

    It holds tensors and plain data only: `torch.load(path, weights_only=True)` reads it, too.

    Parameters
    ----------
    path : path
        Where to write; an existing file is replaced.
    student : nn.Module or state_dict
        The trained student.
    teacher : nn.Module or state_dict, optional
        Its teacher.
    recipe : Recipe or mapping, optional
        How the student was trained, by the keys of `[recipe]`.
    history : DataFrame or mapping of columns, optional
        Learning curves: `epoch, train_loss, heldout_loss, …`, as `read_history` understands them.
    names : mapping, optional
        Dotted config key -> `where:what`, such as `{"student.model": "run.py:student"}`:
        proposals that `gapdoctor init` writes as comments. They are never run.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    CheckpointError
        When a model is neither an nn.Module nor a dict of tensors.
    ConfigError
        When the recipe has an unknown key or a value that its key cannot have.
    DataError
        When the history has no train or held-out loss.
    OutputError
        When the file cannot be written.
    """
    import torch

    from gapdoctor.loading.checkpoint.layouts.bundle import MARK, VERSION

    content: dict[str, Any] = {MARK: VERSION, "student": _state(student, "student")}
    if teacher is not None:
        content["teacher"] = _state(teacher, "teacher")
    if recipe is not None:
        content["recipe"] = _recipe(recipe)
    if history is not None:
        content["history"] = _history(history)
    if names:
        content["names"] = {str(key): str(name) for key, name in names.items()}
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(Path(path), buffer.getvalue())
    return Path(path)


def _state(model: Weights, role: str) -> dict[str, Tensor]:
    from torch import Tensor, nn

    given: Any = model.state_dict() if isinstance(model, nn.Module) else model
    named = isinstance(given, Mapping) and all(isinstance(name, str) for name in given)
    if not named or not given or not all(isinstance(t, Tensor) for t in given.values()):
        raise CheckpointError(
            f"save_bundle: {role} is {type(model).__name__}, neither an nn.Module nor a state_dict",
            f"give {role}=model, or {role}=model.state_dict()",
        )
    return {name: tensor.detach().cpu() for name, tensor in given.items()}


def _recipe(recipe: Recipe | Mapping[str, Any]) -> dict[str, Any]:
    from gapdoctor.loading.recipe_fields import coerced

    given = recipe.known() if isinstance(recipe, Recipe) else recipe
    known = [f.name for f in fields(Recipe)]
    written: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            raise ConfigError(f"save_bundle: unknown recipe key {name!r}", hint)
        usable = coerced(name, value)
        if usable is None and value is not None:
            raise ConfigError(
                f"save_bundle: recipe {name} cannot be {value!r}", f"see [recipe] {name}"
            )
        if usable is not None:
            written[name] = usable.value if isinstance(usable, Enum) else usable
    return written


def _history(history: pd.DataFrame | Mapping[str, Sequence[float]]) -> dict[str, list[Any]]:
    import pandas as pd

    from gapdoctor.errors import DataError
    from gapdoctor.loading.history import normalised

    try:
        raw = history if isinstance(history, pd.DataFrame) else pd.DataFrame(dict(history))
    except (ValueError, TypeError) as error:
        raise DataError(f"save_bundle: history: {error}", "give columns of one length") from error
    table = normalised(raw, "save_bundle: history")
    return {str(column): table[column].tolist() for column in table}
