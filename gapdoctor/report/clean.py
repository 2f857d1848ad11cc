"""The record as it is shown: texts inert in every format, numbers as `diagnosis.json` has them."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, TypeVar

from gapdoctor.storage.codec import rounded

T = TypeVar("T")

LONGEST = 4000
"""Characters of one text that a report shows; a path is never longer on Linux."""

_JOINERS = "\u200c\u200d"
"""Format characters that Persian, Hindi and emoji are written with."""


def cleaned(value: T) -> T:
    """Return the record with each text in it made inert and each number rounded as on disk.

    So a report drawn from `diagnosis.json` is the one that was drawn before it was written.
    Newlines and tabs become spaces. Control characters (among them those that colour a terminal),
    characters that turn the direction of writing, lone surrogates and noncharacters, which XML
    forbids, become visible escapes such as `\\x1b`.
    """
    return _cleaned(value)  # type: ignore[no-any-return]


def clean_text(text: str) -> str:
    """Return one line of `text` that any format can hold; see `cleaned`."""
    one_line = re.sub(r"[ \t]*[\t\r\n\v\f\x85\u2028\u2029]\s*", " ", text)
    inert = "".join(_visible(c) if _is_unseen(c) else c for c in one_line)
    return inert if len(inert) <= LONGEST else inert[: LONGEST - 1] + "…"


def _cleaned(value: Any) -> Any:
    match value:
        case Enum():
            return value
        case str():
            return clean_text(value)
        case float():
            shown = rounded(value)
            return math.nan if shown is None else shown
        case tuple() | list():
            return tuple(_cleaned(item) for item in value)
        case Mapping():
            return {_cleaned(key): _cleaned(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _cleaned(getattr(value, f.name)) for f in fields(value)})
    return value


def _is_unseen(c: str) -> bool:
    if c.isascii():
        return not c.isprintable()
    code = ord(c)
    if code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF:
        return True
    return unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in _JOINERS


def _visible(c: str) -> str:
    return c.encode("unicode_escape", "surrogatepass").decode("ascii")
