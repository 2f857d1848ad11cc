"""What `fix` found: which fix won, the ranked table, what each changed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gapdoctor.domain.findings import Interval
from gapdoctor.domain.trials import CONTROL, Change, FixRecord, Outcome
from gapdoctor.report.blocks import (
    Block,
    Column,
    Figure,
    Grid,
    Paragraph,
)
from gapdoctor.report.figures import Role, Span, Spans
from gapdoctor.report.parts.setup import shown_value
from gapdoctor.report.quantities import MISSING, interval, nats, percent, signed

STATUSES = {
    "verified": "verified",
    "promising": "promising",
    "not_verified": "not verified",
    "not_applicable": "not applicable",
    "not_reached": "not reached",
}
_ROLES: dict[str, Role] = {"verified": "student", "promising": "cause", "not_verified": "neutral"}
UNKNOWN = Interval(math.nan, math.nan, math.nan)


def ranking(outcome: Outcome) -> tuple[Block, ...]:
    """Return the fixes that were tried, the best first: as a chart and as a table."""
    tried = [f for f in outcome.fixes if f.difference is not None]
    if not tried:
        return (Paragraph("No fix was tried."),)
    figure = _figure(outcome, tried)
    told = tuple(Paragraph(text) for fix in tried if (text := _how_verified(fix)))
    return (*((figure,) if figure else ()), _table(outcome, tried), *told, _reached(tried))


def changes(outcome: Outcome) -> tuple[Block, ...]:
    """Return what each tried fix changes."""
    rows = tuple(
        (spaced(fix.id), change.key, _change(change))
        for fix in outcome.fixes
        if fix.difference is not None
        for change in fix.changes
    )
    columns = (Column("Fix"), Column("Key"), Column("Change"))
    return (Grid("What each fix changes", columns, rows),) if rows else ()


def untried(outcome: Outcome) -> tuple[Block, ...]:
    """Return the fixes that were not tried, and what keeps the tried ones from being verified."""
    rows = tuple(
        (spaced(fix.id), STATUSES[fix.status], fix.reason)
        for fix in outcome.fixes
        if fix.reason and fix.status != "verified"
    )
    columns = (Column("Fix"), Column("Status"), Column("Reason"))
    return (Grid("Fixes that were not tried or not verified", columns, rows),) if rows else ()


def named(fix: str) -> str:
    """Return a fix id, or several joined by `+`, as names to copy."""
    if fix == CONTROL:
        return "the control"
    return " + ".join(f"`{part}`" for part in fix.split("+"))


def spaced(fix: str) -> str:
    """Return a fix id, the parts of a joint one apart: a narrow column can break between them."""
    return fix.replace("+", " + ")


def best_of(outcome: Outcome) -> FixRecord | None:
    """Return the tried fix with the lowest difference."""
    tried = [f for f in outcome.fixes if f.difference is not None]
    return min(tried, key=difference_of, default=None)


def difference_of(fix: FixRecord) -> float:
    """Return a fix's difference; infinity where it is not known."""
    value = UNKNOWN.value if fix.difference is None else fix.difference.value
    return value if math.isfinite(value) else math.inf


def _figure(outcome: Outcome, tried: Sequence[FixRecord]) -> Figure | None:
    drawn = [f for f in tried if f.difference is not None and math.isfinite(f.difference.value)]
    least = outcome.minimum_detectable_effect
    if not drawn or not math.isfinite(least):
        return None
    spans = tuple(
        Span(spaced(f.id), _ROLES.get(f.status, "neutral"), f.difference.value, f.difference.low,
             f.difference.high)
        for f in drawn
        if f.difference is not None
    )  # fmt: skip
    told = "; ".join(
        f"{spaced(f.id)} {difference(f.difference)}, {STATUSES[f.status]}" for f in drawn
    )
    return Figure(
        key="differences",
        title="Held-out loss of each fix less that of what it is compared with",
        alt=f"Differences in nats, left of zero is better: {told}.",
        chart=Spans(spans, -least, f"−{nats(least)}", "nats"),
        table=Grid(
            "Differences, in nats, with simultaneous 95 % intervals",
            (Column("Fix"), Column("Difference", "number"), Column("Status")),
            tuple((spaced(f.id), difference(f.difference), STATUSES[f.status]) for f in drawn),
        ),
        note="Left of zero is better. Lines are simultaneous 95 % intervals: all of them hold at "
        "once. Dashed: the smallest effect that the rows can show, with a power of 80 %.",
    )


def _table(outcome: Outcome, tried: Sequence[FixRecord]) -> Grid:
    expected = {f.id: f.expected_gain for f in outcome.plan.fixes if f.expected_gain is not None}
    promised = any(fix.id in expected for fix in tried)
    columns = (
        Column("Fix"),
        Column("Status"),
        *((Column("Expected", "number"),) if promised else ()),
        Column("Difference (nats)", "number"),
        Column("Against"),
    )
    rows = tuple(
        (
            f"{spaced(fix.id)} (chosen)" if fix.id == outcome.chosen else spaced(fix.id),
            _status(fix),
            *((_promise(expected.get(fix.id)),) if promised else ()),
            difference(fix.difference),
            _against(outcome, fix),
        )
        for fix in tried
    )
    note = (
        "On the reporting half, which chose nothing. A fix that retrains is compared with the "
        "control of the same start and the same seeds, one that retrains nothing with the student "
        "as given. Negative is better."
    )
    if promised:
        note += " Expected: the difference that the plan reckoned with, in nats."
    if any(is_the_control(outcome, fix) for fix in tried):
        note += (
            " The declared recipe, trained anew, is the control itself: it is compared with the "
            "student as given."
        )
    return Grid("Fixes, the best first, with simultaneous 95 % intervals", columns, rows, note)


def _promise(gain: float | None) -> str:
    """A gain as the difference that it would be: lower is better."""
    return "unknown" if gain is None else signed(-gain)


def _how_verified(fix: FixRecord) -> str:
    if not (fix.verified and fix.reason):
        return ""
    return f"{named(fix.id)} is verified, {fix.reason.rstrip('.')}."


def _reached(tried: Sequence[FixRecord]) -> Grid:
    columns = (
        Column("Fix"),
        Column("Held-out loss", "number"),
        Column("Before temperature", "number"),
        Column("Accuracy", "number"),
        Column("Accuracy difference", "number"),
    )
    rows = tuple(
        (
            spaced(fix.id),
            interval(fix.heldout_loss or UNKNOWN),
            interval(fix.loss_before_temperature or UNKNOWN),
            interval(fix.heldout_accuracy or UNKNOWN, percent),
            _points(fix.accuracy_difference),
        )
        for fix in tried
    )
    note = "Losses in nats, each at its own temperature, which the choosing half fitted."
    return Grid("What each fix reaches, with 95 % intervals", columns, rows, note)


def _status(fix: FixRecord) -> str:
    p = "" if fix.p_value is None else f", p = {fix.p_value:.2g}"
    return f"{STATUSES[fix.status]}{p}"


def is_the_control(outcome: Outcome, fix: FixRecord) -> bool:
    """Tell whether a fix is the control itself, beside the student as given: it has no trial."""
    return fix.seeds > 0 and fix.verified and all(t.fix != fix.id for t in outcome.trials)


def _against(outcome: Outcome, fix: FixRecord) -> str:
    if fix.seeds == 0:
        return "the student as given"
    agree = {True: ", one sign", False: ", both signs", None: ""}[fix.same_sign]
    beside = "the student as given" if is_the_control(outcome, fix) else "control"
    return f"{beside}, {fix.seeds} {'seeds' if fix.seeds > 1 else 'seed'}{agree}"


def _change(change: Change) -> str:
    ends = (change.before, change.after)
    before, after = ("not set" if x is None else shown_value(x) for x in ends)
    return f"{before} → {after}"


def difference(quantity: Interval | None) -> str:
    """Return a difference in nats with its interval, or that there is none."""
    return MISSING if quantity is None else interval(quantity, signed)


def _points(quantity: Interval | None) -> str:
    """A difference of shares in percentage points."""
    if quantity is None or not math.isfinite(quantity.value):
        return MISSING
    scaled = [100 * x for x in (quantity.value, quantity.low, quantity.high)]
    shown = [signed(x, like=100.0) for x in scaled]
    ends = f" ({shown[1]} to {shown[2]})" if all(map(math.isfinite, scaled)) else ""
    return f"{shown[0]} points{ends}"
