"""Results on disk, and the log of every look at the reporting part."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gapdoctor
from tests.clinic.outcomes import Outcome
from tests.clinic.score import Scores
from tests.clinic.store import folder

EVALUATIONS = Path(__file__).with_name("evaluations.jsonl")
"""Every whole run on the reporting part, one line each."""


def results_file(part: str) -> Path:
    """Return where the results of a part are kept."""
    return folder() / f"results-{part}.json"


def evaluations() -> list[dict[str, Any]]:
    """Return every whole run on the reporting part, the first included."""
    if not EVALUATIONS.exists():
        return []
    return [json.loads(line) for line in EVALUATIONS.read_text().splitlines() if line]


def write_results(path: Path, part: str, outcomes: Sequence[Outcome]) -> None:
    """Write all outcomes as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {
        "part": part,
        "version": gapdoctor.__version__,
        "code": code_hash(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "outcomes": [o.to_json() for o in outcomes],
    }
    path.write_text(json.dumps(whole, indent=1) + "\n")


def read_results(path: Path) -> list[Outcome]:
    """Read what was written."""
    return [Outcome.from_json(o) for o in json.loads(path.read_text())["outcomes"]]


def note_evaluation(scores: Scores) -> None:
    """Write down that the reporting part was looked at, and what came out."""
    line = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": gapdoctor.__version__,
        "code": code_hash(),
        "cases": scores.cases,
        "top1": round(scores.top1.value, 4),
        "top2": round(scores.top2.value, 4),
        "precision": round(scores.precision.value, 4),
        "false_alarms": scores.false_alarms.hits,
        "healthy": scores.healthy,
        "corrections": round(scores.corrections.value, 4),
        "brier": round(scores.brier, 4),
    }
    with EVALUATIONS.open("a") as stream:
        stream.write(json.dumps(line) + "\n")


def code_hash() -> str:
    """Return a hash of gapdoctor's own code, so that a result can be told from a later one."""
    digest = hashlib.blake2b(digest_size=6)
    root = Path(gapdoctor.__file__).parent
    for file in sorted(root.rglob("*.py")):
        digest.update(file.relative_to(root).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()
