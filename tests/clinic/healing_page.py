"""The page's section on fixes."""

from __future__ import annotations

from collections.abc import Sequence

from tests.clinic.healing import Healed
from tests.clinic.healing_results import HealedCell
from tests.clinic.healing_score import AIMS, NO_CASE, HealingScores, score_healing
from tests.clinic.page_tables import Lines, table, told

_INTRODUCTION = """\
`fix` on one case a data set, student, fault and severity, with pipelines, recipe, history and
factory at hand. A fault is fixable where the same student without it (3 seeds on the same rows) is
verified better; where only the world has moved there is no such student, and nothing is tried. A
fault counts as healed where a verified fix is written: better on half B than the control and than
the given student. Where the control itself is written, which may happen too, no fix was verified;
that share stands beside. Where a bug of the training code is at fault, the control is the cure:
then `retrain_as_declared` is verified beside the given student alone, and how often that was so is
told. Loss and accuracy below are those of a third set, which the case never holds: the written
student as it stands in its file, the given one as it is deployed, the reference at its own
temperature, as fixes are. Damage recovered is (faulty − fixed) / (faulty − reference), 0 where
nothing was written. Made worse is what loses more, or is right less often, beyond chance. Where
not all planted faults were tried, those are every second, third or so of their list.

At random: each fix that can be tried is trained once, from the same start and as long as those of
the plan, on one seed and, where it is better than its control on half A, on 3; 10 draws of as many
fixes as the plan tried sample those results, with the same verification. A cost is the seconds of
the whole `fix` over those of one training of the student, as declared, with the teacher asked at
each step, both of the processor; `fix` is given 0.93 of the bound as its budget."""


def section(found: dict[str, list[HealedCell]]) -> Lines:
    """Return the section of what is committed; the aims alone where there is nothing."""
    scores = {
        part: score_healing([h for cell in cells for h in cell.healed])
        for part, cells in found.items()
        if cells
    }
    missing = [part for part in found if part not in scores]
    lines = ["## Fixes", "", _INTRODUCTION, ""]
    if missing:
        lines += [f"Not evaluated yet: the {' and the '.join(missing)} part.", ""]
    lines += _aims(scores)
    for part, reached in scores.items():
        lines += ["", f"### Fixes on the {part} part", "", *_part(found[part], reached)]
    return lines


def _aims(scores: dict[str, HealingScores]) -> Lines:
    rows = [
        [a.label, a.aim, *(_reached(a.told(s), a.met(s)) if s.fixable else NO_CASE
                           for s in scores.values())]
        for a in AIMS
    ]  # fmt: skip
    return table(["measure", "to reach", *(f"{part} part" for part in scores)], rows)


def _reached(found: str, met: bool) -> str:
    if found == NO_CASE:
        return found
    return f"{found}, {'reached' if met else '**missed**'}"


def _part(cells: Sequence[HealedCell], scores: HealingScores) -> Lines:
    healed = [h for cell in cells for h in cell.healed]
    where = scores.recovered_where_healed
    lines = [
        f"{scores.cases} faults, {scores.fixable} of them fixable; {scores.minutes:.0f} CPU "
        f"minutes. A fix or the control was written in {told(scores.written)}; "
        f"{scores.anew} of the faults counted as healed are so by the declared recipe, trained "
        "anew, beside the given student alone. Random fixes, "
        f"controls included, write in {scores.written_by_chance:.1%} of the cases where they were "
        f"tried. Where a student was written, the median share recovered is {where.value:.1%} "
        f"[{where.low:.1%}, {where.high:.1%}]. Median cost {scores.median_times[0]:.1f} trainings "
        f"(at most {scores.times[0]:.1f}), augmented {scores.median_times[1]:.1f} (at most "
        f"{scores.times[1]:.1f}).",
        "",
    ]
    runs = [[c.cell, f"{len(c.healed)} of {c.of}", c.when[:10], c.code] for c in cells]
    lines += [*table(["data and student", "faults", "date", "code"], runs), ""]
    by_fault = [[name, told(found)] for name, found in scores.by_fault.items()]
    lines += [*table(["fault", "healed"], by_fault), ""]
    rows = [
        [h.name, f"{h.damage:.2f}", ", ".join(h.tried) or "–", h.chosen or h.error or "nothing",
         _change(h),
         f"{h.recovered:.0%}", f"{h.times:.1f}",
         f"{sum(h.draws_healed)}/{len(h.draws)}" if h.draws else "–"]
        for h in healed if h.fixable
    ]  # fmt: skip
    head = ["fixable fault", "damage", "tried", "written", "change", "recovered", "trainings"]
    lines += [*table([*head, "at random"], rows), ""]
    left = [[h.name, f"{h.damage:.2f}", h.why_not] for h in healed if not h.fixable]
    return lines + (table(["not fixable", "damage", "why"], left) if left else ["All are fixable."])


def _change(found: Healed) -> str:
    if found.change is None:
        return "–"
    return f"{found.change:+.2f} [{found.change_low:+.2f}, {found.change_high:+.2f}]"
