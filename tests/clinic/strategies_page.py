"""The page's section on every strategy that was tried, those that lost included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from tests.clinic.attempts import Attempt
from tests.clinic.page_tables import Lines, table
from tests.clinic.record import Tried, counted

LONG = 20
"""Rows from which a list is folded away."""

_INTRODUCTION = """\
What each fix did, whether or not `fix` would have chosen it: every fix that treats a cause found in
a fixable fault (and, where the second table lists trainings, every other one that can be tried) is
trained beside a control, from the same start and for as long: on one seed, and on three where it is
better on half A. What stands here is fix − control on half B, in nats, each with an interval of its
own at 95 %: helped, where all of it lies below 0; harmed, where all of it lies above; open
otherwise. A fix on one seed has the interval of that seed alone. Fixes that train nothing stand
beside the given student. The plan reads the counts of the tuning part alone. What lost is listed as
well: it is a result, and the reason why nothing is written unverified."""
_HEAD = ["fix", "faults", "helped", "harmed", "open", "median difference", "worst"]


def section(found: Mapping[str, Sequence[Tried]]) -> Lines:
    """Return the section of what is committed, by part; nothing where there is nothing."""
    parts = {part: tried for part, tried in found.items() if tried}
    if not parts:
        return []
    lines = ["", "## Every strategy, tried", "", _INTRODUCTION]
    for part, tried in parts.items():
        lines += ["", f"### Every strategy on the {part} part", "", *_part(tried)]
    return lines


def _part(found: Sequence[Tried]) -> Lines:
    told = counted(found)
    code = " and ".join(sorted({t.code for t in found}))
    lines = [f"{len(told)} attempts on {len({t.fault for t in told})} faults; code {code}.", ""]
    chosen = [t.attempt for t in told if t.attempt.treats_found]
    lines += ["Where the fix treats a cause that was found:", "", *_table(chosen)]
    others = [t.attempt for t in told if not t.attempt.treats_found]
    if others:
        lines += ["", "Where nothing that it treats was found, so that no plan would hold it:", ""]
        lines += _table(others)
    lines += _lost(told)
    return lines + _left_out(found)


def _table(attempts: Sequence[Attempt]) -> Lines:
    if not attempts:
        return ["No attempt."]
    return table(_HEAD, [_row(fix, attempts) for fix in sorted({a.fix for a in attempts})])


def _row(fix: str, attempts: Sequence[Attempt]) -> list[str | int]:
    mine = [a for a in attempts if a.fix == fix]
    verdicts = [a.verdict for a in mine]
    differences = [a.difference for a in mine if a.difference is not None]
    return [
        fix, len(mine), *(verdicts.count(said) for said in ("helped", "harmed", "open")),
        f"{median(differences):+.3f}" if differences else "–",
        f"{max(differences):+.3f}" if differences else "–",
    ]  # fmt: skip


def _lost(told: Sequence[Tried]) -> Lines:
    """Every attempt that surely lost, the worst first."""
    lost = [t for t in told if t.attempt.verdict == "harmed"]
    if not lost:
        return ["", "No attempt lost beyond chance."]
    lost.sort(key=lambda t: (-(t.attempt.difference or 0.0), t.fault, t.attempt.fix))
    head = ["fault", "fix", "for", "seeds", "difference", "accuracy"]
    return ["", *_folded(f"The {len(lost)} attempts that lost", table(head, map(_lost_row, lost)))]


def _lost_row(tried: Tried) -> list[str | int]:
    a = tried.attempt
    points = "–" if a.accuracy_difference is None else f"{100 * a.accuracy_difference:+.1f} points"
    return [
        tried.fault, a.fix, a.cause or "nothing found", a.seeds or "–",
        f"{a.difference:+.3f} [{a.low:+.3f}, {a.high:+.3f}]", points,
    ]  # fmt: skip


def _folded(title: str, lines: Lines) -> Lines:
    if len(lines) <= LONG:
        return [f"{title}:", "", *lines]
    return ["<details>", f"<summary>{title}</summary>", "", *lines, "", "</details>"]


def _left_out(found: Sequence[Tried]) -> Lines:
    """What is in no table, and why."""
    told = {id(t) for t in counted(found)}
    failed = [t for t in found if t.attempt.error]
    unmended = [t for t in found if t.attempt.unmended and not t.attempt.error]
    rest = [t for t in found if id(t) not in told and t not in failed and t not in unmended]
    lines = []
    if unmended:
        lines += ["", f"Not counted, trainings: {len(unmended)}, where a free fix was verified and "
                  "they were run without it, as draws at random may be."]  # fmt: skip
    if rest:
        faults = ", ".join(sorted({t.fault.split("/")[2] for t in rest}))
        lines += ["", f"Not counted, trainings: {len(rest)}, on faults of the training code "
                  f"({faults}), which the control has mended already."]  # fmt: skip
    if failed:
        rows = [[t.fault, t.attempt.fix, t.attempt.error] for t in failed]
        lines += ["", "Not trained to their end:", "", *table(["fault", "fix", "why"], rows)]
    return lines
