"""Teacher against student, a row a class."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from gapdoctor.report.drawing.style import (
    COLOURS,
    INK,
    MARKERS,
    Margins,
    canvas,
    grid,
    is_narrow,
    legend_above,
    shortened,
)
from gapdoctor.report.figures import Pairs, Role


def draw(chart: Pairs, width: int) -> Figure:
    """Return the drawing: two marks a class, joined by a line as long as the excess."""
    longest = max(len(pair.label) for pair in chart.pairs)
    labels = min(110.0 if is_narrow(width) else 190.0, 24.0 + 7.5 * longest)
    rows = len(chart.pairs)
    figure, axes = canvas(width, rows * 24 + 76, Margins(labels, 14, 30, 42))
    across = axes.get_yaxis_transform()
    for row, pair in enumerate(chart.pairs):
        if pair.teacher is not None:
            axes.plot([pair.teacher, pair.student], [row, row], color=INK, alpha=0.4, linewidth=1.4)
        axes.annotate(
            shortened(pair.label, labels - 8), (0, row), (-labels, 0), xycoords=across,
            textcoords="offset points", va="center",
        )  # fmt: skip
    known = [(p.teacher, row) for row, p in enumerate(chart.pairs) if p.teacher is not None]
    if known:
        _marks(axes, known, "teacher")
    _marks(axes, [(p.student, row) for row, p in enumerate(chart.pairs)], "student")
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_yticks([])
    if chart.logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    else:
        axes.set_xlim(
            0.0, 1.04 * (max(max(p.student, p.teacher or 0.0) for p in chart.pairs) or 1.0)
        )
        axes.locator_params(axis="x", nbins=4 if is_narrow(width) else 7)
    axes.set_xlabel(chart.x_label)
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(False)
    grid(axes, "x")
    legend_above(axes, 2)
    return figure


def _marks(axes: Axes, points: list[tuple[float, int]], role: Role) -> None:
    axes.plot(
        [x for x, _ in points],
        [row for _, row in points],
        linestyle="none",
        clip_on=False,
        marker=MARKERS[role],
        markersize=7,
        color=COLOURS[role],
        label=role.capitalize(),
    )
