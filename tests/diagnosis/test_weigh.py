"""Findings become ranked causes: strongest a topic, voided claims, consequences, alternatives."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from gapdoctor.diagnosis.account import Ledger
from gapdoctor.diagnosis.confidence import Left, Weights, confidence, strongest, valid
from gapdoctor.diagnosis.weigh import Weighed, weigh
from gapdoctor.domain.causes import PAGES, Cause
from gapdoctor.domain.diagnosis import Gap, RankedCause, Verdict
from gapdoctor.domain.findings import Claim, Finding, Interval, Side

Make = Callable[..., Claim]
D, E = Side.FIT_DEFICIT, Side.EXCESS_GAP
MISMATCH, OVERFITTING = Cause.PREPROCESSING_MISMATCH, Cause.OVERFITTING
WEIGHTS = Weights()


@pytest.fixture
def weighed(
    finding: Callable[..., Finding], gap: Callable[..., Gap], ledger: Callable[..., Ledger]
) -> Callable[..., Weighed]:
    """Weigh claims on an excess and a deficit."""

    def run(*claims: Claim, excess: float = 0.4, deficit: float = 0.0, **more: Any) -> Weighed:
        return weigh([finding(*claims)], gap(excess, deficit, **more), ledger(excess, deficit), 0)

    return run


def causes(found: Weighed) -> dict[Cause, RankedCause]:
    assert [c.rank for c in found.causes] == list(range(1, len(found.causes) + 1))
    return {c.id: c for c in found.causes}


# -- confidence --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strengths", "left", "expected"),
    [
        ([2.0], None, 0.5),  # the prior is −2
        ([3.0, 1.0], None, 0.8807970779778823),
        ([6.0], None, WEIGHTS.ceiling),
        ([2.0], Interval(0.2, 0.1, 0.3), 0.7310585786300049),  # above h: +1
        ([2.0], Interval(0.2, 0.01, 0.3), 0.5),  # above 0
        ([2.0], Interval(0.2, -0.01, 0.3), 0.11920292202211755),  # above h, perhaps: −2
        ([2.0], Interval(0.04, -0.01, 0.3), 0.01798620996209156),  # nothing to explain: −4
        ([1e9], None, WEIGHTS.ceiling),
        ([-1e9], None, 1.928749847963918e-22),
    ],
)
def test_confidence_is_the_sum_of_log_odds(
    claim: Make, strengths: list[float], left: Interval | None, expected: float
) -> None:
    claims = [claim(OVERFITTING, s, f"topic {i}") for i, s in enumerate(strengths)]
    rest = None if left is None else Left(left, whole=Interval(0.2, 0.1, 0.3))
    assert confidence(claims, rest, 0.05, WEIGHTS) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("whole", "expected"),
    [
        (Interval(0.2, 0.1, 0.3), WEIGHTS.ceiling),
        (Interval(0.06, 0.04, 0.08), WEIGHTS.unclear),  # contains h
        (Interval(0.01, -0.01, 0.03), 0.7310585786300049),  # below h: −4
    ],
)
def test_a_side_is_not_named_where_the_excess_is_not_clear(
    claim: Make, whole: Interval, expected: float
) -> None:
    left = Left(Interval(0.2, 0.1, 0.3), whole)
    found = confidence([claim(OVERFITTING, 6.0, "a")], left, 0.05, WEIGHTS)
    assert found == pytest.approx(expected)


def test_the_strongest_of_a_topic_speaks_for_or_against(claim: Make) -> None:
    for_it, against = claim(OVERFITTING, 2.0, "a"), claim(OVERFITTING, -3.0, "a")
    other = claim(OVERFITTING, 1.0, "b")
    for order in permutations([for_it, against, other]):
        assert strongest(order) == [against, other]


def test_a_claim_is_void_where_another_cause_is_present(claim: Make) -> None:
    frail = claim(OVERFITTING, 3.0, valid_unless=frozenset({MISMATCH, OVERFITTING}))
    assert valid([frail], frozenset({MISMATCH})) == []
    assert valid([frail], frozenset({OVERFITTING})) == [frail]  # its own does not void it
    assert valid([frail], frozenset()) == [frail]


# -- weighing ----------------------------------------------------------------------------------


def test_without_claims_there_are_no_causes(weighed: Callable[..., Weighed]) -> None:
    found = weighed()
    assert found.causes == ()
    assert found.verdict is Verdict.GENERALIZATION_GAP
    assert [bar[:2] for bar in found.bars] == [("unexplained", "unexplained")]
    assert found.bars[0][2].value == pytest.approx(0.4)


def test_a_proven_intervention_is_ranked_by_what_it_returned(
    claim: Make, weighed: Callable[..., Weighed]
) -> None:
    found = weighed(claim(MISMATCH, 6, returned=0.3, summary="The scale is wrong.",
                          correction="rescale_input"))  # fmt: skip
    cause = causes(found)[MISMATCH]
    assert cause.explained.value == pytest.approx(0.3)
    assert cause.confidence == WEIGHTS.ceiling
    assert cause.severity == "high"
    assert (cause.summary, cause.correction) == ("The scale is wrong.", "rescale_input")
    assert found.account.unexplained.value == pytest.approx(0.1)
    assert [(label, kind, round(bar.value, 6)) for label, kind, bar in found.bars] == [
        ("preprocessing_mismatch", "cause", 0.3), ("unexplained", "unexplained", 0.1)
    ]  # fmt: skip


def test_without_words_of_its_own_a_cause_has_its_general_meaning(
    claim: Make, weighed: Callable[..., Weighed]
) -> None:
    assert causes(weighed(claim(OVERFITTING, 3, side=E)))[OVERFITTING].summary == (
        PAGES[OVERFITTING].meaning
    )


def test_the_words_of_the_strongest_claim_stand_in_the_ranking(
    claim: Make, weighed: Callable[..., Weighed]
) -> None:
    found = weighed(
        claim(OVERFITTING, 1, "a", side=E, summary="weak", correction="gamma"),
        claim(OVERFITTING, 3, "b", side=E, summary="strong"),
    )
    cause = causes(found)[OVERFITTING]
    assert (cause.summary, cause.correction) == ("strong", "gamma")
    assert len(cause.evidence) == 2


def test_what_is_left_of_a_side_goes_once_to_its_most_confident_cause(
    claim: Make, weighed: Callable[..., Weighed]
) -> None:
    found = weighed(
        claim(OVERFITTING, 3, side=E),
        claim(Cause.LACK_OF_REGULARIZATION, 2, side=E),
        claim(Cause.CAPACITY_SHORTFALL, 2, side=D),
        excess=0.5,
        deficit=0.2,
    )
    ranked = causes(found)
    assert ranked[OVERFITTING].explained.value == pytest.approx(0.3)
    assert ranked[OVERFITTING].alternative_to is None
    assert ranked[Cause.LACK_OF_REGULARIZATION].explained.value == pytest.approx(0.3)
    assert ranked[Cause.LACK_OF_REGULARIZATION].alternative_to is OVERFITTING
    assert ranked[Cause.CAPACITY_SHORTFALL].explained.value == pytest.approx(0.2)
    assert ranked[Cause.CAPACITY_SHORTFALL].alternative_to is None
    assert found.account.unexplained.value == pytest.approx(0)
    assert [label for label, _, _ in found.bars] == [
        "overfitting", "capacity_shortfall", "unexplained"
    ]  # fmt: skip


def test_a_side_that_nobody_is_sure_of_stays_unexplained(
    claim: Make, weighed: Callable[..., Weighed]
) -> None:
    found = weighed(claim(OVERFITTING, 0.5, side=E))
    assert causes(found)[OVERFITTING].confidence < 0.5
    assert found.account.unexplained.value == pytest.approx(0.4)
    assert [label for label, _, _ in found.bars] == ["unexplained"]


@pytest.mark.parametrize("deficit", [0.0, 0.25, -0.3])
def test_the_bars_lead_from_teacher_to_student(
    claim: Make, weighed: Callable[..., Weighed], deficit: float
) -> None:
    found = weighed(
        claim(MISMATCH, 6, returned=0.2, to_teacher=0.06),
        claim(Cause.LOSS_IMBALANCE, 0.5, returned=0.01),
        claim(OVERFITTING, 3, side=E),
        claim(Cause.OPTIMIZATION, 2, side=D),
        excess=0.7,
        deficit=deficit,
    )
    assert sum(bar.value for _, _, bar in found.bars) == pytest.approx(0.7)


def test_what_only_speaks_against_is_not_named(
    claim: Make, weighed: Callable[..., Weighed]
) -> None:
    found = weighed(claim(MISMATCH, -3, "a"), claim(OVERFITTING, 0.0, "b", side=E))
    assert found.causes == ()


def test_no_side_is_named_where_there_is_no_gap(
    claim: Make, weighed: Callable[..., Weighed]
) -> None:
    claims = claim(OVERFITTING, 5, side=E), claim(MISMATCH, 0.5, returned=0.01)
    found = weighed(*claims, excess=0.02)
    assert found.verdict is Verdict.HEALTHY
    assert list(causes(found)) == [MISMATCH]


def test_related_probes_do_not_count_twice(claim: Make, weighed: Callable[..., Weighed]) -> None:
    """Neither their strengths nor what they returned."""
    found = weighed(
        claim(MISMATCH, 3.0, "pipelines differ", returned=0.3),
        claim(MISMATCH, 2.5, "pipelines differ", returned=0.29),
    )
    cause = causes(found)[MISMATCH]
    assert cause.confidence == pytest.approx(0.7310585786300049)
    assert cause.explained.value == pytest.approx(0.3)
    assert found.account.unexplained.value == pytest.approx(0.1)


def test_a_voided_claim_explains_nothing(claim: Make, weighed: Callable[..., Weighed]) -> None:
    frail = claim(
        Cause.LOSS_IMBALANCE, 4, "scale", returned=0.25, valid_unless=frozenset({MISMATCH})
    )
    proven = claim(MISMATCH, 6, returned=0.3)
    assert list(causes(weighed(frail))) == [Cause.LOSS_IMBALANCE]
    found = weighed(frail, proven)
    assert list(causes(found)) == [MISMATCH]
    assert found.account.unexplained.value == pytest.approx(0.1)
    # a cause that nobody believes voids nothing
    doubtful = claim(MISMATCH, 1, returned=0.3)
    assert set(causes(weighed(frail, doubtful))) == {MISMATCH, Cause.LOSS_IMBALANCE}


def test_causes_are_ranked_by_confidence_times_nats(
    claim: Make, weighed: Callable[..., Weighed]
) -> None:
    found = weighed(
        claim(MISMATCH, 6, returned=0.1),  # 0.97 · 0.1
        claim(OVERFITTING, 2, side=E),  # 0.73 · 0.3
        excess=0.4,
    )
    assert list(causes(found)) == [OVERFITTING, MISMATCH]
    assert causes(found)[OVERFITTING].explained.value == pytest.approx(0.3)


def test_a_consequence_stands_right_behind_its_cause(
    claim: Make, weighed: Callable[..., Weighed]
) -> None:
    effect = claim(OVERFITTING, 4, side=E, consequence_of=Cause.LOSS_IMBALANCE)
    origin = claim(Cause.LOSS_IMBALANCE, 3, side=D)
    third = claim(Cause.CAPACITY_SHORTFALL, 2, side=D)
    found = weighed(effect, origin, third, excess=0.9, deficit=0.2)
    assert list(causes(found)) == [
        Cause.LOSS_IMBALANCE, OVERFITTING, Cause.CAPACITY_SHORTFALL
    ]  # fmt: skip
    # where the origin is not believed, the effect keeps its place
    weak = claim(Cause.LOSS_IMBALANCE, 0.5, side=D)
    assert next(iter(causes(weighed(effect, weak, excess=0.9, deficit=0.2)))) is OVERFITTING


def test_a_consequence_does_not_stand_before_a_second_cause_of_its_own(
    claim: Make, weighed: Callable[..., Weighed]
) -> None:
    effect = claim(OVERFITTING, 6, side=E, consequence_of=Cause.LOSS_IMBALANCE)
    reason = claim(Cause.LACK_OF_REGULARIZATION, 3, side=E, needs_cause=OVERFITTING)
    origin = claim(Cause.LOSS_IMBALANCE, 5, side=E)
    second = claim(MISMATCH, 6, returned=0.2)
    unsure = claim(Cause.CAPACITY_SHORTFALL, 0.1, side=D)
    found = weighed(effect, reason, origin, second, unsure, excess=0.9, deficit=0.0)
    assert list(causes(found)) == [
        Cause.LOSS_IMBALANCE, MISMATCH, OVERFITTING, Cause.LACK_OF_REGULARIZATION,
        Cause.CAPACITY_SHORTFALL,
    ]  # fmt: skip


def test_a_reason_is_as_sure_as_its_cause_times_how_likely_it_is_then(
    claim: Make, weighed: Callable[..., Weighed]
) -> None:
    for strength in (6.0, 0.0, -2.0):
        effect = claim(OVERFITTING, strength, side=E)
        reason = claim(Cause.LACK_OF_REGULARIZATION, 1.0, side=E, needs_cause=OVERFITTING)
        other = claim(OVERFITTING, 0.1, "other", side=E)
        found = causes(weighed(effect, other, reason, excess=0.9))
        sure = found[OVERFITTING].confidence
        assert found[Cause.LACK_OF_REGULARIZATION].confidence == pytest.approx(
            sure / (1 + np.exp(-WEIGHTS.reason - 1.0))
        )


def test_what_was_switched_off_is_not_doubted_for_a_side_that_shows_nothing(
    claim: Make, weighed: Callable[..., Weighed]
) -> None:
    proven = claim(Cause.OPTIMIZATION, 6.0, "batchnorm", returned=0.3)
    quiet = claim(Cause.OPTIMIZATION, -2.0, "fit deficit", side=D)
    for claims in ((proven,), (proven, quiet)):
        found = causes(weighed(*claims))[Cause.OPTIMIZATION]
        assert found.confidence == WEIGHTS.ceiling


def test_the_ranking_does_not_depend_on_the_order_of_findings(
    claim: Make, weighed: Callable[..., Weighed]
) -> None:
    claims = [
        claim(cause, 2.0, "same", side=E)
        for cause in (OVERFITTING, Cause.LACK_OF_REGULARIZATION, Cause.DISTRIBUTION_SHIFT)
    ]
    found = {tuple((c.id, c.alternative_to) for c in weighed(*order).causes)
             for order in permutations(claims)}  # fmt: skip
    assert found == {
        (
            (Cause.DISTRIBUTION_SHIFT, None),
            (Cause.LACK_OF_REGULARIZATION, Cause.DISTRIBUTION_SHIFT),
            (OVERFITTING, Cause.DISTRIBUTION_SHIFT),
        )
    }


def test_what_returns_to_the_teacher_too_is_a_shared_gap(
    claim: Make, weighed: Callable[..., Weighed]
) -> None:
    found = weighed(claim(MISMATCH, 6, returned=0.5, to_teacher=0.49), excess=0.01)
    assert found.verdict is Verdict.SHARED_GAP
    cause = causes(found)[MISMATCH]
    assert (cause.explained.value, cause.shared.value) == pytest.approx((0.5, 0.49))
    assert found.bars[0][2].value == pytest.approx(0.01)


def test_h_is_a_tenth_of_what_the_teacher_loses_without_the_fault(
    claim: Make, weighed: Callable[..., Weighed]
) -> None:
    shared = claim(MISMATCH, 6, returned=0.5, to_teacher=0.4)
    assert weighed(shared, limit=0.15).gap.limit == pytest.approx(0.11)
    assert weighed(shared, limit=0.06).gap.limit == 0.05
    harmed = claim(MISMATCH, 6, returned=0.5, to_teacher=-0.4)
    assert weighed(harmed, limit=0.15).gap.limit == 0.15


def test_a_proven_mismatch_makes_a_small_gap_worth_naming(
    claim: Make, weighed: Callable[..., Weighed]
) -> None:
    """Two faults that cancel: the student is better than its teacher, and could be better still."""
    found = weighed(claim(MISMATCH, 6, returned=0.3), excess=-0.1)
    assert found.verdict is Verdict.GENERALIZATION_GAP
    assert found.account.unexplained.value == pytest.approx(-0.4)


def test_a_cause_that_is_voided_itself_voids_nothing(
    claim: Make, weighed: Callable[..., Weighed]
) -> None:
    proven = claim(MISMATCH, 6, returned=0.2)
    shift = claim(Cause.DISTRIBUTION_SHIFT, 6, side=E, valid_unless=frozenset({MISMATCH}))
    effect = claim(OVERFITTING, 6, side=E, valid_unless=frozenset({Cause.DISTRIBUTION_SHIFT}))
    assert list(causes(weighed(proven, shift, effect, excess=0.9))) == [OVERFITTING, MISMATCH]
    assert list(causes(weighed(shift, effect, excess=0.9))) == [Cause.DISTRIBUTION_SHIFT]
