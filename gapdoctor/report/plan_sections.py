"""The page that `fix` prints before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.domain.trials import CONTROL, WITHOUT_TEACHER, Change, ClinicCount, Plan, PlannedFix
from gapdoctor.report.blocks import Block, Column, Grid, Lead, Listing, Paragraph, Section
from gapdoctor.report.clean import cleaned
from gapdoctor.report.parts.setup import shown_value
from gapdoctor.report.quantities import MISSING, interval, nats, percent
from gapdoctor.report.wording import subject

_FROM = {"scratch": "from scratch", "checkpoint": "from the checkpoint"}
_MINUTE, _HOUR = 60.0, 3600.0
_LEAST = 0.01
"""Nats a minute of the most promising fix below which a plan counts by the hour."""


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
    if not planned:
        return ()
    told: list[Block] = [_promises(planned), Listing(tuple(_fix(f) for f in planned))]
    if not all(f.free for f in planned):
        told.insert(0, Paragraph(
            "What trains nothing comes first, then what promises most for the time until its "
            "first result. The time is that of all its seeds."
        ))  # fmt: skip
    if any(f.clinic is not None for f in planned):
        told.append(Paragraph(
            "The clinic plants faults in small pairs and tries fixes on them; a fix helped where "
            "the whole 95 % interval of fix − control is below 0, harmed where it is above."
        ))  # fmt: skip
    return tuple(told)


def _promises(planned: Sequence[PlannedFix]) -> Grid:
    """What each fix is expected to give back, and for how much time: the order is by that."""
    span, unit = _unit(planned)
    columns = (
        Column("Fix"),
        Column("Expected", "number"),
        Column("Time", "number"),
        Column(f"Nats/{unit}", "number"),
    )
    rates = [None if (rate := _per_second(fix)) is None else span * rate for fix in planned]
    largest = max((rate for rate in rates if rate is not None), default=0.0)
    rows = tuple(
        (f"{place}. {fix.id}", _gain(fix), _cost(fix),
         "" if rate is None else nats(rate, like=largest))
        for place, (fix, rate) in enumerate(zip(planned, rates, strict=True), 1)
    )  # fmt: skip
    return Grid("What is expected of each fix, and what it takes", columns, rows)


def _unit(planned: Sequence[PlannedFix]) -> tuple[float, str]:
    """One for all, so that they can be compared: the seconds that it has, and its name."""
    rates = [rate for fix in planned if (rate := _per_second(fix)) is not None]
    by_hour = 0 < _MINUTE * max(rates, default=0.0) < _LEAST
    return (_HOUR, "h") if by_hour else (_MINUTE, "min")


def _per_second(fix: PlannedFix) -> float | None:
    if fix.free or fix.expected_gain is None or fix.expected_seconds <= 0:
        return None
    return fix.expected_gain / fix.expected_seconds


def _gain(fix: PlannedFix) -> str:
    return MISSING if fix.expected_gain is None else f"{nats(fix.expected_gain)} nats"


def _cost(fix: PlannedFix) -> str:
    if fix.free:
        return "no training"
    return _time(fix.expected_seconds) if fix.expected_seconds > 0 else "not measured"


def _fix(fix: PlannedFix) -> str:
    treats = f" Treats {_treated(fix)}." if fix.treats else ""
    changes = "; ".join(_change(change) for change in fix.changes)
    changed = f" Changes {changes}." if changes else ""
    start = f" Starts {_FROM[fix.start]}." if fix.start else ""
    return f"`{fix.id}`: {fix.summary}{treats}{changed}{start}"


def _treated(fix: PlannedFix) -> str:
    """The causes, each with what the clinic says of it."""
    told = [f"{cause}{_counted(fix.clinic, cause)}" for cause in fix.treats]
    return ", ".join(told)


def _counted(clinic: ClinicCount | None, cause: str) -> str:
    if clinic is None or clinic.cause != cause or not clinic.faults:
        return ""
    faults = f"{clinic.faults} such {'fault' if clinic.faults == 1 else 'faults'}"
    return f" (helped {clinic.helped} of {faults} in the clinic, harmed {clinic.harmed})"


def _change(change: Change) -> str:
    before, after = ("not set" if x is None else _shown(x) for x in (change.before, change.after))
    return f"{change.key} {before} → {after}"


def _shown(value: Any) -> str:
    return f"({shown_value(value)})" if isinstance(value, Mapping) else shown_value(value)


def _time(seconds: float) -> str:
    return f"about {duration(max(1.0, seconds))}"


def _trials(plan: Plan) -> tuple[Block, ...]:
    if not plan.trials:
        return ()
    seeds = sorted({t.seed for t in plan.trials})
    count = f"{len(seeds)} seeds ({seeds[0]} to {seeds[-1]})" if len(seeds) > 1 else "1 seed"
    told = [f"All start {_FROM[plan.start]}: {plan.start_reason}.", _rounds(plan, count)]
    told += [*_together(plan), *_reserve(plan)]
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
        "and the best of them together where they can be."
    )


def _together(plan: Plan) -> list[str]:
    told = []
    for group in plan.together:
        names = [f"`{fix}`" for fix in group.fixes]
        told.append(
            f"{', '.join(names[:-1])} and {names[-1]} are tried together if each alone points the "
            f"right way: {group.reason}"
        )
    return told


def _reserve(plan: Plan) -> list[str]:
    names = [f"`{fix}`" for fix in dict.fromkeys(t.fix for t in plan.reserve)]
    told = f"If these give too little back and budget is left: {', then '.join(names)}."
    return [told] if names else []


def _left_out(plan: Plan) -> tuple[Block, ...]:
    return _listing(*(f"`{f.id}`: {f.reason}" for f in plan.fixes if f.status != "planned"))


def _listing(*items: str) -> tuple[Block, ...]:
    return (Listing(tuple(items)),) if items else ()
