"""Two diagnoses side by side, as blocks."""

from __future__ import annotations

import math

from gapdoctor.domain.diagnosis import Diagnosis, RankedCause, Verdict
from gapdoctor.domain.findings import Interval
from gapdoctor.report.blocks import (
    Block,
    Callout,
    Column,
    Fact,
    Figure,
    Grid,
    Lead,
    Listing,
    Paragraph,
    Tone,
)
from gapdoctor.report.comparison import CauseChange, Comparison, Measured
from gapdoctor.report.figures import Span, Spans
from gapdoctor.report.parts.setup import shown_value
from gapdoctor.report.quantities import interval, nats, percent, signed
from gapdoctor.report.wording import TITLES, confidence_text, title

_BADGES: dict[str, tuple[Tone, str, str]] = {
    "better": ("good", "✓", "Better"),
    "worse": ("bad", "▲", "Worse"),
    "open": ("doubt", "?", "No clear change"),
}
_TRENDS = {"better": "better", "worse": "worse", "open": "unclear"}


def lead(found: Comparison) -> Lead:
    """Return what the comparison comes down to."""
    tone, symbol, badge = _BADGES[found.trend]
    return Lead(
        subject(found.before, found.after), badge, tone, symbol, _headline(found), _sentence(found),
        _facts(found),
    )  # fmt: skip


def cautions(found: Comparison) -> tuple[Block, ...]:
    """Return what makes the comparison less than exact."""
    return tuple(Callout("caution", text, voids=False) for text in found.cautions)


def gap(found: Comparison) -> tuple[Block, ...]:
    """Return the excess before and after as a chart, and all that was measured."""
    figure = _figure(found)
    return (*((figure,) if figure else ()), _numbers(found))


def causes(found: Comparison) -> tuple[Block, ...]:
    """Return each cause's state, and what has to be known to read it."""
    if not found.causes:
        return (Paragraph("Neither diagnosis names a cause."),)
    rows = tuple(_cause_row(c) for c in found.causes)
    columns = (
        Column("Cause"),
        Column("State"),
        Column("Before (nats)", "number"),
        Column("After (nats)", "number"),
        Column("Confidence", "number"),
    )
    grid = Grid("Causes, what they explain and how sure they are", columns, rows)
    remarks = [_unasked(c) for c in found.causes if c.unasked]
    return (grid, *((Listing(tuple(remarks)),) if remarks else ()))


def warnings(found: Comparison) -> tuple[Block, ...]:
    """Return the warnings that went, came and stayed."""
    if not found.warnings:
        return ()
    items = tuple(f"{w.state}: `{w.id}`: {w.statement}" for w in found.warnings)
    return (Listing(items),)


def recipe(found: Comparison) -> tuple[Block, ...]:
    """Return the fields of the recipe that differ."""
    if not found.recipe:
        return ()
    rows = tuple((r.key, shown_value(r.before), shown_value(r.after)) for r in found.recipe)
    columns = (Column("Field"), Column("Before"), Column("After"))
    return (Grid("Recipes: what differs", columns, rows),)


def inputs(found: Comparison) -> tuple[Block, ...]:
    """Return which students were compared, and by which commands."""
    pairs = [_input(d) for d in (found.before, found.after)]
    items = tuple(f"{name}: {told}" for name, told in zip(("Before", "After"), pairs, strict=True))
    return (Listing(items),)


def subject(before: Diagnosis, after: Diagnosis) -> str:
    """Return which students are compared."""
    one, other = (d.student.file for d in (before, after))
    if one == other:
        return f"`{one}`, before and after" if one else "A live student, before and after"
    return f"{_named(one)} before, {_named(other)} after"


def _named(file: str | None) -> str:
    return f"`{file}`" if file else "a live student"


def _headline(found: Comparison) -> str:
    counts = [
        f"{number} {word}"
        for word, state in (("healed", "healed"), ("new", "new"), ("remaining", "remains"))
        if (number := sum(c.state == state for c in found.causes))
    ]
    told = f"; causes: {', '.join(counts)}" if counts else ""
    excess = found.of("excess")
    if not math.isfinite(excess.difference):
        return f"An excess is not finite{told}"
    like = max(abs(excess.before.value), abs(excess.after.value))
    ends = [signed(x.value, like=like) for x in (excess.before, excess.after)]
    return f"Excess from {ends[0]} to {ends[1]} nats{told}"


def _sentence(found: Comparison) -> str:
    excess = found.of("excess")
    one, other = (interval(x, signed, "nats") for x in (excess.before, excess.after))
    verdicts = [TITLES[d.verdict].lower() for d in (found.before, found.after)]
    said = (
        f"the verdict stays {verdicts[0]}"
        if verdicts[0] == verdicts[1]
        else f"the verdict goes from {verdicts[0]} to {verdicts[1]}"
    )
    names = [
        f"{word}: {', '.join(title(c.id).lower() for c in found.causes if c.state == state)}"
        for word, state in (("healed", "healed"), ("new", "new"), ("remaining", "remains"))
        if any(c.state == state for c in found.causes)
    ]
    told = f"; {'; '.join(names)}" if names else ""
    return f"The excess goes from {one} to {other}, and {said}{told}."


def _facts(found: Comparison) -> tuple[Fact, ...]:
    excess, loss = found.of("excess"), found.of("student_heldout_loss")
    return (
        *(_fact(f"Excess, {word}", x) for word, x in _both(excess)),
        *(_fact(f"Held-out loss, {word}", x, plain=True) for word, x in _both(loss)),
    )


def _both(row: Measured) -> tuple[tuple[str, Interval], ...]:
    return (("before", row.before), ("after", row.after))


def _fact(label: str, quantity: Interval, *, plain: bool = False) -> Fact:
    shown = nats if plain else signed
    ends = interval(quantity, shown).partition(" (")[2].rstrip(")")
    return Fact(label, shown(quantity.value), f"95 %: {ends}" if ends else "")


def _figure(found: Comparison) -> Figure | None:
    excess = found.of("excess")
    if not all(math.isfinite(x.value) for x in (excess.before, excess.after)):
        return None
    spans = tuple(
        Span(
            f"Excess, {word}", "neutral" if word == "before" else "student", x.value, x.low, x.high
        )
        for word, x in _both(excess)
    )
    limit = found.after.gap.limit
    told = "; ".join(f"{word} {interval(x, signed)}" for word, x in _both(excess))
    return Figure(
        key="before-after",
        title="The excess before and after",
        alt=f"Intervals in nats: {told}.",
        chart=Spans(spans, limit, f"limit h = {nats(limit)}", "nats"),
        table=Grid(
            "The excess, in nats, with 95 % intervals",
            (Column("When"), Column("Nats", "number")),
            tuple((word.capitalize(), interval(x, signed)) for word, x in _both(excess)),
        ),
    )


def _numbers(found: Comparison) -> Grid:
    return Grid(
        "Both diagnoses: losses in nats, with 95 % intervals",
        (
            Column("Quantity"),
            Column("Before", "number"),
            Column("After", "number"),
            Column("Change", "number"),
            Column("Reads as"),
        ),
        tuple(_row(m) for m in found.measured),
        note="A change is unclear where the two intervals overlap: the rows of the two runs are "
        "not at hand, so they cannot be paired.",
    )


def _row(m: Measured) -> tuple[str, ...]:
    shown = percent if m.unit == "share" else nats
    ends = (interval(m.before, shown), interval(m.after, shown))
    return (m.name, *ends, _change(m), _TRENDS[m.trend])


def _change(m: Measured) -> str:
    if m.unit == "nats":
        return signed(m.difference)
    points = signed(100 * m.difference, like=100.0)
    return f"{points} points" if math.isfinite(m.difference) else points


def _cause_row(change: CauseChange) -> tuple[str, ...]:
    return (
        title(change.id),
        change.state,
        _explained(change.before),
        _explained(change.after),
        f"{_sure(change.before)} → {_sure(change.after)}",
    )


def _explained(cause: RankedCause | None) -> str:
    return "not named" if cause is None else interval(cause.explained)


def _sure(cause: RankedCause | None) -> str:
    return "none" if cause is None else f"{cause.confidence:.2f}"


def _unasked(change: CauseChange) -> str:
    probes = ", ".join(f"`{probe}`" for probe in change.unasked)
    if change.state == "not asked":
        return f"{title(change.id)}: not to be told; {probes} spoke for it and could not run after."
    return f"{title(change.id)}: {probes} spoke for it before and could not run after."


def _input(diagnosis: Diagnosis) -> str:
    sure = ""
    if diagnosis.causes and diagnosis.verdict is not Verdict.HEALTHY:
        first = diagnosis.causes[0]
        sure = f", first cause {title(first.id).lower()} ({confidence_text(first.confidence)})"
    return f"{TITLES[diagnosis.verdict]}{sure}; `{diagnosis.command or 'no command'}`"
