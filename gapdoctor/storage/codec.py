"""Frozen records to plain JSON values and back, led by the records' own type hints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from enum import Enum
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from gapdoctor.errors import GapDoctorError

DIGITS = 6
"""Significant digits of a number on disk."""


def plain(value: Any, *, whole: bool = False) -> Any:
    """Return `value` as JSON can hold it: 6 significant digits, null for NaN and infinity.

    With `whole`, floats keep all their digits, so that reading gives the same numbers.
    """
    match value:
        case Enum():
            return plain(value.value, whole=whole)
        case None | bool() | str():
            return value
        case Integral():
            return int(value)
        case Real():
            return _finite(float(value)) if whole else rounded(float(value))
        case Mapping():
            return {str(key): plain(item, whole=whole) for key, item in value.items()}
        case tuple() | list():
            return [plain(item, whole=whole) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _field(value, f.name, whole) for f in fields(value)}
    # numpy's booleans and zero-dimensional arrays are no numbers.* but know their plain value.
    return plain(value.item(), whole=whole) if hasattr(value, "item") else str(value)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _field(record: Any, name: str, whole: bool) -> Any:
    """A whole number in a field of floats is written as it will be read: as a float."""
    value = getattr(record, name)
    kind: Any = type(record)
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    return plain(float(value) if is_whole and _holds_float(kind, name) else value, whole=whole)


@cache
def _holds_float(kind: Any, name: str) -> bool:
    hint = get_type_hints(kind)[name]
    return hint is float or float in get_args(hint)


def rounded(value: float) -> float | None:
    """Return `value` at 6 significant digits, without a negative zero; None if not finite."""
    return float(f"{value:.{DIGITS}g}") + 0.0 if math.isfinite(value) else None


def build(kind: Any, value: Any, where: str) -> Any:
    """Return the record or scalar of type `kind` that the JSON value `value` tells.

    Parameters
    ----------
    kind : type
        A dataclass, an Enum, a scalar, or `tuple[X, ...]`, `Mapping[str, X]`, `Literal`, a union.
    value : object
        What `json.loads` gave.
    where : str
        The dotted key, for the message.

    Raises
    ------
    GapDoctorError
        When something is missing or of the wrong type.
    """
    origin = get_origin(kind)
    if kind is Any:
        return _frozen(value)
    if origin in (Union, UnionType):
        return _one_of(get_args(kind), value, where)
    if origin is Literal:
        return _known(value, [str(a) for a in get_args(kind)], where)
    if origin is tuple:
        return _tuple(get_args(kind), value, where)
    if origin is Mapping:
        item = get_args(kind)[1]
        return {k: build(item, v, f"{where}.{k}") for k, v in members(value, where).items()}
    if isinstance(kind, type) and is_dataclass(kind):
        return _record(kind, value, where)
    if issubclass(kind, Enum):
        return kind(_known(value, [str(m.value) for m in kind], where))
    return _scalar(kind, value, where)


def _frozen(value: Any) -> Any:
    """Lists as tuples: what frozen records hold."""
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def members(value: Any, where: str) -> dict[str, Any]:
    """Return `value`, which must be an object."""
    if not isinstance(value, dict):
        raise wrong(where, "an object", value)
    return value


def member(value: Any, key: str, where: str) -> Any:
    """Return the member `key` of an object, which must be there."""
    found = members(value, where)
    if key not in found:
        raise GapDoctorError(f"{where}.{key}: missing".lstrip("."), _AGAIN)
    return found[key]


def wrong(where: str, expected: str, value: Any) -> GapDoctorError:
    """Return the error that tells what stands at `where` instead of `expected`."""
    return GapDoctorError(f"{where}: expected {expected}, found {_told(value)}", _AGAIN)


_AGAIN = "the file was changed or cut short: run the command that wrote it again"


def _record(kind: type[Any], value: Any, where: str) -> Any:
    found = members(value, where)
    hints = get_type_hints(kind)
    given = {}
    for f in fields(kind):
        if f.name in found:
            given[f.name] = build(hints[f.name], found[f.name], f"{where}.{f.name}")
        elif f.default is MISSING and f.default_factory is MISSING:
            raise GapDoctorError(f"{where}.{f.name}: missing", _AGAIN)
    return kind(**given)


def _tuple(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise wrong(where, "a list", value)
    if Ellipsis not in kinds and len(kinds) != len(value):
        raise wrong(where, f"a list of {len(kinds)}", value)
    each = [kinds[0]] * len(value) if Ellipsis in kinds else list(kinds)
    return tuple(
        build(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(each, value, strict=True))
    )


def _one_of(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and NoneType in kinds:
        return None
    candidates = [k for k in kinds if k is not NoneType]
    for kind in candidates[:-1]:
        try:
            return build(kind, value, where)
        except GapDoctorError:
            continue
    return build(candidates[-1], value, where)


def _known(value: Any, names: list[str], where: str) -> str:
    if isinstance(value, str) and value in names:
        return value
    near = get_close_matches(str(value), names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(names)}"
    raise GapDoctorError(f"{where}: {_told(value)} is not known", hint)


def _scalar(kind: type[Any], value: Any, where: str) -> Any:
    if kind is float and value is None:
        return math.nan
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise wrong(where, _NAMES[kind], value)


_NAMES = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}


def _told(value: Any) -> str:
    match value:
        case None:
            return "null"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return "an object"
        case _:
            text = repr(value)
            return text if len(text) <= 40 else f"{text[:39]}…"
