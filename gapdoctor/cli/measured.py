"""What the clinic measured of every fix, for the manual; read as it was written down."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

NAME = "_clinic.json"
"""Of the file that `python -m tests.clinic record` writes, beside the fixes."""


_PARTS = "The plan goes by the tuning part; the reporting part chose nothing."


@dataclass(frozen=True, slots=True)
class Count:
    """What a fix did to the planted faults of a cause, in one part of the clinic."""

    part: str
    cause: str
    faults: int
    helped: int
    """In so many the whole 95 % interval of fix − control was below 0."""
    harmed: int
    """In so many it was above."""
    expected: float
    """Mean share of the cause's nats that the fix promised."""
    share: float
    """Mean share that came back."""
    difference: float
    """Median of fix − control, nats."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the clinic, as far as fixes were measured on it."""

    name: str
    code: str
    """Hash of the code that was measured."""
    faults: int
    by_fix: dict[str, tuple[Count, ...]]


def read_parts(folder: Path) -> tuple[Part, ...]:
    """Return the parts that measured something, as told beside the fixes in `folder`."""
    file = folder / NAME
    if not file.is_file():
        return ()
    parts = json.loads(file.read_text(encoding="utf-8"))
    return tuple(_part(name, told) for name, told in parts.items() if told["counts"])


def counts_of(parts: Iterable[Part], fix: str) -> tuple[Count, ...]:
    """Return the counts of a fix, part by part."""
    return tuple(count for part in parts for count in part.by_fix.get(fix, ()))


def _part(name: str, told: dict[str, Any]) -> Part:
    by_fix: dict[str, tuple[Count, ...]] = {}
    for one in told["counts"]:
        count = Count(name, *(one[field.name] for field in fields(Count)[1:]))
        by_fix[one["fix"]] = (*by_fix.get(one["fix"], ()), count)
    return Part(name, told["code"], told["faults"], by_fix)


def unmeasured(counts: Iterable[Count], treats: Sequence[str]) -> list[str]:
    """Return the treated causes of which no fault was met in any part."""
    met = {count.cause for count in counts}
    return [cause for cause in treats if cause not in met]


def in_words(counts: Sequence[Count], treats: Sequence[str]) -> str:
    """Return counts as a short list, for a terminal."""
    if not counts:
        return "It was not measured in the clinic."
    lines = [
        f"- In the clinic: helped {one.helped} of {one.faults} faults of {one.cause}, harmed "
        f"{one.harmed} ({one.part} part)."
        for one in counts
    ]
    rest = unmeasured(counts, treats)
    lines += [f"- Not measured there: {', '.join(rest)}."] if rest else []
    return "\n".join(lines) + f"\n\n{_PARTS}"


def in_a_table(counts: Sequence[Count], treats: Sequence[str]) -> str:
    """Return counts as a Markdown table, a row a part and a cause."""
    if not counts:
        return "It was not measured in the clinic."
    head = (
        "| part | cause | faults | helped | harmed | expected back | given back | "
        "median difference (nats) |\n|---|---|---|---|---|---|---|---|"
    )
    table = "\n".join([head, *map(_row, counts)])
    rest = ", ".join(f"`{cause}`" for cause in unmeasured(counts, treats))
    return f"{table}\n\nNot measured in the clinic: {rest}." if rest else table


def _row(one: Count) -> str:
    difference = f"{one.difference:+.3f}".replace("-", "−")
    cells = (
        one.part, f"`{one.cause}`", one.faults, one.helped, one.harmed, _percent(one.expected),
        _percent(one.share), difference,
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %".replace("-", "−")
