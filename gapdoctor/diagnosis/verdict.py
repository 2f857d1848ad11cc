"""The one word, and how severe a cause is."""

from __future__ import annotations

from gapdoctor.diagnosis.account import Account
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.diagnosis import Gap, Severity, Verdict
from gapdoctor.domain.findings import Interval, Side


def verdict_of(gap: Gap, account: Account, proven: frozenset[Cause]) -> Verdict:
    """Return the first verdict that holds.

    Parameters
    ----------
    gap : Gap
        Of the rows that gap and metrics are taken over.
    account : Account
        Of half B.
    proven : frozenset of Cause
        Causes with an intervention that is believed.
    """
    h = gap.limit
    alone = [account.alone[c] for c in proven if c in account.alone]
    shared = [account.shared[c] for c in proven if c in account.shared]
    returns_alone = any(i.low > h for i in alone)
    to_teacher = sum(i.value for i in shared)
    if any(i.low > h for i in shared) and (gap.excess.low <= h or to_teacher > gap.excess.value):
        return Verdict.SHARED_GAP
    if gap.excess.high < h and not returns_alone:
        return Verdict.HEALTHY
    if gap.excess.low <= h <= gap.excess.high and not returns_alone:
        return Verdict.INCONCLUSIVE
    most = max((i.value for i in alone), default=0.0)
    deficit = account.left[Side.FIT_DEFICIT].value
    if deficit >= gap.excess.value / 2 and deficit > most:
        return Verdict.FIT_SHORTFALL
    return Verdict.GENERALIZATION_GAP


def severity_of(explained: Interval, confidence: float, gap: Gap) -> Severity:
    """Return how severe a cause is: by its nats against h and the excess, and its confidence."""
    if explained.low >= max(gap.limit, gap.excess.value / 2) and confidence >= 0.8:
        return "high"
    if explained.value >= gap.limit and confidence >= 0.5:
        return "medium"
    return "low"
