"""How sure: log-odds of the strongest claim a topic, summed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Interval


@dataclass(frozen=True)
class Weights:
    """Named numbers of the weighing."""

    prior: float = -2.0
    """Log-odds of a cause before anything was asked (seven causes, one or two at a time)."""
    reason: float = 1.5
    """Log-odds, given that a cause is there, of what the claims call a reason for it."""
    left_clear: float = 1.0
    """Log-odds where what is left of the cause's side is above h with its whole interval."""
    left_some: float = 0.0
    """Log-odds where it is above 0 with its whole interval and may exceed h."""
    left_unsure: float = -2.0
    """Log-odds where its value is above h, but its interval reaches down to 0."""
    left_none: float = -4.0
    """Log-odds where its value is below h and its interval reaches down to 0, or all of it stays
    below h: there is nothing to explain."""
    unclear: float = 0.35
    """No confidence is above this where the interval of what is left of the excess contains h:
    that there is anything to explain is not shown."""
    ceiling: float = 0.97
    """No confidence is printed above this: what was not asked may still be the cause."""


def strongest(claims: Sequence[Claim]) -> list[Claim]:
    """Return the strongest claim of each topic (largest |strength|), by topic.

    Probes that look at the same thing must not count twice.
    """
    best: dict[str, Claim] = {}
    for claim in sorted(claims, key=lambda c: (c.topic, -abs(c.strength), c.summary)):
        best.setdefault(claim.topic, claim)
    return [best[topic] for topic in sorted(best)]


def valid(claims: Sequence[Claim], present: frozenset[Cause]) -> list[Claim]:
    """Return the claims that the presence of other causes does not void."""
    return [c for c in claims if not c.valid_unless & (present - {c.cause})]


@dataclass(frozen=True)
class Left:
    """What the interventions leave to explain, for a cause that has none of its own."""

    side: Interval
    """Of the cause's side: D or E."""
    whole: Interval
    """Of the whole excess."""


def confidence(claims: Sequence[Claim], left: Left | None, limit: float, weights: Weights) -> float:
    """Return P(removing this would lower the student's held-out loss), by summed log-odds.

    Parameters
    ----------
    claims : sequence of Claim
        All about one cause, one a topic.
    left : Left or None
        What interventions leave; None for a cause with an intervention of its own, which speaks
        for itself.
    limit : float
        h in nats.
    weights : Weights
        Named numbers.
    """
    odds = weights.prior + sum(c.strength for c in claims)
    ceiling = weights.ceiling
    if left is not None:
        odds += _of_side(left.side, limit, weights)
        if left.whole.high < limit:  # a fit deficit may be made up for by a teacher that memorises
            odds += weights.left_none
        elif left.whole.low <= limit:
            ceiling = weights.unclear
    return min(_probability(odds), ceiling)


def given(claims: Sequence[Claim], weights: Weights) -> float:
    """Return P(cause | what it is a reason for is there), by summed log-odds.

    What is left to explain speaks of the other cause; here it is only asked why.
    """
    return _probability(weights.reason + sum(c.strength for c in claims))


def _probability(odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, odds))))


def _of_side(side: Interval, limit: float, weights: Weights) -> float:
    if side.low > limit:
        return weights.left_clear
    if side.low > 0 and side.high >= limit:
        return weights.left_some
    return weights.left_unsure if side.value > limit else weights.left_none
