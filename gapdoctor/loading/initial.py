"""The text of a first `gapdoctor.toml`: what a checkpoint tells, and what its user has to fill in.

Everything that comes out of the file is quoted or made a comment: a name in it is a proposal.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gapdoctor.domain.recipe import SELDOM, Recipe, RecipeRecord
from gapdoctor.loading.history import recover_history
from gapdoctor.loading.keys import AUGMENTATIONS
from gapdoctor.loading.recipe import idle_fields, recipe_notes, recover_recipe

if TYPE_CHECKING:
    import pandas as pd

    from gapdoctor.loading.checkpoint import Checkpoint, Entry

_COMMENT_AT = 34
_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".safetensors")
_NAMED = ("augment", "history", "trainer")
"""Recipe fields that name code or a file: never taken over as they are."""
_OF_A_SCHEDULE = (
    "step_size", "milestones", "gamma", "factor", "patience", "max_lr", "min_lr", "warmup_epochs",
)  # fmt: skip
_PROGRAMS = ("torchscript", "exported")
_PROPOSED = "proposed by the file; check, then open"


def initial_config(checkpoint: Checkpoint, *, folder: Path | None = None) -> str:
    """Return a commented `gapdoctor.toml` for a checkpoint.

    Parameters
    ----------
    checkpoint : Checkpoint
        The file that was read.
    folder : Path, optional
        Where the TOML will lie: the checkpoint is named relative to it. Left out: beside it.

    Returns
    -------
    str
        Valid TOML. What could be recovered is set; what could not is a comment with `# unknown`.
    """
    here = (folder or checkpoint.path.parent).absolute()
    file = Path(os.path.relpath(checkpoint.path.absolute(), here)).as_posix()
    names = checkpoint.meta.get("names") if checkpoint.format == "bundle" else None
    proposed = names if isinstance(names, Mapping) else {}
    lines = [
        "# What the checkpoint tells is filled in; fill in the lines that say `unknown`, without",
        "# the leading #. A thing is named by where:what, relative to this file.",
        "",
        *_student(checkpoint, file, proposed),
        "",
        *_teacher(checkpoint, here, proposed),
        "",
        *_data(proposed),
        "",
        *_recipe(checkpoint, proposed),
    ]
    return "\n".join(lines) + "\n"


def _student(checkpoint: Checkpoint, file: str, proposed: Mapping[Any, Any]) -> list[str]:
    own = [e for e in checkpoint.entries if e.role == "student"] or [
        e for e in checkpoint.entries if e.role is None
    ]
    lines = ["[student]"]
    if checkpoint.format in _PROGRAMS:
        lines += ["# The file is a program; this runs it.", f'model = "{checkpoint.format}"']
    else:
        lines += [_open("model", "run.py:student", proposed, "student", "a class or a factory")]
        lines += ["# args = { width = 16 }           # of that class or factory"]
    lines += [f"checkpoint = {_quoted(file)}"]
    lines += [f"# holds {_described(entry)}" for entry in own]
    if len(own) > 1:
        lines += [_line(f"# key = {_quoted(own[0].key)}", "only where several fit")]
    return lines


def _teacher(checkpoint: Checkpoint, here: Path, proposed: Mapping[Any, Any]) -> list[str]:
    own = [e for e in checkpoint.entries if e.role == "teacher"]
    lines = ["[teacher]", _open("model", "run.py:teacher", proposed, "teacher", "its factory")]
    if own:
        return [*lines, *(f"# its weights are in the same file: {_described(e)}" for e in own)]
    beside = _teacher_file(checkpoint.path, here)
    told = "unknown: its weights" if beside is None else "unknown; this file lies beside"
    return [*lines, _line(f"# checkpoint = {_quoted(beside or 'teacher.pth')}", told)]


def _teacher_file(checkpoint: Path, here: Path) -> str | None:
    try:
        names = sorted(p.name for p in checkpoint.parent.iterdir() if p.suffix in _SUFFIXES)
    except OSError:
        return None
    found = [n for n in names if "teacher" in n.lower() and n != checkpoint.name]
    if not found:
        return None
    return Path(os.path.relpath(checkpoint.parent.absolute() / found[0], here)).as_posix()


def _data(proposed: Mapping[Any, Any]) -> list[str]:
    what = "a Dataset, arrays, a folder of class folders, .npz, …"
    lines = [
        "[data]",
        _open("train", "run.py:train_set", proposed, "data", what),
        _open("heldout", "run.py:heldout_set", proposed, "data", "the same"),
        '# classes = ["cat", "dog"]',
        "",
        "[preprocess]                      # left out: the inputs are model-ready",
    ]
    told = {"train": "one raw sample -> tensor, as in training", "inference": "as when deployed"}
    return lines + [
        _open(key, f"run.py:{key}_pipeline", proposed, "preprocess", what)
        for key, what in told.items()
    ]


def _recipe(checkpoint: Checkpoint, proposed: Mapping[Any, Any]) -> list[str]:
    record = recover_recipe(checkpoint)
    told = [f"# {_safe(note)}" for note in recipe_notes(checkpoint)]
    plain = [f.name for f in fields(Recipe) if f.name not in _NAMED]
    lines = [_field(name, record) for name in plain if _is_shown(name, record)]
    augment = record.recipe.augment
    if isinstance(augment, tuple) and set(augment) <= set(AUGMENTATIONS):
        lines += [_line(f"augment = {_toml(augment)}", record.source("augment"))]
    elif augment is not None:
        lines += [_line(f"# augment = {_toml(augment)}", _PROPOSED)]
    else:
        lines += [_open("augment", "run.py:augment", proposed, "recipe", "one sample, or names")]
    return ["[recipe]", *told, *lines, *_history_lines(checkpoint, recover_history(checkpoint))]


def _is_shown(name: str, record: RecipeRecord) -> bool:
    idle = (*_OF_A_SCHEDULE, *SELDOM, *idle_fields(record.recipe.optimizer))
    return name not in idle or getattr(record.recipe, name) is not None


def _field(name: str, record: RecipeRecord) -> str:
    value = getattr(record.recipe, name)
    if value is None:
        return _line(f"# {name} =", "unknown")
    return _line(f"{name} = {_toml(value)}", f"from the {record.source(name)}")


def _history_lines(checkpoint: Checkpoint, history: pd.DataFrame | None) -> list[str]:
    if history is None:
        return [_line('# history = "history.csv"', "unknown: epoch, train_loss, heldout_loss")]
    source = _safe(str(history.attrs["source"]))
    return [f"# history: {len(history)} epochs were found in {source} and are used"]


def _open(key: str, example: str, proposed: Mapping[Any, Any], section: str, what: str) -> str:
    """A line for the user to open: a proposal of the file, or an example."""
    name = proposed.get(f"{section}.{key}")
    if isinstance(name, str):
        return _line(f"# {key} = {_quoted(name)}", _PROPOSED)
    return _line(f"# {key} = {_quoted(example)}", f"unknown: {what}")


def _line(text: str, comment: str) -> str:
    return (
        f"{text:<{_COMMENT_AT}}# {comment}" if len(text) < _COMMENT_AT else f"{text}  # {comment}"
    )


def _described(entry: Entry) -> str:
    last = next(reversed(list(entry.state)), None)
    shape = f"; the last, {last}, is {tuple(entry.state[last].shape)}" if last else ""
    where = f"{entry.key}: " if entry.key else ""
    return _safe(f"{where}{len(entry.state)} tensors, {entry.parameters:,} values{shape}")


def _quoted(text: str) -> str:
    return json.dumps(_safe(text), ensure_ascii=False)


def _safe(text: str) -> str:
    """A line break in a foreign name would end the comment, and what follows would be a key."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _toml(value: Any) -> str:
    if isinstance(value, Enum | str):
        return _quoted(str(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Iterable):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return repr(value)
