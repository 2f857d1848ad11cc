"""What the clinic measured of fixes: it tells how much of what a fix promises is to be expected."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.trials import ClinicCount

FILE = Path(__file__).with_name("_clinic.json")
"""Written by `python -m tests.clinic record`."""
PART = "tuning"
"""Of the clinic: what was learned from the other part could not be reported on it."""
BELIEVED = 3.0
"""Faults that what a fix says of itself counts as (starting value)."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a fix did to planted faults of a cause."""

    count: ClinicCount
    expected: float
    """Mean share of the cause's nats that it promised."""
    gained: float
    """Mean share that came back, where it did harm 0: what harms is not written."""

    @property
    def times(self) -> float:
        """How many times what the fix promises is to be expected.

        The mean of what was seen, in units of what was promised, and of 1, which counts as
        `BELIEVED` faults: few faults move little.
        """
        if self.expected <= 0:
            return 1.0
        faults = self.count.faults
        return (BELIEVED + faults * self.gained / self.expected) / (BELIEVED + faults)


def measured(fix: str, cause: Cause) -> Measured | None:
    """Return what the clinic measured of a fix on faults of a cause, or None."""
    return _read(FILE).get((fix, cause))


@cache
def _read(file: Path) -> dict[tuple[str, Cause], Measured]:
    told = json.loads(file.read_text(encoding="utf-8"))
    found = {}
    for one in told[PART]["counts"]:
        cause = Cause(one["cause"])
        count = ClinicCount(cause, one["faults"], one["helped"], one["harmed"])
        found[one["fix"], cause] = Measured(count, one["expected"], one["gained"])
    return found
