"""Values with intervals on one axis, beside a named limit."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from gapdoctor.report.drawing.style import (
    COLOURS,
    INK,
    MARKERS,
    SMALL_SIZE,
    Margins,
    canvas,
    grid,
    is_narrow,
    wrapped,
)
from gapdoctor.report.figures import Span, Spans
from gapdoctor.report.quantities import signed

_ROW, _LINE = 34.0, 15.0
"""Pixels: the height of a row, and of each line of its label beyond the first."""


def draw(chart: Spans, width: int) -> Figure:
    """Return the drawing: a row a value, its interval as a line, the limit dashed."""
    least, most, values = (96.0, 170.0, 56.0) if is_narrow(width) else (190.0, 270.0, 66.0)
    longest = max(len(span.label) for span in chart.spans)
    labels = min(max(least, 7.5 * longest), most)
    names = [wrapped(span.label, labels) for span in chart.spans]
    heights = [_ROW + _LINE * (len(lines) - 1) for lines in names]
    figure, axes = canvas(width, sum(heights) + 56, Margins(labels, values, 22, 34))
    largest = max(abs(span.value) for span in chart.spans)
    for i, (span, lines) in enumerate(zip(chart.spans, names, strict=True)):
        middle = sum(heights[:i]) + heights[i] / 2
        _mark(axes, span, middle)
        _words(axes, "\n".join(lines), signed(span.value, like=largest), middle, labels)
    axes.set_ylim(sum(heights), 0.0)
    axes.set_yticks([])
    axes.margins(x=0.06)
    axes.axvline(0.0, color=INK, linewidth=1.0)
    axes.axvline(chart.limit, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.annotate(
        chart.limit_label, (chart.limit, 1), (4, 5), xycoords=axes.get_xaxis_transform(),
        textcoords="offset points", fontsize=SMALL_SIZE,
    )  # fmt: skip
    axes.locator_params(axis="x", nbins=4 if is_narrow(width) else 7)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}".replace("-", "−")))
    axes.set_xlabel(chart.unit)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    grid(axes, "x")
    return figure


def _mark(axes: Axes, span: Span, at: float) -> None:
    ends = [x for x in (span.low, span.high) if math.isfinite(x)] or [span.value]
    colour = COLOURS[span.role]
    axes.plot(ends, [at] * len(ends), color=colour, linewidth=2.4, solid_capstyle="round")
    axes.plot([span.value], [at], color=colour, marker=MARKERS[span.role], markersize=8)


def _words(axes: Axes, label: str, value: str, at: float, room: float) -> None:
    place: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points"}
    axes.annotate(label, (0, at), (-room, 0), va="center", **place)
    axes.annotate(value, (1, at), (8, 0), va="center", **place)
