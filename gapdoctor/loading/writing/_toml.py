"""Keys of a TOML document set and removed, its comments and its order kept."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

import tomlkit
from tomlkit.container import OutOfOrderTableProxy
from tomlkit.items import Item, SingleKey, Table
from tomlkit.toml_document import TOMLDocument


def value_at(document: TOMLDocument, key: str) -> Any:
    """Return the plain value at a dotted key, or None."""
    value: Any = document.unwrap()
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def set_value(document: TOMLDocument, key: str, value: Any, *, comment: str = "") -> None:
    """Set a dotted key; a new one stands behind the last of its section.

    Parameters
    ----------
    document : TOMLDocument
        Changed in place.
    key : str
        Such as `recipe.lr` or `student.args.width`.
    value : object
        A plain value, as TOML holds it.
    comment : str
        Of a new key, without the `#`.
    """
    table: Any = document
    *outer, last = key.split(".")
    for i, part in enumerate(outer):
        if part not in table:
            made = tomlkit.table() if i == 0 else tomlkit.inline_table()
            _append(table, part, made)
        table = table[part]
    item = tomlkit.item(plain(value))
    if last in table:
        table[last] = item
        return
    if comment:
        item.comment(comment)
    _append(table, last, item)


def remove(document: TOMLDocument, key: str) -> None:
    """Remove a dotted key, where it is there."""
    table: Any = document
    *outer, last = key.split(".")
    for part in outer:
        if not isinstance(table, Mapping) or part not in table:
            return
        table = table[part]
    if isinstance(table, Mapping) and last in table:
        del table[last]  # type: ignore[attr-defined]


def plain(value: Any) -> Any:
    """Return a value as TOML can hold it: lists for tuples, the names of enumerations."""
    match value:
        case Enum():
            return plain(value.value)
        case PurePath():
            return value.as_posix()
        case Mapping():
            return tomlkit.value(_inline(value))
        case tuple() | list():
            array = tomlkit.array()  # of tables alone, tomlkit would make sections of a list
            for item in value:
                array.append(plain(item))
            return array
    return value


def _inline(table: Mapping[str, Any]) -> str:
    """`{ width = 16 }`, with the spaces that people write."""
    pairs = [
        f"{tomlkit.key(str(key)).as_string()} = {tomlkit.item(plain(item)).as_string()}"
        for key, item in table.items()
        if item is not None
    ]
    return f"{{ {', '.join(pairs)} }}" if pairs else "{}"


def _append(table: Any, key: str, item: Item) -> None:
    """Behind the last key, not behind the comments that lead to the next section."""
    if isinstance(table, TOMLDocument):
        if table.body and not table.as_string().endswith("\n\n"):
            table.add(tomlkit.nl())
        table.add(key, item)
        return
    body = table.value.body if isinstance(table, Table) else []
    own = [k for k, v in body if k is not None and not isinstance(v, Table)]
    if own and not isinstance(table, OutOfOrderTableProxy):
        table.value._insert_after(own[-1], SingleKey(key), item)
        return
    table[key] = item
