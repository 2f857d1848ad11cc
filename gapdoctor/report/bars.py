"""The waterfall in characters, for a terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Callable

from gapdoctor.report.figures import Bar, Waterfall
from gapdoctor.report.quantities import nats, signed

_FILLS = {"teacher": "█", "student": "█", "cause": "▓", "unexplained": "░"}
_BREAK = "//"


def text_bars(chart: Waterfall, width: int) -> list[str]:
    """Return a line a bar: its label, its nats, and the bar in its place.

    Parameters
    ----------
    chart : Waterfall
        What to draw.
    width : int
        Characters of a line.
    """
    labels = min(max(len(bar.label) for bar in chart.bars), 26)
    values = max(len(_value(bar)) for bar in chart.bars)
    room = max(width - labels - values - 4, 10)
    edges = [chart.place(x) for bar in chart.bars for x in (0.0, bar.start, bar.end)]
    first, last = min(edges), max(edges)
    scale = (room - 1) / (last - first) if last > first else 0.0

    def column(x: float) -> int:
        return round((chart.place(x) - first) * scale)

    return [
        f"{bar.label[:labels]:<{labels}}  {_value(bar):>{values}}  {_line(chart, bar, column)}"
        for bar in chart.bars
    ]


def _value(bar: Bar) -> str:
    return nats(bar.value) if bar.is_total else signed(bar.value)


def _line(chart: Waterfall, bar: Bar, column: Callable[[float], int]) -> str:
    low, high = sorted((bar.start, bar.end))
    at, length = column(low), max(column(high) - column(low), 1)
    fill = _FILLS.get(bar.role, "▓")
    line = " " * at + fill * length
    if chart.cut is None or not (low <= chart.cut.low and high >= chart.cut.high):
        return line
    middle = (column(chart.cut.low) + column(chart.cut.high)) // 2
    return f"{line[:middle]}{_BREAK}{line[middle + len(_BREAK) :]}"
