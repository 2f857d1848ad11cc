"""Charts as data -> static SVG and PNG. The only place that imports matplotlib."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from gapdoctor.report.blocks import Figure
from gapdoctor.report.drawing import curves, pairs, spans, steps, waterfall
from gapdoctor.report.drawing.style import quiet_style
from gapdoctor.report.drawing.svg import inline
from gapdoctor.report.figures import Chart, Curves, Pairs, Spans, Steps, Waterfall

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

WIDE, HALF, NARROW = 860, 440, 330
"""Widths in CSS pixels: a whole column, half of one, a telephone."""

_DPI = 150


def svg(figure: Figure, width: int, suffix: str = "") -> str:
    """Return the chart as an inline SVG element, byte-identical for the same data.

    Parameters
    ----------
    figure : Figure
        What to draw; its `alt` becomes the label that a screen reader says.
    width : int
        CSS pixels; text keeps its size, so a narrow chart is another drawing, not a smaller one.
    suffix : str
        Added to the prefix of ids, for a second drawing of the same chart on one page.
    """
    stream = io.StringIO()
    with quiet_style():
        canvas = _draw(figure.chart, width)
        canvas.savefig(stream, format="svg", metadata={"Date": None}, transparent=True)
    return inline(stream.getvalue(), f"{figure.key}{suffix}-", figure.alt)


def png(figure: Figure) -> bytes:
    """Return the chart on white at 150 dpi."""
    stream = io.BytesIO()
    with quiet_style():
        canvas = _draw(figure.chart, HALF if figure.half else WIDE)
        canvas.savefig(
            stream, format="png", dpi=_DPI, metadata={"Software": None},
            bbox_inches="tight", pad_inches=0.15,
        )  # fmt: skip
    return stream.getvalue()


def _draw(chart: Chart, width: int) -> Canvas:
    match chart:
        case Waterfall():
            return waterfall.draw(chart, width)
        case Spans():
            return spans.draw(chart, width)
        case Curves():
            return curves.draw(chart, width)
        case Steps():
            return steps.draw(chart, width)
        case Pairs():
            return pairs.draw(chart, width)
