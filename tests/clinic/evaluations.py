"""The log of every look at the reporting part: a line each, never taken back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gapdoctor
from tests.clinic.outcomes import Outcome
from tests.clinic.score import Scores, Share, score, share_of

FILE = Path(__file__).with_name("evaluations.jsonl")
WHOLE = "whole part"
SHARES = ("top1", "top2", "precision", "false_alarms", "corrections")


@dataclass(frozen=True)
class Evaluation:
    """One look."""

    when: str
    what: str
    code: str
    version: str
    pairs: int
    """Pairs that were judged."""
    of: int
    """Pairs that were to be judged; more where the run was stopped."""
    shares: dict[str, Share]
    brier: float
    bins_inside: int
    """Bins of confidence whose mean lies in the interval of the share that was right."""
    bins: int


def note(what: str, outcomes: Sequence[Outcome], of: int) -> None:
    """Write down that these pairs were looked at, and what came out."""
    scores = score(outcomes)
    line = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "what": what,
        "code": " and ".join(sorted({o.code for o in outcomes})),
        "version": gapdoctor.__version__,
        "pairs": len(outcomes),
        "of": of,
        "shares": {name: _counts(scores, name) for name in SHARES},
        "brier": round(scores.brier.value, 4),
        "bins_inside": sum(one.inside for one in scores.bins),
        "bins": len(scores.bins),
    }
    with FILE.open("a") as stream:
        stream.write(json.dumps(line) + "\n")


def note_run(what: str, code: str, pairs: int, of: int) -> None:
    """Write down that something else than the diagnosis was run on so many pairs."""
    line = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "what": what,
        "code": code,
        "version": gapdoctor.__version__,
        "pairs": pairs,
        "of": of,
        "shares": {name: (0, 0, 0) for name in SHARES},
        "brier": float("nan"),
        "bins_inside": 0,
        "bins": 0,
    }
    with FILE.open("a") as stream:
        stream.write(json.dumps(line) + "\n")


def evaluations() -> list[Evaluation]:
    """Return every look, the first first."""
    if not FILE.exists():
        return []
    return [_read(json.loads(line)) for line in FILE.read_text().splitlines() if line]


def _counts(scores: Scores, name: str) -> tuple[int, int, int]:
    found: Share = getattr(scores, name)
    return found.hits, found.cases, found.clusters


def _read(line: dict[str, Any]) -> Evaluation:
    shares = {name: share_of(*counts) for name, counts in line["shares"].items()}
    return Evaluation(**{**line, "shares": shares})
