"""What the clinic is to reach, beside what it reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.clinic.score import Scores, Share

HEALTHY_PAIRS = 100
HEALTHY_STUDENTS = 25


@dataclass(frozen=True)
class Measure:
    """One number of a part, and what it is to be."""

    label: str
    of: Callable[[Scores], Share]
    aim: str = ""
    reached: Callable[[Scores], bool] | None = None
    """By the estimate, not by its interval; None: no aim."""

    def met(self, scores: Scores) -> bool | None:
        """Tell whether the aim was reached; None where there is no aim or no case."""
        if self.reached is None or not self.of(scores).cases:
            return None
        return self.reached(scores)


def _at_least(share: Callable[[Scores], Share], least: float) -> Callable[[Scores], bool]:
    return lambda scores: share(scores).value >= least


def _no_alarm(scores: Scores) -> bool:
    enough = scores.healthy >= HEALTHY_PAIRS and scores.healthy_students >= HEALTHY_STUDENTS
    return enough and not scores.false_alarms.hits


MEASURES: tuple[Measure, ...] = (
    Measure("top-1", lambda s: s.top1, "≥ 90 %", _at_least(lambda s: s.top1, 0.9)),
    Measure("top-2 (of two faults: both)", lambda s: s.top2, "≥ 98 %",
            _at_least(lambda s: s.top2, 0.98)),
    Measure("a planted cause named (confidence ≥ 0.5)", lambda s: s.found),
    Measure("of two faults both named", lambda s: s.both_named),
    Measure("precision of named causes", lambda s: s.precision, "≥ 90 %",
            _at_least(lambda s: s.precision, 0.9)),
    Measure("false alarms on healthy pairs", lambda s: s.false_alarms,
            f"none in ≥ {HEALTHY_PAIRS} pairs of ≥ {HEALTHY_STUDENTS} students", _no_alarm),
    Measure("right correction named", lambda s: s.corrections, "≥ 95 %",
            _at_least(lambda s: s.corrections, 0.95)),
)  # fmt: skip


def bins_met(scores: Scores) -> bool:
    """Tell whether confidence can be taken for a probability: each bin within its interval."""
    return bool(scores.bins) and all(one.inside for one in scores.bins)


def missed(scores: Scores) -> list[str]:
    """Return the aims that were not reached."""
    found = [m.label for m in MEASURES if m.met(scores) is False]
    return found if bins_met(scores) else [*found, "reliability of confidence"]
