"""On which line of a TOML file each key stands; `tomllib` reads values and forgets the lines."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

_AT = re.compile(r"\(at line (\d+), column \d+\)")
_MAY_END = re.compile(r"[\]}]|\"\"\"|'''")


def key_lines(text: str) -> dict[str, int]:
    """Return the 1-based line of each dotted key (tables included).

    A key inside an inline table or a dotted key gets the line of its statement. The first of
    several lines wins, so a table is where its header, or its first key, stands.

    Parameters
    ----------
    text : str
        A valid TOML document.
    """
    lines: dict[str, int] = {}
    prefix: tuple[str, ...] = ()
    for number, statement in _statements(text):
        table = tomllib.loads(statement)
        if statement.lstrip().startswith("["):
            prefix = _header(table)
            paths = [prefix[: n + 1] for n in range(len(prefix))]
        else:
            paths = [prefix + path for path in _paths(table)]
        for path in paths:
            lines.setdefault(".".join(path), number)
    return lines


def error_line(error: tomllib.TOMLDecodeError, text: str) -> int:
    """Return the 1-based line that a syntax error speaks of; the last one for "end of document"."""
    found = _AT.search(str(error))
    return int(found[1]) if found else text.rstrip("\n").count("\n") + 1


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Cut a document into headers and `key = value` statements; values may span lines."""
    start, pending = 0, ""
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not pending and (not line.strip() or line.lstrip().startswith("#")):
            continue
        start = start if pending else number
        first = not pending
        pending = f"{pending}\n{line}" if pending else line
        # Only such a line can end a value of several lines; parsing at each line is quadratic.
        if (first or _MAY_END.search(line)) and _parses(pending):
            yield start, pending
            pending = ""


def _parses(statement: str) -> bool:
    try:
        tomllib.loads(statement)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _header(table: Mapping[str, Any]) -> tuple[str, ...]:
    path: tuple[str, ...] = ()
    inner: Any = table
    while inner:
        if isinstance(inner, list):
            inner = inner[0]
            continue
        key, inner = next(iter(inner.items()))
        path += (key,)
    return path


def _paths(table: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for key, value in table.items():
        yield (key,)
        if isinstance(value, Mapping):
            yield from ((key, *rest) for rest in _paths(value))
