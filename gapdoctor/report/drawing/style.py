"""One look for all charts: sizes in CSS pixels, colours a page can turn, no global state left."""

from __future__ import annotations

import contextlib
import logging
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gapdoctor.report.figures import Role

INK = "#010203"
"""Text and axes; the page replaces it by its own text colour."""

COLOURS: dict[Role, str] = {
    "teacher": "#0072b2",
    "student": "#d55e00",
    "cause": "#cc79a7",
    "unexplained": "#8a8a8a",
    "neutral": "#767676",
}
"""Okabe & Ito's palette (2008), told apart by colour-blind readers, and two greys."""

MARKERS: dict[Role, str] = {
    "teacher": "o",
    "student": "s",
    "cause": "D",
    "unexplained": "v",
    "neutral": "^",
}

TEXT_SIZE = 12.0
SMALL_SIZE = 11.0

_LETTER = 6.4
"""Width of an average letter at `TEXT_SIZE`, in pixels."""

_STYLE: dict[Any, Any] = {
    "text.parse_math": False,
    "text.usetex": False,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "font.family": ["DejaVu Sans"],
    "font.size": TEXT_SIZE,
    "axes.labelsize": SMALL_SIZE,
    "xtick.labelsize": SMALL_SIZE,
    "ytick.labelsize": SMALL_SIZE,
    "legend.fontsize": SMALL_SIZE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "hatch.linewidth": 0.8,
    "svg.fonttype": "none",
    "svg.hashsalt": "gapdoctor",
    "path.simplify": True,
}


@dataclass(frozen=True, slots=True)
class Margins:
    """Pixels around the axes."""

    left: float
    right: float
    top: float
    bottom: float


@contextlib.contextmanager
def quiet_style() -> Iterator[None]:
    """Draw in our style whatever the caller's is, and say nothing of glyphs a font lacks."""
    fonts = logging.getLogger("matplotlib.font_manager")
    level = fonts.level
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        fonts.setLevel(logging.ERROR)
        try:
            yield
        finally:
            fonts.setLevel(level)


def canvas(width: float, height: float, margins: Margins) -> tuple[Figure, Axes]:
    """Return a figure of so many pixels, and axes within its margins.

    One pixel is one point of matplotlib, so that sizes in an SVG are CSS pixels.
    """
    figure = Figure(figsize=(width / 72, height / 72))
    FigureCanvasAgg(figure)
    axes = figure.add_axes(
        (
            margins.left / width,
            margins.bottom / height,
            (width - margins.left - margins.right) / width,
            (height - margins.top - margins.bottom) / height,
        )
    )
    return figure, axes


def is_narrow(width: float) -> bool:
    """Return whether a chart of this width is for a telephone."""
    return width < 400


def shortened(label: str, pixels: float) -> str:
    """Return as much of `label` as fits into so many pixels."""
    most = max(int(pixels / _LETTER), 4)
    return label if len(label) <= most else f"{label[: most - 1]}…"


def wrapped(label: str, pixels: float) -> list[str]:
    """Return `label` in lines that fit into so many pixels, broken between words only."""
    most = max(int(pixels / _LETTER), 4)
    lines = textwrap.wrap(label, most, break_long_words=False, break_on_hyphens=False)
    return [shortened(line, pixels) for line in lines] or [""]


def grid(axes: Axes, axis: str) -> None:
    """Draw thin lines at the ticks of `axis`."""
    axes.grid(visible=True, axis=axis, color=INK, alpha=0.14, linewidth=0.8)  # type: ignore[arg-type]
    axes.tick_params(length=0)


def legend_above(axes: Axes, columns: int) -> None:
    """Name the lines above the axes, where they hide nothing."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=columns,
        frameon=False,
        handlelength=2.4,
        columnspacing=1.4,
        borderpad=0.2,
    )
