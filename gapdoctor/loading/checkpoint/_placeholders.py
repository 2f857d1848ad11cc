"""What a dry run of a pickle puts on its stack, and what it finds out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Scan:
    """What a pickle would do."""

    unknown: set[str] = field(default_factory=set)
    """Classes and functions that are neither torch's nor plain: to be replaced by stand-ins."""
    dict_like: set[str] = field(default_factory=set)
    """Those of them whose objects get items set."""
    list_like: set[str] = field(default_factory=set)
    """Those of them whose objects get items appended."""
    storages: dict[str, int] = field(default_factory=dict)
    """Storage key -> bytes claimed."""
    copied: int = 0
    """Items that calls would copy; each was put there by an operation of its own."""
    operations: int = 0


class Name(str):
    """A class or function that the pickle names."""

    __slots__ = ()


@dataclass(slots=True)
class Made:
    """What calling a name gives."""

    name: str


@dataclass(slots=True)
class Tuple_:
    """A tuple, with how many levels of tuples it has."""

    items: list[Any]
    depth: int


@dataclass(slots=True)
class List_:
    """A list, of which only the length matters."""

    length: int


class Mark:
    """Where a run of items begins on the stack."""


MARK = Mark()
