"""Histograms over the same bins, as outlines."""

from __future__ import annotations

import math

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from gapdoctor.report.drawing.style import (
    COLOURS,
    Margins,
    canvas,
    grid,
    is_narrow,
    legend_above,
)
from gapdoctor.report.figures import Steps


def draw(chart: Steps, width: int) -> Figure:
    """Return the drawing: each bin equally wide, whatever it spans; its edges are named."""
    rows = math.ceil(len(chart.series) / 2)
    figure, axes = canvas(width, 300, Margins(54, 10, 14 + 18 * rows, 42))
    places = range(len(chart.edges))
    for series in chart.series:
        axes.stairs(
            series.y,
            list(places),
            baseline=None,
            label=series.label,
            color=COLOURS[series.role],
            linewidth=1.8,
            linestyle=(0, (5, 3)) if series.broken else "solid",
        )
    every = math.ceil(len(chart.edges) / (5 if is_narrow(width) else 7))
    named = list(places)[::every]
    axes.set_xticks(named, [_edge(chart.edges[i]) for i in named])
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0, symbol=" %"))
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    axes.spines["left"].set_visible(False)
    grid(axes, "y")
    legend_above(axes, 2)
    return figure


def _edge(x: float) -> str:
    return f"{x:.3g}" if math.isfinite(x) else "∞"
