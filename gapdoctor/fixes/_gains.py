"""What a fix promises for a pair: its causes, and nats."""

from __future__ import annotations

from collections.abc import Iterable

from gapdoctor.domain.causes import Cause
from gapdoctor.fixes._base import Fix, Patient
from gapdoctor.fixes._clinic import measured

WORTH = 0.2
"""Confidence from which a cause is treated (starting value: about what every other cause that is
not the one has at most)."""


def treated(fix: Fix, patient: Patient) -> tuple[Cause, ...]:
    """Of the causes found, those that a fix treats, most likely first."""
    found = [c for c in patient.diagnosis.causes if c.id in fix.treats and c.confidence >= WORTH]
    return tuple(c.id for c in found if c.explained.value > 0)


def gain_of(patient: Patient, fix: str, causes: Iterable[Cause], share: float) -> float | None:
    """Return the most nats that a fix promises by one of these causes; they are not summed.

    That is how sure and how large the cause is in this pair, times the share of it that the fix
    promises here, times what the clinic says of such promises (`fixes._clinic`).
    """

    def expected(cause: Cause) -> float:
        found, seen = patient.causes[cause], measured(fix, cause)
        believed = share if seen is None else min(1.0, share * seen.times)
        return found.confidence * found.explained.value * believed

    return max((expected(cause) for cause in causes), default=None)
