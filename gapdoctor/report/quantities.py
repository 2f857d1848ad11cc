"""Numbers as a reader sees them."""

from __future__ import annotations

import math
from collections.abc import Callable

from gapdoctor.domain.findings import Interval

MISSING = "n/a"


def nats(value: float, *, like: float | None = None) -> str:
    """Return a loss: three or four decimals when small, fewer when large.

    Parameters
    ----------
    value : float
        Nats.
    like : float, optional
        A magnitude that decides the decimals instead of the value's own.
    """
    if not math.isfinite(value):
        return _not_finite(value)
    return _minus(f"{value:.{_decimals(abs(value if like is None else like))}f}")


def signed(value: float, *, like: float | None = None) -> str:
    """Return a difference of losses with its sign."""
    text = nats(value, like=like)
    return f"+{text}" if value > 0 and text[0] != "−" else text


def percent(value: float) -> str:
    """Return a share as a percentage with one decimal."""
    return _minus(f"{100 * value:.1f} %") if math.isfinite(value) else _not_finite(value)


def count(value: int | None) -> str:
    """Return a number of things, thousands separated; unknown as such."""
    return "unknown" if value is None else f"{value:,}"


def number(value: float, unit: str = "") -> str:
    """Return a measured value: nats as losses are, shares in percent, others at three digits."""
    if not math.isfinite(value):
        return _not_finite(value)
    if unit == "nats":
        return nats(value)
    if unit == "share":
        return percent(value)
    return _minus(f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}")


def with_unit(value: float, unit: str) -> str:
    """Return a measured value and its unit."""
    return number(value, unit) if unit == "share" else f"{number(value, unit)} {unit}".strip()


def interval(quantity: Interval, shown: Callable[..., str] = nats, unit: str = "") -> str:
    """Return `value unit (low to high)`; without the ends where there is no interval.

    Parameters
    ----------
    quantity : Interval
        What was measured.
    shown : callable
        `nats`, `signed` or `percent`.
    unit : str
        Said once, after the value.
    """
    ends = [quantity.value, quantity.low, quantity.high]
    largest = max((abs(x) for x in ends if math.isfinite(x)), default=0.0)
    given = {} if shown is percent else {"like": largest}
    value = f"{shown(quantity.value, **given)} {unit}".rstrip()
    if not (math.isfinite(quantity.low) and math.isfinite(quantity.high)):
        return value
    low, high = shown(quantity.low, **given), shown(quantity.high, **given)
    return f"{value} ({low.removesuffix(' %')} to {high.removesuffix(' %')})"


def _decimals(magnitude: float) -> int:
    if 0 < magnitude < 0.01:
        return 4
    if magnitude < 10:
        return 3
    return 2 if magnitude < 100 else 1


def _minus(text: str) -> str:
    """Use the true minus sign, and none on a zero."""
    if text.startswith("-"):
        return text[1:] if not any(c in "123456789" for c in text) else f"−{text[1:]}"
    return text


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return MISSING
    return "∞" if value > 0 else "−∞"
