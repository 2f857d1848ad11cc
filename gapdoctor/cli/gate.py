"""Thresholds that the user set: what crosses them makes the exit code 1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gapdoctor.cli.options import FailOn

if TYPE_CHECKING:
    from gapdoctor.domain.diagnosis import RankedCause
    from gapdoctor.domain.findings import Interval

_SEVERITIES = ("low", "medium", "high")


def crossed_severity(causes: Iterable[RankedCause], level: FailOn) -> list[str]:
    """Return what crosses `--fail-on`, one line a cause of that severity or above."""
    if level is FailOn.NEVER:
        return []
    counted = _SEVERITIES[_SEVERITIES.index(level) :]
    return [
        f"--fail-on {level}: {cause.id} is of severity {cause.severity}"
        for cause in causes
        if cause.severity in counted
    ]


def crossed_gap(excess: Interval, most: float | None) -> list[str]:
    """Return what crosses `--max-gap`; an excess that is no number crosses it too."""
    if most is None or excess.low <= most:
        return []
    return [f"--max-gap {most:g}: the excess is at least {excess.low:.3g} nats"]
