"""The page that `fix` prints before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.domain.trials import CONTROL, WITHOUT_TEACHER, Change, Plan, PlannedFix
from gapdoctor.report.blocks import Block, Lead, Listing, Paragraph, Section
from gapdoctor.report.clean import cleaned
from gapdoctor.report.parts.setup import shown_value
from gapdoctor.report.quantities import interval, nats, percent
from gapdoctor.report.wording import subject

_FROM = {"scratch": "from scratch", "checkpoint": "from the checkpoint"}


def plan_page(diagnosis: Diagnosis, plan: Plan, *, width: int = 80, color: bool = False) -> str:
    """Return a plan as text (see `gapdoctor.report.terminal.screen`)."""
    from gapdoctor.report.terminal import screen

    return screen(plan_sections(diagnosis, plan), width=width, color=color)


def plan_sections(diagnosis: Diagnosis, plan: Plan) -> tuple[Section, ...]:
    """Return the causes, the fixes in their order, what is trained, and what is left out."""
    d, p = cleaned(diagnosis), cleaned(plan)
    parts: tuple[tuple[str, str, tuple[Block, ...]], ...] = (
        ("plan", "Plan", (_lead(d, p),)),
        ("causes", "Causes", _causes(d)),
        ("fixes", "Fixes, in the order in which they are tried", _fixes(p)),
        ("trials", "Trainings", _trials(p)),
        ("skipped", "Left out", _left_out(p)),
        ("notes", "Notes", _listing(*p.notes)),
    )
    return tuple(Section(id_, title, blocks) for id_, title, blocks in parts if blocks)


def duration(seconds: float) -> str:
    """Return a time span for a reader: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _lead(diagnosis: Diagnosis, plan: Plan) -> Lead:
    planned = [f for f in plan.fixes if f.status == "planned"]
    if not planned:
        told = "Nothing is to be tried; the reasons stand below."
        return Lead(subject(diagnosis), "Nothing to try", "doubt", "?", "", told, ())
    free = [f for f in planned if f.free]
    trained = [f for f in planned if not f.free]
    parts = [f"{len(free)} that train{'s' if len(free) == 1 else ''} nothing"] if free else []
    parts += [f"{len(trained)} by training"] if trained else []
    time = f"; {_time(plan.expected_seconds)} of training" if plan.expected_seconds else ""
    told = f"{_count(len(planned), 'fix', 'fixes')}: {' and '.join(parts)}{time}."
    return Lead(subject(diagnosis), "Plan: nothing is trained yet", "good", "→", "", told, ())


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def _causes(diagnosis: Diagnosis) -> tuple[Block, ...]:
    told = [
        f"`{cause.id}`: {interval(cause.explained, unit='nats')}, "
        f"confidence {percent(cause.confidence)}. {cause.summary}"
        for cause in diagnosis.causes
    ]
    return _listing(*told) or (Paragraph("No cause was found."),)


def _fixes(plan: Plan) -> tuple[Block, ...]:
    planned = [f for f in plan.fixes if f.status == "planned"]
    return _listing(*(_fix(f, number) for number, f in enumerate(planned, 1)))


def _fix(fix: PlannedFix, number: int) -> str:
    treats = f" Treats {', '.join(fix.treats)}." if fix.treats else ""
    changes = "; ".join(_change(change) for change in fix.changes)
    changed = f" Changes {changes}." if changes else ""
    return f"{number}. `{fix.id}`: {fix.summary}{treats}{changed} {_expected(fix)}"


def _change(change: Change) -> str:
    before, after = ("not set" if x is None else _shown(x) for x in (change.before, change.after))
    return f"{change.key} {before} → {after}"


def _shown(value: Any) -> str:
    return f"({shown_value(value)})" if isinstance(value, Mapping) else shown_value(value)


def _expected(fix: PlannedFix) -> str:
    gain = "" if fix.expected_gain is None else f"{nats(fix.expected_gain)} nats expected, "
    if fix.free:
        return f"{gain}nothing is trained.".capitalize()
    start = f" {_FROM[fix.start]}" if fix.start else ""
    cost = f"{_time(fix.expected_seconds)}{start}" if fix.expected_seconds else f"trained{start}"
    return f"{gain}{cost}.".capitalize()


def _time(seconds: float) -> str:
    return f"about {duration(max(1.0, seconds))}"


def _trials(plan: Plan) -> tuple[Block, ...]:
    if not plan.trials:
        return ()
    seeds = sorted({t.seed for t in plan.trials})
    count = f"{len(seeds)} seeds ({seeds[0]} to {seeds[-1]})" if len(seeds) > 1 else "1 seed"
    told = [f"All start {_FROM[plan.start]}: {plan.start_reason}.", _rounds(plan, count)]
    if any(t.fix == WITHOUT_TEACHER for t in plan.trials):
        told.append("One training without the teacher tells whether distillation helps at all.")
    for fix, parts in sorted({(t.fix, t.fold[1]) for t in plan.trials if t.fold}):
        told.append(
            f"For `{fix}` {parts} students are trained first, on one seed, each without one of "
            f"{parts} parts of the train rows."
        )
    epochs = sorted({t.epochs for t in plan.trials if t.fix == CONTROL})
    told.append(f"A control trains {' or '.join(map(str, epochs))} epochs.")
    if plan.budget is not None:
        told.append(f"The budget is {duration(plan.budget)}.")
    return _listing(*told)


def _rounds(plan: Plan, seeds: str) -> str:
    """What is trained on which seeds."""
    told = f"Beside them a control, the recipe unchanged, on {seeds}"
    if seeds == "1 seed":
        return f"{told}: at most promising, since at least 3 seeds verify a training."
    fixes = {t.fix for t in plan.trials} - {CONTROL, WITHOUT_TEACHER}
    if len(fixes) == 1:
        return f"{told}, as the fix."
    return (
        f"{told}; every fix on the first seed, then the best {plan.finalists} on all of them, "
        "and the best two together where they can be."
    )


def _left_out(plan: Plan) -> tuple[Block, ...]:
    return _listing(*(f"`{f.id}`: {f.reason}" for f in plan.fixes if f.status != "planned"))


def _listing(*items: str) -> tuple[Block, ...]:
    return (Listing(tuple(items)),) if items else ()
