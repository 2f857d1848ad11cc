"""The names and paths of a config, as they read from another folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gapdoctor.loading.config import Config
from gapdoctor.loading.where import (
    LIBRARIES,
    PROGRAMS,
    TRAIN_PIPELINE,
    FileName,
    Reference,
    split_name,
)

_FILES = (
    "student.checkpoint", "teacher.checkpoint", "teacher.logits", "assistant.checkpoint",
    "recipe.history",
)  # fmt: skip


def named_files(config: Config) -> dict[str, Path]:
    """Return the path of each file that the config names, by its dotted key."""
    found: dict[str, Path] = {}
    for key in _FILES:
        section, name = key.split(".")
        value = getattr(getattr(config, section), name, None)  # there may be no assistant
        if isinstance(value, FileName):
            found[key] = value.path
    return found


def bases(config: Config) -> dict[str, Path]:
    """Return the folder that the name at each dotted key starts from."""
    return {ref.key: ref.base for ref in references(config).values()}


def references(config: Config) -> dict[str, Reference]:
    """Return what the config names by `where:what`, by dotted key."""
    return {ref.key: ref for ref in config.references}


def moved_thing(value: Any, key: str, base: Path, folder: Path) -> tuple[Any, str]:
    """Return a `where:what` or its table as it reads from `folder`, and what is to be said of it.

    Parameters
    ----------
    value : str or mapping
        As the config holds it.
    key : str
        Dotted.
    base, folder : Path
        Where it was read from, and where it will be read from.
    """
    if not isinstance(value, Mapping):
        return _moved_name(str(value), key, base, folder)
    table = dict(value)
    table["call"], note = _moved_name(str(table["call"]), key, base, folder)
    args = table.get("args")
    where = split_name(str(value["call"]))[0]
    if where == "torchvision" and isinstance(args, Mapping) and isinstance(args.get("root"), str):
        table["args"] = {**args, "root": moved_path(args["root"], base, folder)}
    return table, note


def moved_path(named: str, base: Path, folder: Path) -> str:
    """Return a relative path as it reads from `folder`; an absolute one as it is."""
    path = Path(named).expanduser()
    if path.is_absolute():
        return named
    return relative((base / path).absolute(), folder)


def relative(path: Path, folder: Path) -> str:
    """Return `path` as it reads from `folder`; whole where no way leads there (another drive)."""
    try:
        return Path(os.path.relpath(path.absolute(), folder.resolve())).as_posix()
    except ValueError:
        return path.absolute().as_posix()


def _moved_name(name: str, key: str, base: Path, folder: Path) -> tuple[str, str]:
    where, what = split_name(name)
    if not what:
        is_program = key.endswith(".model") and name in PROGRAMS
        is_train = key == "preprocess.inference" and name == TRAIN_PIPELINE
        return (name if is_program or is_train else moved_path(name, base, folder)), ""
    if where == "hf":
        return f"hf:{moved_path(what, base, folder)}", ""
    if where in LIBRARIES:
        return name, ""
    if where.endswith(".py"):
        return f"{moved_path(where, base, folder)}:{what}", ""
    return _moved_module(where, what, base, folder)


def _moved_module(where: str, what: str, base: Path, folder: Path) -> tuple[str, str]:
    """A module beside the config is named as a file; a package has to be found by its name."""
    top = where.partition(".")[0]
    if (base / f"{where}.py").is_file():
        return f"{relative(base / f'{where}.py', folder)}:{what}", ""
    if (base / top).is_dir():
        return f"{where}:{what}", f"`{where}` is found where gapdoctor runs in `{base}`."
    return f"{where}:{what}", ""
