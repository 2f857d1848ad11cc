"""The two thresholds."""

from __future__ import annotations

import math

import pytest

from gapdoctor.cli.gate import crossed_gap, crossed_severity
from gapdoctor.cli.options import FailOn
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.diagnosis import RankedCause, Severity
from gapdoctor.domain.findings import Interval


def cause(id_: Cause, severity: Severity) -> RankedCause:
    nats = Interval(0.2, 0.1, 0.3)
    return RankedCause(1, id_, severity, nats, nats, None, 0.9, "", None, ())


CAUSES = (
    cause(Cause.OVERFITTING, "high"),
    cause(Cause.LOSS_IMBALANCE, "medium"),
    cause(Cause.OPTIMIZATION, "low"),
)


@pytest.mark.parametrize(
    ("level", "named"),
    [
        (FailOn.NEVER, []),
        (FailOn.HIGH, ["overfitting"]),
        (FailOn.MEDIUM, ["overfitting", "loss_imbalance"]),
        (FailOn.LOW, ["overfitting", "loss_imbalance", "optimization"]),
    ],
)
def test_a_level_takes_itself_and_what_is_above(level, named):
    told = crossed_severity(CAUSES, level)
    assert [line.split()[2] for line in told] == named


def test_the_line_names_level_cause_and_severity():
    told = crossed_severity(CAUSES[:1], FailOn.LOW)
    assert told == ["--fail-on low: overfitting is of severity high"]


@pytest.mark.parametrize("level", FailOn)
def test_no_cause_crosses_nothing(level):
    assert crossed_severity((), level) == []


@pytest.mark.parametrize(
    ("low", "most", "told"),
    [
        (0.2, None, []),
        (0.2, 0.2, []),
        (0.2, 0.1, ["--max-gap 0.1: the excess is at least 0.2 nats"]),
        (-0.1, 0.0, []),
        (-0.1, -0.2, ["--max-gap -0.2: the excess is at least -0.1 nats"]),
        (math.nan, 5.0, ["--max-gap 5: the excess is at least nan nats"]),
    ],
)
def test_the_lower_end_of_the_excess_counts(low, most, told):
    assert crossed_gap(Interval(0.9, low, 1.5), most) == told
