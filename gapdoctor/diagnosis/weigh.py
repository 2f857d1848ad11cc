"""Findings and the gap in, ranked causes out. Knows no probe by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gapdoctor.diagnosis.account import Account, Ledger, draw_up
from gapdoctor.diagnosis.confidence import Left, Weights, confidence, given, strongest, valid
from gapdoctor.diagnosis.verdict import severity_of, verdict_of
from gapdoctor.domain.causes import PAGES, Cause
from gapdoctor.domain.diagnosis import Gap, RankedCause, Verdict
from gapdoctor.domain.findings import Claim, Finding, Interval, Side
from gapdoctor.stats.split import LIMIT_SHARE, MIN_LIMIT

NAMED = 0.5
"""Confidence from which a cause is present for the claims that its presence voids."""
ZERO = Interval(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Weighed:
    """What the findings come to."""

    verdict: Verdict
    causes: tuple[RankedCause, ...]
    account: Account
    gap: Gap
    """With the limit h lowered by what interventions return to the teacher."""
    bars: tuple[tuple[str, str, Interval], ...]
    """(label, kind, nats) of the waterfall between teacher and student."""


@dataclass(frozen=True)
class _Candidate:
    cause: Cause
    claims: tuple[Claim, ...]
    confidence: float
    explained: Interval
    shared: Interval
    side: Side | None
    """The side that it takes its nats from; None where its intervention speaks for itself."""


def weigh(
    findings: Sequence[Finding],
    gap: Gap,
    ledger: Ledger,
    seed: int,
    weights: Weights | None = None,
) -> Weighed:
    """Return verdict, ranked causes and account.

    Parameters
    ----------
    findings : sequence of Finding
        What the probes said.
    gap : Gap
        The exact split.
    ledger : Ledger
        Per-row losses of half B.
    seed : int
        Of the bootstrap; both accounts are drawn up with it, so that their intervals agree.
    weights : Weights, optional
        Named numbers of the weighing.
    """
    weights = weights or Weights()
    claims = [claim for finding in findings for claim in finding.claims]
    account = draw_up(ledger, _believed(claims), frozenset(), np.random.default_rng(seed))
    heard = _heard(claims, account, _limited(gap, account), weights)
    account = draw_up(ledger, _believed(heard), frozenset(), np.random.default_rng(seed))
    gap = _limited(gap, account)
    candidates = _candidates(heard, account, gap, weights)
    proven = frozenset(c.cause for c in candidates if c.side is None and c.confidence >= NAMED)
    verdict = verdict_of(gap, account, proven)
    candidates = _that_fit(candidates, verdict, account, gap.limit)
    taken = frozenset(c.side for c in candidates if c.side is not None and c.confidence >= NAMED)
    account = draw_up(ledger, _believed(heard), taken, np.random.default_rng(seed))
    ranked = _ranked(candidates, account, gap)
    return Weighed(verdict, ranked, account, gap, _bars(ranked, account))


def _believed(claims: Sequence[Claim]) -> list[Claim]:
    return [c for c in claims if c.returned is not None and c.strength > 0]


def _limited(gap: Gap, account: Account) -> Gap:
    """h is a share of what the teacher loses without the faults that were undone."""
    back = max(0.0, sum(i.value for i in account.shared.values()))
    return replace(gap, limit=max(MIN_LIMIT, gap.limit - LIMIT_SHARE * back))


def _heard(claims: Sequence[Claim], account: Account, gap: Gap, weights: Weights) -> list[Claim]:
    """Return the strongest claim a topic of those that no present cause voids.

    What an intervention has proven voids first: a cause that is voided itself voids nothing.
    """
    for proven in (True, False):
        spoken = _candidates(claims, account, gap, weights)
        present = frozenset(
            c.cause for c in spoken if c.confidence >= NAMED and (c.side is None or not proven)
        )
        claims = valid(claims, present)
    return [c for cause in Cause for c in strongest([c for c in claims if c.cause is cause])]


def _candidates(
    claims: Sequence[Claim], account: Account, gap: Gap, weights: Weights
) -> list[_Candidate]:
    """One a cause that anything speaks about."""
    by_cause = [(cause, [c for c in claims if c.cause is cause]) for cause in Cause]
    found = [_candidate(cause, mine, account, gap, weights) for cause, mine in by_cause if mine]
    sure = {c.cause: c.confidence for c in found}
    return _competing([_as_a_reason(c, sure, weights) for c in found])


def _competing(candidates: list[_Candidate]) -> list[_Candidate]:
    """Share the confidence among causes that would explain the same fit deficit.

    A student that does not fit its train rows is too small, or unfinished, or was taught something
    else: one of them accounts for the nats. Odds o of k rivals become o / (1 + Σ o).
    """
    rivals = [c for c in candidates if c.side is Side.FIT_DEFICIT]
    odds = {c.cause: c.confidence / (1 - c.confidence) for c in rivals}
    total = 1 + sum(odds.values())
    return [replace(c, confidence=odds[c.cause] / total) if c in rivals else c for c in candidates]


def _as_a_reason(candidate: _Candidate, sure: dict[Cause, float], weights: Weights) -> _Candidate:
    """A reason for another cause is as sure as that one, times how likely it is then."""
    of = {c.needs_cause for c in candidate.claims if c.needs_cause is not None}
    if not of:
        return candidate
    least = min(sure.get(cause, 0.0) for cause in of)
    return replace(candidate, confidence=least * given(candidate.claims, weights))


def _candidate(
    cause: Cause, claims: Sequence[Claim], account: Account, gap: Gap, weights: Weights
) -> _Candidate:
    speaking = strongest(claims)
    if cause in account.explained:
        # What was switched off speaks for itself: that a side shows nothing is no word against it.
        speaking = [c for c in speaking if c.returned is not None or c.strength > 0]
        sure = confidence(speaking, None, gap.limit, weights)
        explained, shared = account.explained[cause], account.shared[cause]
        return _Candidate(cause, tuple(speaking), sure, explained, shared, None)
    side = next((c.side for c in sorted(speaking, key=lambda c: -c.strength) if c.side), None)
    left = ZERO if side is None else account.left[side]
    # Where nothing was switched off, the split of all rows is the sharper measure of the rest.
    whole = account.unexplained if account.alone else gap.excess
    sharper = left if account.alone or side is None else _side_of(gap, side)
    sure = confidence(speaking, Left(sharper, whole), gap.limit, weights)
    return _Candidate(cause, tuple(speaking), sure, left, ZERO, side)


def _side_of(gap: Gap, side: Side) -> Interval:
    return gap.fit_deficit if side is Side.FIT_DEFICIT else gap.excess_gap


def _that_fit(
    candidates: list[_Candidate], verdict: Verdict, account: Account, limit: float
) -> list[_Candidate]:
    """Keep what there is something to say for; without a gap, only what was switched off.

    A gap that both models share may hide one of the student's own: a side that is clearly above h
    is kept then.
    """
    kept = [c for c in candidates if any(claim.strength > 0 for claim in c.claims)]
    if verdict is Verdict.SHARED_GAP:
        return [c for c in kept if c.side is None or account.left[c.side].low > limit]
    return [c for c in kept if c.side is None] if verdict is Verdict.HEALTHY else kept


def _ranked(candidates: list[_Candidate], account: Account, gap: Gap) -> tuple[RankedCause, ...]:
    order = sorted(
        candidates,
        key=lambda c: (-c.confidence * max(c.explained.value, 0.0), -c.confidence, c.cause),
    )
    order = _consequences_last(order)
    owner: dict[Side, Cause] = {}
    for c in sorted(order, key=lambda c: (-c.confidence, c.cause)):
        if c.side is not None:
            owner.setdefault(c.side, c.cause)
    return tuple(
        RankedCause(
            rank,
            c.cause,
            severity_of(c.explained, c.confidence, gap),
            c.explained,
            c.shared,
            owner[c.side] if c.side is not None and owner[c.side] is not c.cause else None,
            c.confidence,
            next((k.summary for k in _by_strength(c) if k.summary), PAGES[c.cause].meaning),
            next((k.correction for k in _by_strength(c) if k.correction), None),
            tuple(e for claim in c.claims for e in claim.evidence),
        )
        for rank, c in enumerate(order, start=1)
    )


def _by_strength(candidate: _Candidate) -> list[Claim]:
    return sorted(candidate.claims, key=lambda claim: -claim.strength)


def _consequences_last(order: list[_Candidate]) -> list[_Candidate]:
    """Put what follows from a present cause, or is a reason for one, behind all that stand alone.

    A second cause of its own is worth more to the reader than what the first one entails.
    """
    there = {c.cause for c in order if c.confidence >= NAMED}
    entailed = [c for c in order if _origins(c) & there]
    alone = [c for c in order if c not in entailed]
    last = max((i for i, c in enumerate(alone, start=1) if c.cause in there), default=0)
    return [*alone[:last], *_chained(entailed), *alone[last:]]


def _chained(order: list[_Candidate]) -> list[_Candidate]:
    """Put each right behind the last of its origins that is among them."""
    result = list(order)
    for _ in order:  # a chain settles after as many rounds as it has links
        for c in order:
            places = [i for i, o in enumerate(result) if o.cause in _origins(c)]
            at, before = result.index(c), max(places, default=-1)
            if at < before:
                result.insert(before, result.pop(at))
    return result


def _origins(candidate: _Candidate) -> set[Cause]:
    named = {k for c in candidate.claims for k in (c.consequence_of, c.needs_cause)}
    return {cause for cause in named if cause is not None}


def _bars(ranked: Sequence[RankedCause], account: Account) -> tuple[tuple[str, str, Interval], ...]:
    """explained − shared of each cause that owns its nats and is believed, then what remains."""
    bars = []
    for cause in ranked:
        if cause.alternative_to is not None:
            continue
        alone = account.alone.get(cause.id)
        if alone is not None:
            bars.append((str(cause.id), "cause", alone))
        elif cause.confidence >= NAMED:
            bars.append((str(cause.id), "cause", cause.explained))
    return (*bars, ("unexplained", "unexplained", account.unexplained))
