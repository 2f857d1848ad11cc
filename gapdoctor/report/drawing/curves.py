"""Lines over a common axis: learning curves, reliability."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gapdoctor.report.drawing.style import (
    COLOURS,
    INK,
    MARKERS,
    Margins,
    canvas,
    grid,
    legend_above,
)
from gapdoctor.report.figures import Curves, Series

_LEGEND_COLUMNS, _LEGEND_ROW = 2, 18.0
"""Names of lines side by side, and the pixels of a row of them."""

_DASHES: tuple[float, tuple[float, float]] = (0.0, (5.0, 3.0))


def draw(chart: Curves, width: int) -> Figure:
    """Return the drawing; lines differ by dash and marker too, not by colour alone."""
    height = min(width * 0.9, 330) if chart.unit_square else 270
    rows = -(-len(chart.series) // _LEGEND_COLUMNS)
    top = 30 + _LEGEND_ROW * max(rows - 1, 0)
    figure, axes = canvas(width, height + top - 30, Margins(54, 10, top, 42))
    if chart.unit_square:
        _square(axes)
    for series in chart.series:
        _line(axes, series)
    if chart.logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    if not chart.unit_square:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    axes.spines["left"].set_visible(False)
    grid(axes, "y")
    legend_above(axes, _LEGEND_COLUMNS)
    return figure


def _square(axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color=INK, alpha=0.5, linewidth=1.0, linestyle=(0, (2, 3)))
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.04)


def _line(axes: Axes, series: Series) -> None:
    axes.plot(
        series.x,
        series.y,
        label=series.label,
        color=COLOURS[series.role],
        linewidth=1.8,
        linestyle=_DASHES if series.broken else "solid",
        marker=MARKERS[series.role],
        markersize=5,
        markevery=max(len(series.x) // 8, 1),
    )
