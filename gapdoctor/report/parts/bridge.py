"""The waterfall from the teacher's held-out loss to the student's, and the exact split."""

from __future__ import annotations

import math

from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.domain.findings import Interval
from gapdoctor.report.blocks import Block, Column, Figure, Grid, Paragraph
from gapdoctor.report.figures import Bar, Role, Span, Spans, Waterfall, cut_between
from gapdoctor.report.quantities import count, interval, nats, signed
from gapdoctor.report.tables import Row, finite, real, rows_of
from gapdoctor.report.wording import split_sentence, title_of

_ROLES: dict[str, Role] = {
    "teacher": "teacher",
    "cause": "cause",
    "unexplained": "unexplained",
    "student": "student",
}
_TOTALS = {"teacher": "Teacher, held-out", "student": "Student, held-out"}


def bridge(diagnosis: Diagnosis) -> tuple[Block, ...]:
    """Return the waterfall, the split in words, and the split as a chart."""
    figure = waterfall_figure(diagnosis)
    split = split_figure(diagnosis)
    return (
        *((figure,) if figure else ()),
        Paragraph(split_sentence(diagnosis)),
        *((split,) if split else ()),
    )


def waterfall(diagnosis: Diagnosis) -> Waterfall | None:
    """Return the bars with their places; None without a table of finite values."""
    rows = rows_of(diagnosis, "waterfall", "label", "kind", "value")
    if not rows or not all(finite(row["value"]) for row in rows):
        return None
    bars: list[Bar] = []
    reached = 0.0
    for row in rows:
        bar = _bar(row, reached)
        reached = bar.end
        bars.append(bar)
    return Waterfall(tuple(bars), cut_between([0.0, *(e for b in bars for e in _edges(b))]))


def waterfall_figure(diagnosis: Diagnosis) -> Figure | None:
    """Return the waterfall as a chart with its numbers."""
    chart = waterfall(diagnosis)
    if chart is None:
        return None
    told = "; ".join(f"{b.label} {_value(b)}" for b in chart.bars)
    broken = " The axis is broken where one bar dwarfs the rest." if chart.cut else ""
    return Figure(
        key="waterfall",
        title=(
            "From the teacher's held-out loss to the student's, on the reporting half "
            f"({count(diagnosis.halves.reporting.rows)} rows)"
        ),
        alt=f"Waterfall in nats: {told}.",
        chart=chart,
        table=_numbers(chart),
        note=(
            "Bars of causes are what their interventions return to the student less what they "
            f"return to the teacher; thin lines are 95 % intervals.{broken} The reporting half "
            "chose nothing; its losses differ a little from those of all rows."
        ),
    )


def split_figure(diagnosis: Diagnosis) -> Figure | None:
    """Return excess, fit deficit and excess gap as a chart."""
    gap = diagnosis.gap
    named: tuple[tuple[str, Role, Interval], ...] = (
        ("Excess", "student", gap.excess),
        ("Fit deficit D", "neutral", gap.fit_deficit),
        ("Excess gap E", "cause", gap.excess_gap),
    )
    if not all(finite(end) for _, _, x in named for end in _ends(x)):
        return None
    spans = tuple(Span(label, role, x.value, x.low, x.high) for label, role, x in named)
    return Figure(
        key="split",
        title="Where the excess arises",
        alt="Intervals in nats: " + "; ".join(f"{s[0]} {interval(s[2], signed)}" for s in named),
        chart=Spans(spans, gap.limit, f"limit h = {nats(gap.limit)}", "nats"),
        table=Grid(
            "The exact split of the excess, in nats, with 95 % intervals",
            (Column("Quantity"), Column("Meaning"), Column("Nats", "number")),
            _split_rows(diagnosis),
        ),
    )


def _ends(quantity: Interval) -> list[float]:
    """The value, and the ends of its interval where there is one."""
    ends = [x for x in (quantity.low, quantity.high) if math.isfinite(x)]
    return [quantity.value, *ends]


def _split_rows(diagnosis: Diagnosis) -> tuple[tuple[str, ...], ...]:
    gap = diagnosis.gap
    return (
        ("Excess", "student − teacher, held-out loss", interval(gap.excess, signed)),
        ("Fit deficit D", "student − teacher, train loss", interval(gap.fit_deficit, signed)),
        ("Excess gap E", "excess − D", interval(gap.excess_gap, signed)),
        ("Student's own gap", "held-out − train loss", _signed(gap.student_generalization)),
        ("Teacher's own gap", "held-out − train loss", _signed(gap.teacher_generalization)),
        ("Noise floor", "half the width of the excess's interval", nats(gap.noise_floor)),
        ("Limit h", "a gap below it is not worth treating", nats(gap.limit)),
    )


def _signed(quantity: Interval) -> str:
    return interval(quantity, signed)


def _bar(row: Row, reached: float) -> Bar:
    role = _ROLES.get(str(row["kind"]), "neutral")
    value = real(row["value"])
    label = _TOTALS.get(role) or title_of(str(row["label"]))
    start = 0.0 if role in _TOTALS else reached
    low, high = real(row.get("low")), real(row.get("high"))
    if low == high:  # a mean told without its interval
        low = high = math.nan
    return Bar(label[:1].upper() + label[1:], role, value, low, high, start, start + value)


def _edges(bar: Bar) -> list[float]:
    ends = [bar.start, bar.end]
    if math.isfinite(bar.low) and math.isfinite(bar.high):
        ends += [bar.start + bar.low, bar.start + bar.high]
    return ends


def _value(bar: Bar) -> str:
    shown = nats if bar.is_total else signed
    return interval(Interval(bar.value, bar.low, bar.high), shown)


def _numbers(chart: Waterfall) -> Grid:
    return Grid(
        "From the teacher's held-out loss to the student's, in nats, with 95 % intervals",
        (Column("Step"), Column("Nats", "number")),
        tuple((bar.label, _value(bar)) for bar in chart.bars),
    )
