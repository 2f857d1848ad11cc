"""Each verdict by one case, in the order in which they are tried; severity by its limits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gapdoctor.diagnosis.account import Account
from gapdoctor.diagnosis.verdict import severity_of, verdict_of
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.diagnosis import Gap, Verdict
from gapdoctor.domain.findings import Interval, Side

CAUSE = Cause.PREPROCESSING_MISMATCH
PROVEN = frozenset({CAUSE})


def sharp(value: float, wide: float = 0.01) -> Interval:
    return Interval(value, value - wide, value + wide)


def account(
    excess: float, deficit: float = 0.0, alone: float | None = None, shared: float = 0.0
) -> Account:
    def of(value: float | None) -> dict[Cause, Interval]:
        return {} if value is None or alone is None else {CAUSE: sharp(value)}

    left = {Side.FIT_DEFICIT: sharp(deficit), Side.EXCESS_GAP: sharp(excess - deficit)}
    explained = None if alone is None else alone + shared
    return Account(of(explained), of(shared), of(alone), left, sharp(excess), sharp(excess))


@pytest.mark.parametrize(
    ("excess", "deficit", "alone", "shared", "verdict"),
    [
        # shared: more than h returns to the teacher, and there is no gap beside
        (0.02, 0.0, 0.0, 0.3, Verdict.SHARED_GAP),
        # shared: the teacher gets back more than the excess
        (0.2, 0.0, 0.01, 0.3, Verdict.SHARED_GAP),
        # not shared: more than h returns to the teacher, but the excess is more than that
        (0.6, 0.0, 0.01, 0.3, Verdict.GENERALIZATION_GAP),
        # healthy: the excess is below h; neither what returns below h nor what is shared counts
        (0.02, 0.0, None, 0.0, Verdict.HEALTHY),
        (0.02, 0.0, 0.03, 0.03, Verdict.HEALTHY),
        (-0.5, 0.0, None, 0.0, Verdict.HEALTHY),
        # not healthy: an intervention returns more than h to the student alone
        (0.02, 0.0, 0.3, 0.0, Verdict.GENERALIZATION_GAP),
        # inconclusive: the interval holds h
        (0.05, 0.0, None, 0.0, Verdict.INCONCLUSIVE),
        (0.05, 0.05, 0.03, 0.0, Verdict.INCONCLUSIVE),
        (0.05, 0.0, 0.3, 0.0, Verdict.GENERALIZATION_GAP),
        # fit shortfall: half of the excess is there in training, and no intervention is larger
        (0.4, 0.2, None, 0.0, Verdict.FIT_SHORTFALL),
        (0.4, 0.3, 0.1, 0.0, Verdict.FIT_SHORTFALL),
        (0.4, 0.19, None, 0.0, Verdict.GENERALIZATION_GAP),
        (0.4, 0.3, 0.35, 0.0, Verdict.GENERALIZATION_GAP),
        (0.4, 0.0, None, 0.0, Verdict.GENERALIZATION_GAP),
    ],
)
def test_the_first_verdict_that_holds_is_given(
    gap: Callable[..., Gap],
    excess: float,
    deficit: float,
    alone: float | None,
    shared: float,
    verdict: Verdict,
) -> None:
    found = verdict_of(gap(excess, deficit), account(excess, deficit, alone, shared), PROVEN)
    assert found is verdict


def test_an_intervention_that_is_not_proven_counts_for_nothing(gap: Callable[..., Gap]) -> None:
    returned = account(0.02, alone=0.3, shared=0.3)
    assert verdict_of(gap(0.02), returned, frozenset()) is Verdict.HEALTHY


def test_nothing_is_concluded_from_a_single_row(gap: Callable[..., Gap]) -> None:
    wide = gap(0.02, wide=float("inf"))
    assert verdict_of(wide, account(0.02), frozenset()) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("explained", "wide", "confidence", "severity"),
    [
        (0.3, 0.05, 0.8, "high"),
        (0.3, 0.05, 0.79, "medium"),
        (0.3, 0.15, 0.97, "medium"),  # its lower end is below half of the excess
        (0.05, 0.0, 0.97, "medium"),  # h, but not half of the excess
        (0.05, 0.0, 0.5, "medium"),
        (0.05, 0.0, 0.49, "low"),
        (0.049, 0.0, 0.97, "low"),
        (-1.0, 0.0, 0.97, "low"),
    ],
)
def test_severity_is_nats_against_h_and_the_excess_and_confidence(
    gap: Callable[..., Gap], explained: float, wide: float, confidence: float, severity: str
) -> None:
    assert severity_of(sharp(explained, wide), confidence, gap(0.4)) == severity


def test_severity_is_high_from_h_on_where_the_excess_is_small(gap: Callable[..., Gap]) -> None:
    assert severity_of(sharp(0.05, 0.0), 0.8, gap(0.06)) == "high"
