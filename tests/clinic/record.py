"""What the plan and the manual know of every fix: `gapdoctor/fixes/_clinic.json`.

It is made from committed results, which bear a hash of gapdoctor's Python files; it is itself no
part of that hash (`versions`), or no result could be that of the code that holds it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import gapdoctor
from tests.clinic import healing_results, strategies_results
from tests.clinic.attempts import Attempt

FILE = Path(gapdoctor.__file__).parent / "fixes" / "_clinic.json"
PARTS = ("tuning", "reporting")
CURED_BY_CONTROL = frozenset({"shuffled_targets"})
"""Bugs of the training code that no recipe tells: the control, trained by sound code, has undone
them, and what a fix does beside it says nothing of the fix."""
_DIGITS = 4


@dataclass(frozen=True)
class Tried:
    """An attempt, and on what."""

    fault: str
    """Data, student, fault and severity."""
    attempt: Attempt
    code: str


def write_record() -> None:
    """Write what the committed results tell."""
    FILE.write_text(record_text(), encoding="utf-8")
    print(f"written to {FILE}")


def record_text() -> str:
    """Return the record as the file holds it, a count a line."""
    return "{\n" + ",\n".join(_part_text(part, tried_in(part)) for part in PARTS) + "\n}\n"


def tried_in(part: str) -> list[Tried]:
    """Return every attempt of the committed results of a part.

    Those of `strategies`, and the free fixes that `heal` tried on other faults; where `strategies`
    was not run, all attempts of `heal`.
    """
    cases = [case for cell in strategies_results.read_kept(part) for case in cell.cases]
    names = {case.name for case in cases if not case.error}
    found = [Tried(case.name, a, case.code) for case in cases for a in case.attempts]
    healed = [h for cell in healing_results.read_kept(part) for h in cell.healed]
    return found + [
        Tried(h.name, a, h.code)
        for h in healed
        for a in h.attempts
        if h.name not in names and (a.free or not names)
    ]


def counted(found: Sequence[Tried]) -> list[Tried]:
    """Return what tells what a fix does.

    It was trained to its end, on what was mended free first, and its control is not the cure.
    """
    return [
        t
        for t in found
        if not t.attempt.error
        and not t.attempt.unmended
        and (t.attempt.free or t.fault.split("/")[2] not in CURED_BY_CONTROL)
    ]


def _part_text(part: str, found: Sequence[Tried]) -> str:
    mine = [t for t in counted(found) if t.attempt.treats_found]
    head = {
        "code": " and ".join(sorted({t.code for t in mine})),
        "faults": len({t.fault for t in mine}),
    }
    keys = sorted({(t.attempt.fix, t.attempt.cause) for t in mine})
    lines = [json.dumps(_count(*key, [t.attempt for t in mine if _key(t) == key])) for key in keys]
    counts = "[\n" + ",\n".join(f"  {line}" for line in lines) + "\n ]" if lines else "[]"
    return f' {json.dumps(part)}: {json.dumps(head)[:-1]}, "counts": {counts}}}'


def _key(tried: Tried) -> tuple[str, str]:
    return tried.attempt.fix, tried.attempt.cause


def _count(fix: str, cause: str, attempts: Sequence[Attempt]) -> dict[str, Any]:
    """What half A spoke against was not put in force: it changed nothing."""
    return {
        "fix": fix,
        "cause": cause,
        "faults": len(attempts),
        "helped": sum(a.verdict == "helped" for a in attempts),
        "harmed": sum(a.verdict == "harmed" for a in attempts),
        "expected": round(fmean(min(1.0, max(-1.0, a.expected_share)) for a in attempts), _DIGITS),
        "share": round(fmean(a.given_back for a in attempts), _DIGITS),
        "gained": round(fmean(max(0.0, a.given_back) for a in attempts), _DIGITS),
        "difference": round(median(a.difference or 0.0 for a in attempts), _DIGITS),
    }
