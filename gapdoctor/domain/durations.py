"""Times as a person writes them."""

from __future__ import annotations

import math
import re

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[hms])+")


def seconds_in(text: str) -> float:
    """Return the seconds of `90s`, `10m` or `1h30m`; NaN where it is no such time, or none."""
    bare = text.replace(" ", "").lower()
    if not _DURATION.fullmatch(bare):
        return math.nan
    found = sum(float(n) * _SECONDS[unit] for n, unit in re.findall(r"([\d.]+)([hms])", bare))
    return found if found > 0 else math.nan
