"""Arguments of corrections: written short, read strictly."""

from __future__ import annotations

import math
from collections.abc import Iterable
from difflib import get_close_matches


def number(text: str) -> float:
    """Return the number that `text` writes, as `0.5` or `1/255`.

    Raises
    ------
    ValueError
        When it is no finite number.
    """
    top, slash, bottom = text.partition("/")
    try:
        value = float(top) / float(bottom) if slash else float(top)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text.strip()!r} is not a number")
    return value


def positive(text: str) -> float:
    """Return the number above zero that `text` writes; else ValueError."""
    value = number(text)
    if value <= 0:
        raise ValueError(f"{text.strip()!r} is not above zero")
    return value


def numbers(text: str) -> tuple[float, ...]:
    """Return the numbers that `text` writes with blanks between them; at least one."""
    if not text.strip():
        raise ValueError("a number is missing")
    return tuple(number(word) for word in text.split())


def written(values: Iterable[float]) -> str:
    """Return numbers as `numbers` reads them, to 6 significant digits."""
    return " ".join(f"{float(value) + 0.0:.6g}" for value in values)


def parts(argument: str, count: int, usage: str, separator: str = ",") -> list[str]:
    """Return the `count` parts of an argument, stripped.

    Raises
    ------
    ValueError
        When there are more or fewer; the message tells the usage.
    """
    found = [part.strip() for part in argument.split(separator)]
    if len(found) != count or not all(found):
        raise ValueError(f"takes {usage}")
    return found


def one_of(text: str, names: Iterable[str], what: str) -> str:
    """Return `text` where it is one of `names`; else ValueError with the nearest one."""
    known = list(names)
    name = text.strip()
    if name in known:
        return name
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"one of: {', '.join(known)}"
    raise ValueError(f"unknown {what} {name!r}; {hint}")
