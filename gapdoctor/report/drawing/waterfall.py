"""The waterfall: horizontal bars from the teacher's loss to the student's."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.ticker import MaxNLocator

from gapdoctor.report.drawing.style import (
    COLOURS,
    INK,
    Margins,
    canvas,
    grid,
    is_narrow,
    shortened,
)
from gapdoctor.report.figures import Bar, Cut, Waterfall
from gapdoctor.report.quantities import nats, signed

_LABELS = 190.0
_VALUES = 66.0


def draw(chart: Waterfall, width: int) -> Figure:
    """Return the drawing; on a narrow one, labels stand above their bars."""
    narrow = is_narrow(width)
    rows = len(chart.bars)
    margins = Margins(4, 4, 4, 30) if narrow else Margins(_LABELS, _VALUES, 6, 34)
    figure, axes = canvas(width, rows * (46 if narrow else 36) + margins.bottom + 6, margins)
    _scale(axes, chart)
    thickness = 0.36 if narrow else 0.6
    for row, bar in enumerate(chart.bars):
        centre = row + (0.2 if narrow else 0.0)
        _bar(axes, chart, bar, centre, thickness)
        _whisker(axes, chart, bar, centre)
        _words(axes, chart, bar, row, width)
    _connectors(axes, chart, 0.2 if narrow else 0.0, thickness)
    return figure


def _edges(bar: Bar) -> list[float]:
    ends = [bar.start, bar.end, bar.start + bar.low, bar.start + bar.high]
    return [x for x in ends if math.isfinite(x)]


def _scale(axes: Axes, chart: Waterfall) -> None:
    edges = [0.0, *(x for bar in chart.bars for x in _edges(bar))]
    low, high = min(edges), max(edges)
    ticks = _ticks(low, high, chart.cut)
    axes.set_xticks([chart.place(t) for t in ticks], [f"{t:g}".replace("-", "−") for t in ticks])
    first, last = chart.place(low), chart.place(high)
    pad = 0.01 * (last - first or 1.0)
    axes.set_xlim(first - pad, last + pad)
    axes.set_ylim(len(chart.bars) - 0.5, -0.5)
    axes.set_yticks([])
    axes.set_xlabel("held-out loss (nats)")
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    grid(axes, "x")
    axes.axvline(chart.place(0.0), color=INK, linewidth=1.0)


def _ticks(low: float, high: float, cut: Cut | None) -> list[float]:
    if cut is None:
        return _between(low, high, 6)
    return [*_between(low, cut.low, 3), *_between(cut.high, high, 3)]


def _between(low: float, high: float, most: int) -> list[float]:
    found = MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [round(float(t), 9) for t in found if low - 1e-9 <= t <= high + 1e-9]


def _bar(axes: Axes, chart: Waterfall, bar: Bar, centre: float, thickness: float) -> None:
    low, high = sorted((chart.place(bar.start), chart.place(bar.end)))
    top, bottom = centre - thickness / 2, centre + thickness / 2
    for corners in _pieces(low, high, top, bottom, chart.cut):
        axes.add_patch(
            Polygon(
                corners,
                closed=True,
                facecolor="none" if bar.role == "unexplained" else COLOURS[bar.role],
                edgecolor=COLOURS[bar.role],
                hatch="////" if bar.role == "unexplained" else None,
                linewidth=1.0,
            )
        )


def _pieces(
    low: float, high: float, top: float, bottom: float, cut: Cut | None
) -> list[list[tuple[float, float]]]:
    """Return the bar's outline; two slanted pieces where the axis is broken within it."""
    if cut is None or not (low < cut.low and high > cut.low + cut.width):
        return [[(low, top), (high, top), (high, bottom), (low, bottom)]]
    left, right, slant = (cut.low + f * cut.width for f in (0.35, 0.65, 0.12))
    slant -= cut.low
    return [
        [(low, top), (left + slant, top), (left - slant, bottom), (low, bottom)],
        [(right + slant, top), (high, top), (high, bottom), (right - slant, bottom)],
    ]


def _whisker(axes: Axes, chart: Waterfall, bar: Bar, centre: float) -> None:
    if not (math.isfinite(bar.low) and math.isfinite(bar.high)):
        return
    ends = [chart.place(bar.start + bar.low), chart.place(bar.start + bar.high)]
    axes.plot(ends, [centre, centre], color=INK, linewidth=1.2, marker="|", markersize=6)


def _words(axes: Axes, chart: Waterfall, bar: Bar, row: int, width: int) -> None:
    value = nats(bar.value) if bar.is_total else signed(bar.value)
    bold = "bold" if bar.is_total else "normal"
    across = axes.get_yaxis_transform()
    if is_narrow(width):
        label = shortened(bar.label, width - 90)
        axes.annotate(
            label, (chart.place(0.0), row - 0.22), (5, 0), textcoords="offset points",
            va="center", weight=bold,
        )  # fmt: skip
        axes.text(1.0, row - 0.22, value, transform=across, va="center", ha="right", weight=bold)
        return
    label = shortened(bar.label, _LABELS - 10)
    axes.annotate(
        label, (0, row), (-_LABELS, 0), xycoords=across, textcoords="offset points",
        va="center", weight=bold,
    )  # fmt: skip
    end = max(chart.place(x) for x in _edges(bar))
    axes.annotate(
        value, (end, row), (7, 0), textcoords="offset points", va="center", weight=bold,
        annotation_clip=False,
    )  # fmt: skip


def _connectors(axes: Axes, chart: Waterfall, shift: float, thickness: float) -> None:
    for row, bar in enumerate(chart.bars[:-1]):
        x = chart.place(bar.end)
        ends = [row + shift + thickness / 2, row + 1 + shift - thickness / 2]
        axes.plot([x, x], ends, color=INK, alpha=0.45, linewidth=0.8, linestyle=(0, (2, 2)))
