"""The page on accuracy, as Markdown, from the results of both parts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.clinic.building import planted
from tests.clinic.cases import INFERENCE, TRAINING
from tests.clinic.outcomes import Outcome
from tests.clinic.results import evaluations, read_results, results_file
from tests.clinic.score import Scores, Share, is_failure, score

_GOALS = (
    ("top-1", "top1", "≥ 90 %"),
    ("top-2 (of two faults: both)", "top2", "≥ 98 %"),
    ("a planted cause named (confidence ≥ 0.5)", "found", ""),
    ("of two faults both named", "both_named", ""),
    ("precision of named causes", "precision", "≥ 90 %"),
    ("false alarms on healthy pairs", "false_alarms", "none"),
    ("right correction named", "corrections", "≥ 95 %"),
)


def write_page(out: Path | None) -> None:
    """Write the page; without a path to stdout."""
    found = {
        part: read_results(results_file(part))
        for part in ("tuning", "reporting")
        if results_file(part).exists()
    }
    text = page(found)
    if out is None:
        sys.stdout.write(text)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)


def page(found: dict[str, list[Outcome]]) -> str:
    """Return the page of the results of each part."""
    lines = [
        "# Accuracy",
        "",
        "<!-- written by `python -m tests.clinic page`; edit nothing here -->",
        "",
        "Pairs with a known fault are planted, diagnosed by plain `diagnose` and compared with the",
        "truth. The tuning part was used to choose limits and weights; the reporting part shares",
        "no data set, no architecture and no seed with it. Intervals are Wilson's at 95 %, with",
        "one trial a separately trained student, since cases of one student agree.",
        "",
        "The last word of a pair's name says what is handed over: `pipelines` or `full` (raw",
        "rows, both pipelines, mostly recipe and history), `ready` (model-ready tensors: both",
        "models meet what struck the held-out rows), `bare` (model-ready, recipe and history",
        "unknown), `recipe only`, `harmless difference` (two pipelines that differ by next to",
        "nothing), `few rows at hand` (500 of each split). Faults are mild (0.1 – 0.3 nats of the",
        "student's held-out loss), severe (more than 0.5), or medium where they have no finer",
        "knob; each was measured against the same student without the fault and counts only if",
        "it hurts.",
        "",
        *_parts_table(),
    ]
    for part in ("reporting", "tuning"):
        if part in found:
            lines += ["", f"## The {part} part", "", *_part(found[part], part)]
    lines += ["", "## Every look at the reporting part", "", *_evaluations()]
    lines += ["", "## What is planted", "", *_faults()]
    return "\n".join(lines) + "\n"


def summary(scores: Scores) -> str:
    """Return the scores as plain text."""
    lines = [
        f"{scores.cases} pairs: {scores.faulty} with a fault, {scores.healthy} healthy "
        f"({scores.healthy_students} students)"
    ]
    lines += [f"{label:42} {_told(getattr(scores, name))}  {goal}" for label, name, goal in _GOALS]
    lines.append(f"{'Brier score':42} {scores.brier:.3f}")
    for one in scores.bins:
        lines.append(
            f"confidence {one.low:.2f} to {one.high:.2f}, mean {one.confidence:.2f}: right in "
            f"{_told(one.share)}{'' if one.inside else '  OUTSIDE'}"
        )
    lines.append("top-1 by fault: " + ", ".join(
        f"{fault} {s.hits}/{s.cases}" for fault, s in scores.by_fault.items()
    ))  # fmt: skip
    return "\n".join(lines) + "\n"


def _part(outcomes: Sequence[Outcome], part: str) -> list[str]:
    scores = score(outcomes)
    lines = [
        f"{scores.cases} pairs: {scores.faulty} with a fault, {scores.healthy} healthy ones of "
        f"{scores.healthy_students} students.",
        "",
        "| measure | cases | share | 95 % | to reach |",
        "|---|---|---|---|---|",
    ]
    for label, name, goal in _GOALS:
        s: Share = getattr(scores, name)
        low, high = s.interval.low, s.interval.high
        told = f"{s.value:.1%} | {low:.1%} – {high:.1%}" if s.cases else "– | –"
        lines.append(f"| {label} | {s.hits} of {s.cases} | {told} | {goal} |")
    lines += [f"| Brier score | | {scores.brier:.3f} | | |", ""]
    lines += ["| confidence | mean | right | 95 % | inside |", "|---|---|---|---|---|"]
    for one in scores.bins:
        low, high = one.share.interval.low, one.share.interval.high
        lines.append(
            f"| {one.low:.2f} – {one.high:.2f} | {one.confidence:.2f} | {one.share.hits} of "
            f"{one.share.cases} | {low:.2f} – {high:.2f} | {'yes' if one.inside else 'no'} |"
        )
    lines += ["", "### What was ranked first", "", *_confusion(scores)]
    lines += ["", "### Every failure", "", *_failures(outcomes)]
    return [*lines, "", "### What could not be planted", "", *_dropped(part)]


def _confusion(scores: Scores) -> list[str]:
    said = sorted({name for row in scores.confusion.values() for name in row})
    lines = [
        "| planted | " + " | ".join(s.replace("_", " ") for s in said) + " |",
        "|---" * (len(said) + 1) + "|",
    ]
    for fault, row in scores.confusion.items():
        cells = " | ".join(str(row[name]) if row[name] else "" for name in said)
        lines.append(f"| {fault} | {cells} |")
    return lines


def _failures(outcomes: Sequence[Outcome]) -> list[str]:
    wrong = [o for o in outcomes if is_failure(o)]
    if not wrong:
        return ["None."]
    lines = ["| pair | nats | planted | said |", "|---|---|---|---|"]
    for o in wrong:
        planted_as = " or ".join(o.truth) or "healthy"
        planted_as += f", and {' or '.join(o.second)}" if o.second else ""
        planted_as += f", by {' or '.join(o.corrections)}" if o.corrections else ""
        lines.append(f"| {o.name} | {o.damage:.2f} | {planted_as} | {o.told.replace('|', '/')} |")
    return lines


def _dropped(part: str) -> list[str]:
    gone = planted(part)[1]
    lines = ["| data and student | fault | severity | why |", "|---|---|---|---|"]
    return lines + [f"| {d.cell} | {d.fault} | {d.severity} | {d.reason} |" for d in gone]


def _evaluations() -> list[str]:
    found = evaluations()
    if not found:
        return ["It has not been looked at."]
    names = list(found[0])
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    return lines + ["| " + " | ".join(str(e.get(n, "")) for n in names) + " |" for e in found]


def _faults() -> list[str]:
    lines = ["| fault | imitates | acceptable causes |", "|---|---|---|"]
    told = [(f.name, f.imitates, f.truth) for f in INFERENCE.values()]
    told += [(f.name, f.imitates, f.truth) for f in TRAINING.values()]
    return lines + [f"| {n} | {why} | {' or '.join(sorted(truth))} |" for n, why, truth in told]


def _parts_table() -> list[str]:
    from tests.clinic.data import SOURCES
    from tests.clinic.parts import CELLS

    lines = ["| part | kind | data set | student |", "|---|---|---|---|"]
    return lines + [
        f"| {c.part} | {SOURCES[c.source].kind} | {c.source} | {c.family} |" for c in CELLS
    ]


def _told(share: Share) -> str:
    if not share.cases:
        return "none"
    low, high = share.interval.low, share.interval.high
    return f"{share.hits}/{share.cases} = {share.value:.1%} [{low:.1%}, {high:.1%}]"
