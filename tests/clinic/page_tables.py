"""The tables of the page on accuracy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tests.clinic.aims import MEASURES, bins_met
from tests.clinic.cases import INFERENCE, TRAINING
from tests.clinic.data import SOURCES
from tests.clinic.entries import Dropped
from tests.clinic.evaluations import SHARES, Evaluation
from tests.clinic.outcomes import Outcome
from tests.clinic.parts import CELLS, SEEDS, TEACHERS
from tests.clinic.results import CellResult
from tests.clinic.score import Scores, Share, is_failure

Lines = list[str]


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Lines:
    """Return a Markdown table; a bar inside a cell is escaped."""
    lines = [_row(head), "|---" * len(head) + "|"]
    return lines + [_row(row) for row in rows]


def _row(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def told(share: Share) -> str:
    """Return a share with its interval."""
    if not share.cases:
        return "no case"
    low, high = share.interval.low, share.interval.high
    return f"{share.hits}/{share.cases} = {share.value:.1%} [{low:.1%}, {high:.1%}]"


# -- what was reached --------------------------------------------------------------------------


def aims(scores: dict[str, Scores]) -> Lines:
    """Return each aim beside what each part reached."""
    rows = [
        [m.label, m.aim, *(_reached(told(m.of(s)), m.met(s)) for s in scores.values())]
        for m in MEASURES
        if m.aim
    ]
    bins = [
        _reached(f"{sum(b.inside for b in s.bins)} of {len(s.bins)}", bins_met(s))
        for s in scores.values()
    ]
    rows.append(["bins of confidence within their interval", "each", *bins])
    return table(["measure", "to reach", *(f"{part} part" for part in scores)], rows)


def _reached(found: str, met: bool | None) -> str:
    return found if met is None else f"{found}, {'reached' if met else '**missed**'}"


def measures(scores: Scores) -> Lines:
    """Return all shares of a part and its Brier score."""
    rows = [[m.label, m.of(scores).clusters, told(m.of(scores)), m.aim] for m in MEASURES]
    b = scores.brier
    rows.append(["Brier score", "", f"{b.value:.3f} [{b.low:.3f}, {b.high:.3f}]", ""])
    return table(["measure", "students", "reached", "to reach"], rows)


def reliability(scores: Scores) -> Lines:
    """Return the four bins of confidence."""
    rows = [
        [f"{b.low:.2f} – {b.high:.2f}", f"{b.confidence:.3f}", told(b.share), _yes(b.inside)]
        for b in scores.bins
    ]
    return table(["confidence", "mean", "right", "mean within the interval"], rows)


def _yes(found: bool) -> str:
    return "yes" if found else "**no**"


def top1_by(shares: dict[str, Share], label: str) -> Lines:
    """Return top-1 of each fault, or of each cell."""
    rows = [[name, s.clusters, told(s)] for name, s in shares.items()]
    return table([label, "students", "top-1"], rows)


def confusion(scores: Scores) -> Lines:
    """Return a row a fault, a column a cause that was ranked first."""
    said = sorted({name for row in scores.confusion.values() for name in row})
    rows = [[fault, *(row[name] or "" for name in said)] for fault, row in scores.confusion.items()]
    return table(["planted", *(name.replace("_", " ") for name in said)], rows)


def failures(outcomes: Sequence[Outcome]) -> Lines:
    """Return every pair that was not judged as planted."""
    wrong = [o for o in outcomes if is_failure(o)]
    if not wrong:
        return ["None."]
    rows = [[o.name, f"{o.damage:.2f}", f"{o.excess:.2f}", _wanted(o), o.told] for o in wrong]
    return table(["pair", "damage", "excess", "planted", "said"], rows)


def _wanted(o: Outcome) -> str:
    wanted = " or ".join(o.truth) or "healthy"
    wanted += f", and {' or '.join(o.second)}" if o.second else ""
    return wanted + (f", by {' or '.join(o.corrections)}" if o.corrections else "")


def crashes(outcomes: Sequence[Outcome]) -> Lines:
    """Return the probes that crashed, with how often."""
    found = Counter(reason for o in outcomes for reason in o.crashed)
    return [f"- {count} times {reason}" for reason, count in sorted(found.items())] or ["None."]


# -- what was planted --------------------------------------------------------------------------


def parts() -> Lines:
    """Return data, architectures and seeds of both parts."""
    rows = []
    for cell in CELLS:
        source = SOURCES[cell.source]
        teachers = {t.family for t in TEACHERS.values() if t.source == cell.source}
        seeds = f"{SEEDS[cell.part]} – {SEEDS[cell.part] + 99}"
        rows.append([
            cell.part, source.kind, cell.source, len(source.classes),
            f"{source.train_rows} / {source.heldout_rows}", cell.family,
            ", ".join(sorted(teachers)), seeds,
        ])  # fmt: skip
    head = ["part", "kind", "data", "classes", "train / held-out rows", "student", "teachers"]
    return table([*head, "seeds"], rows)


def runs(found: Sequence[CellResult]) -> Lines:
    """Return which code judged which cell."""
    rows = [
        [one.cell, len(one.outcomes), len({o.cluster for o in one.outcomes}), one.when[:10],
         one.code, ", ".join(one.not_built) or "–"]
        for one in found
    ]  # fmt: skip
    return table(["data and student", "pairs", "students", "date", "code", "not tried yet"], rows)


def planted(outcomes: Sequence[Outcome]) -> Lines:
    """Return how many pairs of each fault, severity and kind of data."""
    kinds = list(dict.fromkeys(o.kind for o in outcomes))
    counts = Counter((o.fault, _severity(o), o.kind) for o in outcomes)
    rows = [
        [fault, severity, *(counts[fault, severity, kind] or "" for kind in kinds)]
        for fault, severity in dict.fromkeys((o.fault, _severity(o)) for o in outcomes)
    ]
    total = ["all", "", *(sum(n for key, n in counts.items() if key[2] == k) for k in kinds)]
    return table(["fault", "severity", *kinds], [*rows, total])


def _severity(outcome: Outcome) -> str:
    """Of healthy students that column holds the recipe, a table of its own elsewhere."""
    return "–" if outcome.is_healthy else outcome.severity


def dropped(found: Sequence[Dropped]) -> Lines:
    """Return what could not be planted."""
    if not found:
        return ["Nothing."]
    return table(
        ["data and student", "fault", "severity", "why"],
        [[d.cell, d.fault, d.severity, d.reason] for d in found],
    )


def faults() -> Lines:
    """Return what each fault imitates and which causes are right."""
    found = [(f.name, f.imitates, f.truth) for f in INFERENCE.values()]
    found += [(f.name, f.imitates, f.truth) for f in TRAINING.values()]
    return table(
        ["fault", "imitates", "right causes"],
        [[name, why, " or ".join(sorted(truth))] for name, why, truth in found],
    )


def evaluations(found: Sequence[Evaluation]) -> Lines:
    """Return every look at the reporting part."""
    if not found:
        return ["It has not been looked at."]
    rows = [
        [e.when[:16].replace("T", " "), e.what, e.code,
         f"{e.pairs}" + (f" of {e.of} (stopped)" if e.pairs < e.of else ""),
         *(told(e.shares[name]) for name in SHARES),
         f"{e.brier:.3f}", f"{e.bins_inside} of {e.bins}"]
        for e in found
    ]  # fmt: skip
    head = ["when (UTC)", "what", "code", "pairs", *(n.replace("_", " ") for n in SHARES)]
    return table([*head, "Brier", "bins inside"], rows)
