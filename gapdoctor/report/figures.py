"""Charts as data: what is drawn, not how."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Role = Literal["teacher", "student", "cause", "unexplained", "neutral"]
"""What a mark stands for; it decides colour, dash and marker."""

_DWARFS = 8.0
"""An axis is broken where its longest empty stretch is this many times all the rest."""

_MARGIN = 0.2
"""Of the rest, kept on either side of the break so that the broken bar shows its ends."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A step of a waterfall, from `start` to `end`; its value's interval is `low` to `high`."""

    label: str
    role: Role
    value: float
    low: float
    high: float
    start: float
    end: float

    @property
    def is_total(self) -> bool:
        """Whether the bar stands on zero: a model's own loss."""
        return self.role in ("teacher", "student")


@dataclass(frozen=True, slots=True)
class Cut:
    """A stretch of an axis, `low` to `high`, drawn as `width` only."""

    low: float
    high: float
    width: float

    def place(self, x: float) -> float:
        """Return where `x` is drawn."""
        if x <= self.low:
            return x
        if x >= self.high:
            return x - (self.high - self.low) + self.width
        return self.low + (x - self.low) / (self.high - self.low) * self.width


@dataclass(frozen=True, slots=True)
class Waterfall:
    """From the teacher's loss to the student's, cause by cause, in nats."""

    bars: tuple[Bar, ...]
    cut: Cut | None

    def place(self, x: float) -> float:
        """Return where the value `x` is drawn on the (broken) axis."""
        return x if self.cut is None else self.cut.place(x)


@dataclass(frozen=True, slots=True)
class Span:
    """A named value with its interval."""

    label: str
    role: Role
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Spans:
    """Values with intervals on one axis, beside a named limit."""

    spans: tuple[Span, ...]
    limit: float
    limit_label: str
    unit: str


@dataclass(frozen=True, slots=True)
class Series:
    """One line. `broken` lines are dashed: the second split or the reference."""

    label: str
    role: Role
    x: tuple[float, ...]
    y: tuple[float, ...]
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Curves:
    """Lines over a common axis."""

    series: tuple[Series, ...]
    x_label: str
    y_label: str
    logarithmic: bool = False
    unit_square: bool = False
    """Both axes run from 0 to 1, with the diagonal drawn."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Histograms over the same bins: one share per bin and series (its `y`)."""

    edges: tuple[float, ...]
    series: tuple[Series, ...]
    x_label: str
    y_label: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Teacher and student on one class."""

    label: str
    teacher: float | None
    student: float


@dataclass(frozen=True, slots=True)
class Pairs:
    """Teacher against student, a row a class."""

    pairs: tuple[Pair, ...]
    x_label: str
    logarithmic: bool


Chart = Waterfall | Spans | Curves | Steps | Pairs


def cut_between(edges: list[float]) -> Cut | None:
    """Return the stretch to leave out of an axis that shows `edges`, if one dwarfs the rest.

    Parameters
    ----------
    edges : list of float
        Where something on the axis begins or ends.
    """
    marks = sorted(set(edges))
    gaps = [(b - a, a, b) for a, b in pairwise(marks)]
    if not gaps:
        return None
    longest, low, high = max(gaps)
    rest = marks[-1] - marks[0] - longest
    margin = _MARGIN * rest
    if rest <= 0 or longest < _DWARFS * rest:
        return None
    return Cut(low + margin, high - margin, 0.25 * rest)


def is_lopsided(values: list[float], *, times: float = 20.0) -> bool:
    """Return whether positive `values` need a logarithmic axis: the largest dwarfs the median."""
    ordered = sorted(values)
    return bool(ordered) and ordered[0] > 0 and ordered[-1] > times * ordered[len(ordered) // 2]
