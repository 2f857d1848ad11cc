"""The page on accuracy, as Markdown, from the committed results of both parts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.clinic import healing_page, healing_results, strategies_page
from tests.clinic import page_tables as tables
from tests.clinic.aims import missed
from tests.clinic.evaluations import Evaluation, evaluations
from tests.clinic.healing_results import HealedCell
from tests.clinic.record import Tried, tried_in
from tests.clinic.results import CellResult, read_kept
from tests.clinic.score import Scores, score

SHORTFALLS = Path(__file__).with_name("shortfalls.md")
"""Why an aim was missed, in free text: the one thing on the page that no command can find out."""

_INTRODUCTION = """\
What gapdoctor says of pairs whose fault is known. The clinic (`tests/clinic`) plants faults, each
imitating a reported bug, in pairs that it trains itself, has them diagnosed by plain `diagnose` and
compares what is said with the truth.

The tuning part was used to choose limits and log-odds: numbers on it flatter. The reporting part
shares no data set, no architecture and no seed with it; every look at it is listed below.

```
python -m tests.clinic page --out docs/accuracy.md     # this page, from the committed results
make clinic                                            # trains, diagnoses, writes it: hours
```

Shares stand with Wilson's interval at 95 %, with as many trials as separately trained students,
since pairs of one student agree; the interval of the Brier score is the bootstrap's over students.
A cause is named where its confidence is 0.5 or more. A false alarm is a verdict other than
`healthy` or `inconclusive`, or a named cause, on a healthy pair."""

_NAMES = """\
A fault counts as planted only if it hurts: the paired interval of its damage lies above 0. Mild is
0.1 – 0.3 nats of held-out loss, severe more than 0.5, medium what lies between where a fault has no
finer knob. Damage is the loss against the same student without the fault, excess the loss above the
teacher's. The last word of a pair's name says what is handed over: `pipelines` or `full` (raw rows,
both pipelines, mostly recipe and history), `ready` (model-ready tensors: both models meet what
struck the held-out rows), `bare` (model-ready, recipe and history unknown), `recipe only`,
`harmless difference` (two pipelines that differ by next to nothing), `few rows at hand` (500 of
each split)."""


def write_page(out: Path | None) -> None:
    """Write the page; without a path to stdout."""
    text = page_of_results()
    if out is None:
        sys.stdout.write(text)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)


def page_of_results() -> str:
    """Return the page of what is committed."""
    found = {part: read_kept(part) for part in ("reporting", "tuning")}
    why = SHORTFALLS.read_text() if SHORTFALLS.exists() else ""
    healed = {part: healing_results.read_kept(part) for part in found}
    return page(found, evaluations(), why, healed, {part: tried_in(part) for part in found})


def page(
    found: dict[str, list[CellResult]],
    looks: Sequence[Evaluation] = (),
    why: str = "",
    healed: dict[str, list[HealedCell]] | None = None,
    tried: dict[str, list[Tried]] | None = None,
) -> str:
    """Return the page of the results of each part."""
    scores = {
        part: score([o for cell in cells for o in cell.outcomes])
        for part, cells in found.items()
        if cells
    }
    lines = [
        "# Accuracy",
        "",
        "<!-- written by `python -m tests.clinic page`; edit nothing here -->",
    ]
    lines += ["", _INTRODUCTION, ""]
    if "reporting" not in scores:
        lines += ["**The reporting part has not been evaluated.** Until it has been, read every "
                  "`confidence` as a ranking, not as a probability.", ""]  # fmt: skip
    lines += ["## Aims, and what was reached", "", *tables.aims(scores)]
    lines += ["", "## Where it falls short, and why", "", *_short(scores, why)]
    lines += ["", "## Data, architectures, seeds", "", *tables.parts()]
    for part, reached in scores.items():
        lines += ["", *_part(part, found[part], reached)]
    lines += ["", *healing_page.section(healed or {part: [] for part in found})]
    lines += strategies_page.section(tried or {})
    lines += ["", "## Every evaluation of the reporting part", "", *tables.evaluations(looks)]
    lines += ["", "## The faults", "", *tables.faults()]
    return "\n".join(lines) + "\n"


def _short(scores: dict[str, Scores], why: str) -> list[str]:
    lines = []
    for part, reached in scores.items():
        found = missed(reached)
        lines.append(f"- {part} part: {', '.join(found) if found else 'every aim is reached'}")
    if any(missed(reached) for reached in scores.values()):
        lines += ["", why.strip() or "Nobody has said why yet."]
    return lines or ["Nothing has been evaluated."]


def _part(part: str, found: Sequence[CellResult], scores: Scores) -> list[str]:
    outcomes = [o for cell in found for o in cell.outcomes]
    dropped = [gone for cell in found for gone in cell.dropped]
    lines = [
        f"## The {part} part",
        "",
        f"{scores.cases} pairs: {scores.faulty} with a fault, {scores.healthy} healthy ones of "
        f"{scores.healthy_students} students.",
        "",
    ]
    sections = (
        ("", tables.runs(found)),
        ("Scores", tables.measures(scores)),
        ("Reliability of confidence", tables.reliability(scores)),
        ("By data and student", tables.top1_by(scores.by_cell, "data and student")),
        ("By fault", tables.top1_by(scores.by_fault, "fault")),
        ("What was ranked first", tables.confusion(scores)),
        ("Every failure", [_NAMES, "", *tables.failures(outcomes)]),
        ("Probes that crashed", tables.crashes(outcomes)),
        ("What was planted, in pairs", tables.planted(outcomes)),
        ("What could not be planted", tables.dropped(dropped)),
    )
    for title, section in sections:
        lines += [f"### {title}", "", *section, ""] if title else [*section, ""]
    return lines[:-1]
