"""Files and things that the config names, as records; that they are there is checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gapdoctor.errors import ConfigError
from gapdoctor.loading.keys import PIPELINES
from gapdoctor.loading.merged import Merged
from gapdoctor.loading.where import (
    LIBRARIES,
    PROGRAMS,
    FileName,
    Reference,
    is_module,
    require_file,
    split_name,
)


def file_at(merged: Merged, key: str) -> FileName:
    """Return the file named at `key`.

    Raises
    ------
    ConfigError
        When there is no such file.
    """
    named: str = merged.get(key)
    path = merged.base(key) / Path(named).expanduser()
    file = FileName(path, named, merged.place(key))
    require_file(file)
    return file


def maybe_file(merged: Merged, key: str) -> FileName | None:
    """Return the file named at `key`, or None where nothing is."""
    return None if merged.get(key) is None else file_at(merged, key)


def thing_at(merged: Merged, key: str) -> Reference:
    """Return the thing named at `key`, not looked up yet.

    Raises
    ------
    ConfigError
        When the name is none, or its file does not exist.
    """
    return thing_named(merged, key, merged.get(key))


def thing_named(merged: Merged, key: str, value: Any) -> Reference:
    """Return the thing that `value` names, which is what stands at `key` or part of it.

    Errors as `thing_at`.
    """
    is_call = isinstance(value, Mapping)
    table: Mapping[str, Any] = value if is_call else {"call": value}
    where, what = split_name(table["call"])
    args = dict(table.get("args", {})) if is_call else None
    ref = Reference(
        key=key,
        place=merged.place(key),
        name=table["call"],
        where=where,
        what=what,
        base=merged.base(key),
        args=args,
        batched=table.get("batched", False),
        arg_places={name: merged.place(f"{key}.args.{name}") for name in args or {}},
    )
    if "batched" in table and key not in PIPELINES:
        raise ConfigError(
            f"{merged.place(f'{key}.batched')}: says nothing here", "only pipelines are batched"
        )
    _check_name(ref)
    return ref


def maybe_thing(merged: Merged, key: str) -> Reference | None:
    """Return the thing named at `key`, or None where nothing is."""
    return None if merged.get(key) is None else thing_at(merged, key)


def _check_name(ref: Reference) -> None:
    is_string = ref.args is None
    if ref.is_program and is_string:
        return
    if ref.what:
        _check_where(ref)
    elif ref.key.startswith("data.") and is_string and not ref.where.endswith((".py", ":")):
        require_file(FileName(ref.path, ref.name, ref.place), folder=True)
    else:
        raise ConfigError(f"{ref.place}: {ref.name!r} is not where:what", _how_to_name(ref))


def _check_where(ref: Reference) -> None:
    if ref.is_code_file:
        require_file(FileName(ref.path, ref.where, ref.place))
    elif ref.where not in LIBRARIES and not is_module(ref.where):
        raise ConfigError(
            f"{ref.place}: {ref.where!r} is no place to look in",
            f"where:what begins with file.py, package.module, {', '.join(LIBRARIES)}",
        )


def _how_to_name(ref: Reference) -> str:
    where = ref.where.rstrip(":")
    if where.endswith(".py"):
        return f"name a thing in the file, such as {where}:{ref.key.split('.')[0]}"
    if ref.key == "recipe.augment":
        return f'name a thing, such as "run.py:augment", or a list of names: ["{where}"]'
    known = f"{', '.join(PROGRAMS)}, " if ref.key.endswith(".model") else ""
    return f"write {known}file.py:name or package.module:name"
