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
    shortened,
)
from gapdoctor.report.figures import Span, Spans
from gapdoctor.report.quantities import signed


def draw(chart: Spans, width: int) -> Figure:
    """Return the drawing: a row a value, its interval as a line, the limit dashed."""
    least, most, values = (96.0, 140.0, 56.0) if is_narrow(width) else (190.0, 270.0, 66.0)
    longest = max(len(span.label) for span in chart.spans)
    labels = min(max(least, 7.5 * longest), most)
    rows = len(chart.spans)
    figure, axes = canvas(width, rows * 34 + 56, Margins(labels, values, 22, 34))
    largest = max(abs(span.value) for span in chart.spans)
    for row, span in enumerate(chart.spans):
        _mark(axes, span, row)
        _words(axes, shortened(span.label, labels), signed(span.value, like=largest), row, labels)
    axes.set_ylim(rows - 0.5, -0.5)
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


def _mark(axes: Axes, span: Span, row: int) -> None:
    ends = [x for x in (span.low, span.high) if math.isfinite(x)] or [span.value]
    colour = COLOURS[span.role]
    axes.plot(ends, [row] * len(ends), color=colour, linewidth=2.4, solid_capstyle="round")
    axes.plot([span.value], [row], color=colour, marker=MARKERS[span.role], markersize=8)


def _words(axes: Axes, label: str, value: str, row: int, room: float) -> None:
    place: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points"}
    axes.annotate(label, (0, row), (-room, 0), va="center", **place)
    axes.annotate(value, (1, row), (8, 0), va="center", **place)
