"""Scores of many outcomes: shares with Wilson intervals in which one student is one cluster."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gapdoctor.domain.findings import Interval
from gapdoctor.stats.intervals import mean_interval, wilson
from tests.clinic.outcomes import Outcome

BINS = 4


@dataclass(frozen=True)
class Share:
    """A share of cases."""

    hits: int
    cases: int
    clusters: int
    interval: Interval
    """Wilson's, with as many trials as clusters; its value is the mean over cases."""

    @property
    def value(self) -> float:
        """Hits by cases."""
        return self.hits / self.cases if self.cases else float("nan")


@dataclass(frozen=True)
class Bin:
    """Named or unnamed causes of like confidence."""

    low: float
    high: float
    confidence: float
    """Mean."""
    share: Share
    """How many of them were right."""

    @property
    def inside(self) -> bool:
        """Whether the mean confidence lies in the interval of the share."""
        return self.share.interval.low <= self.confidence <= self.share.interval.high


@dataclass(frozen=True)
class Scores:
    """All that is reported of a part."""

    cases: int
    faulty: int
    healthy: int
    healthy_students: int
    top1: Share
    top2: Share
    both_named: Share
    """Of double faults, both causes named."""
    found: Share
    """Of faulty pairs, a planted cause named."""
    precision: Share
    """Of named causes, over all pairs, those that are right."""
    false_alarms: Share
    corrections: Share
    brier: Interval
    """With the interval of the bootstrap over students; NaN where no cause was listed."""
    bins: tuple[Bin, ...]
    by_fault: dict[str, Share]
    """Top-1 of each fault."""
    by_cell: dict[str, Share]
    """The same of each data set and architecture."""
    confusion: dict[str, Counter[str]]
    """Fault -> what was ranked first."""


def share(hits: Sequence[bool], clusters: Sequence[str]) -> Share:
    """Return a share of cases; the interval counts clusters, since cases of one student agree.

    The score interval (Wilson 1927) is that of `clusters` trials with the share of the cases.
    """
    return share_of(sum(map(bool, hits)), len(hits), len(set(clusters)))


def share_of(hits: int, cases: int, clusters: int) -> Share:
    """Return the share of so many hits among so many cases of so many students."""
    if not cases:
        return Share(0, 0, 0, Interval(float("nan"), 0.0, 1.0))
    return Share(hits, cases, clusters, wilson(hits / cases * clusters, clusters))


def score(outcomes: Sequence[Outcome]) -> Scores:
    """Return the scores of a part."""
    faulty = [o for o in outcomes if not o.is_healthy]
    healthy = [o for o in outcomes if o.is_healthy]
    double = [o for o in faulty if o.second]
    nameable = [o for o in faulty if o.corrections]
    named = [(said.cause in o.right, o.cluster) for o in outcomes for said in o.named]
    return Scores(
        len(outcomes),
        len(faulty),
        len(healthy),
        len({o.cluster for o in healthy}),
        _share(faulty, lambda o: o.top1),
        _share(faulty, lambda o: o.top2),
        _share(double, _both_named),
        _share(faulty, lambda o: any(s.cause in (*o.truth, *o.second) for s in o.named)),
        share([right for right, _ in named], [cluster for _, cluster in named]),
        _share(healthy, lambda o: o.false_alarm),
        _share(nameable, lambda o: o.correction_named),
        brier(outcomes),
        reliability(outcomes),
        _top1_by(faulty, lambda o: o.fault),
        _top1_by(faulty, lambda o: o.cell),
        confusion(outcomes),
    )


def brier(outcomes: Sequence[Outcome]) -> Interval:
    """Return the mean of (confidence − right)² over all causes that were listed (Brier 1950)."""
    rows = [
        ((s.confidence - (s.cause in o.right)) ** 2, o.cluster) for o in outcomes for s in o.causes
    ]
    if not rows:
        return Interval(float("nan"), float("nan"), float("nan"))
    values, clusters = (np.array(column) for column in zip(*rows, strict=True))
    if len(set(clusters)) == 1:  # one student says nothing about the spread
        return Interval(float(values.mean()), float("nan"), float("nan"))
    found = mean_interval(values, np.random.default_rng(0), clusters)
    return Interval(found.value, max(found.low, 0.0), min(found.high, 1.0))


def reliability(outcomes: Sequence[Outcome], bins: int = BINS) -> tuple[Bin, ...]:
    """Return bins of as many listed causes each, by confidence."""
    rows = sorted(
        ((s.confidence, s.cause in o.right, o.cluster) for o in outcomes for s in o.causes),
        key=lambda row: row[0],
    )
    parts = [p for p in np.array_split(np.arange(len(rows)), bins) if len(p)]
    found = []
    for part in parts:
        inside = [rows[i] for i in part]
        confidence = [c for c, _, _ in inside]
        right = share([r for _, r, _ in inside], [cluster for _, _, cluster in inside])
        found.append(Bin(confidence[0], confidence[-1], float(np.mean(confidence)), right))
    return tuple(found)


def confusion(outcomes: Sequence[Outcome]) -> dict[str, Counter[str]]:
    """Return, a fault, how often which cause was ranked first; without a cause, the verdict."""
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for o in outcomes:
        sound = o.is_healthy and not o.false_alarm
        said = o.verdict if sound or not o.causes else o.causes[0].cause
        table[o.fault][said] += 1
    return dict(table)


def is_failure(outcome: Outcome) -> bool:
    """Tell whether anything was said that should not have been, or left unsaid."""
    if outcome.is_healthy:
        return outcome.false_alarm
    wrong = any(said.cause not in outcome.right for said in outcome.named)
    unnamed = bool(outcome.corrections) and not outcome.correction_named
    return wrong or unnamed or not (outcome.top1 and outcome.top2)


def _both_named(outcome: Outcome) -> bool:
    said = {s.cause for s in outcome.named}
    return bool(said & set(outcome.truth)) and bool(said & set(outcome.second))


def _share(outcomes: Sequence[Outcome], hit: Callable[[Outcome], bool]) -> Share:
    return share([hit(o) for o in outcomes], [o.cluster for o in outcomes])


def _top1_by(outcomes: Sequence[Outcome], of: Callable[[Outcome], str]) -> dict[str, Share]:
    return {
        name: _share([o for o in outcomes if of(o) == name], lambda o: o.top1)
        for name in dict.fromkeys(map(of, outcomes))
    }
