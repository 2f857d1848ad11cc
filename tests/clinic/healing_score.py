"""Scores of what `fix` did, and what they are to be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gapdoctor.domain.findings import Interval
from gapdoctor.stats.intervals import mean_interval
from tests.clinic.healing import TIMES, TIMES_AUGMENTED, Healed
from tests.clinic.score import Share, share

HEALED, POINTS, RECOVERED, RANDOM_CASES = 0.9, 0.25, 0.85, 24
RESAMPLES = 2000
NO_CASE = "no case"
UNKNOWN = Interval(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True)
class HealingScores:
    """All that is reported of a part."""

    cases: int
    fixable: int
    healed: Share
    """Of fixable faults, those with a verified fix."""
    written: Share
    """The same where the control counts too."""
    anew: int
    """Of the healed, those in which the control is the cure."""
    written_by_chance: float
    """Share of draws that write anything, the control included."""
    compared: int
    """Fixable cases in which random fixes were trained."""
    healed_there: Share
    """The same share of those."""
    by_chance: Interval
    """Share that random fixes heal, the draws of a case averaged."""
    ahead: Interval
    """Healed − by chance, case by case."""
    recovered: Interval
    """Median share of the damage that is given back, a fault that was not healed at 0."""
    recovered_where_healed: Interval
    no_better: Share
    """Of written students, those whose mean difference on the third set is not below 0."""
    worse: Share
    """Of written students, those that are worse there beyond chance."""
    within_cost: Share
    """Of fixes, those that cost no more than they may."""
    times: tuple[float, float]
    """The dearest, in trainings: where the teacher's outputs can be kept; where not."""
    median_times: tuple[float, float]
    by_fault: dict[str, Share]
    minutes: float
    """CPU minutes of all this."""


def score_healing(found: Sequence[Healed]) -> HealingScores:
    """Return the scores of a part."""
    fixable = [h for h in found if h.fixable]
    compared = [h for h in fixable if h.draws]
    written = [h for h in fixable if h.change is not None]
    costed = [h for h in fixable if np.isfinite(h.times)]
    chance = np.array([np.mean(h.draws_healed) for h in compared])
    anything = [float(np.mean([bool(name) for name in h.draws])) for h in compared]
    return HealingScores(
        len(found),
        len(fixable),
        _share(fixable, lambda h: h.healed),
        _share(fixable, lambda h: h.chosen is not None),
        sum(h.anew for h in fixable),
        float(np.mean(anything)) if anything else float("nan"),
        len(compared),
        _share(compared, lambda h: h.healed),
        _mean(chance, compared),
        _mean(np.array([float(h.healed) for h in compared]) - chance, compared),
        median_interval([h.recovered for h in fixable]),
        median_interval([h.recovered for h in written]),
        _share(written, lambda h: h.no_better),
        _share(written, lambda h: h.worse),
        _share(costed, within_cost),
        _both(costed, max),
        _both(costed, lambda times: float(np.median(times))),
        {
            name: _share([h for h in fixable if h.fault == name], lambda h: h.healed)
            for name in dict.fromkeys(h.fault for h in fixable)
        },
        sum(h.seconds for h in found) / 60,
    )


def within_cost(found: Healed) -> bool:
    """Tell whether a fix cost no more than it may."""
    return found.times <= (TIMES_AUGMENTED if found.augmented else TIMES)


def median_interval(values: Sequence[float]) -> Interval:
    """Return the median with its percentile bootstrap (Efron & Tibshirani 1993, ch. 13)."""
    if not values:
        return UNKNOWN
    rng, column = np.random.default_rng(0), np.asarray(values)
    draws = np.median(rng.choice(column, (RESAMPLES, len(column))), axis=1)
    low, high = np.quantile(draws, (0.025, 0.975))
    return Interval(float(np.median(column)), float(low), float(high))


# -- aims --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HealingAim:
    """One number, and what it is to be; by its estimate."""

    label: str
    aim: str
    told: Callable[[HealingScores], str]
    met: Callable[[HealingScores], bool]


def _told(found: Share) -> str:
    if not found.cases:
        return NO_CASE
    low, high = found.interval.low, found.interval.high
    return f"{found.hits}/{found.cases} = {found.value:.1%} [{low:.1%}, {high:.1%}]"


def _ahead(s: HealingScores) -> str:
    a, c = s.ahead, s.by_chance
    if not s.compared:
        return NO_CASE
    return (
        f"{100 * a.value:+.1f} points [{100 * a.low:+.1f}, {100 * a.high:+.1f}], "
        f"{s.healed_there.value:.1%} beside {c.value:.1%} in {s.compared} cases"
    )


def _median(s: HealingScores) -> str:
    r = s.recovered
    return f"{r.value:.1%} [{r.low:.1%}, {r.high:.1%}]" if s.fixable else NO_CASE


AIMS: tuple[HealingAim, ...] = (
    HealingAim("fixable faults with a verified fix", f"≥ {HEALED:.0%}",
               lambda s: _told(s.healed), lambda s: s.healed.value >= HEALED),
    HealingAim("ahead of as many fixes at random",
               f"≥ {100 * POINTS:.0f} points, in ≥ {RANDOM_CASES} cases", _ahead,
               lambda s: s.compared >= RANDOM_CASES and s.ahead.value >= POINTS),
    HealingAim("median share of the damage recovered", f"≥ {RECOVERED:.0%}", _median,
               lambda s: s.recovered.value >= RECOVERED),
    HealingAim("made worse", "none", lambda s: _told(s.worse), lambda s: not s.worse.hits),
    HealingAim("verified, yet no better on the third set", "none", lambda s: _told(s.no_better),
               lambda s: not s.no_better.hits),
    HealingAim("cost within its bound", f"each ≤ {TIMES:.0f} trainings, augmented "
               f"≤ {TIMES_AUGMENTED:.0f}", lambda s: _told(s.within_cost),
               lambda s: s.within_cost.hits == s.within_cost.cases),
)  # fmt: skip


def summary(scores: HealingScores) -> str:
    """Return the scores as plain text."""
    lines = [
        f"{scores.cases} faults, {scores.fixable} of them fixable; {scores.minutes:.0f} CPU min"
    ]
    lines += [
        f"{a.label:42} {a.told(scores)}  {a.aim}"
        + ("" if not scores.fixable or a.met(scores) else "  MISSED")
        for a in AIMS
    ]
    return "\n".join(lines) + "\n"


def _share(found: Sequence[Healed], hit: Callable[[Healed], bool]) -> Share:
    return share([hit(h) for h in found], [h.cluster for h in found])


def _mean(values: np.ndarray, found: Sequence[Healed]) -> Interval:
    """With the bootstrap over students; no interval for one of them."""
    clusters = np.array([h.cluster for h in found])
    if not len(values):
        return UNKNOWN
    if len(set(clusters.tolist())) == 1:
        return Interval(float(values.mean()), float("nan"), float("nan"))
    return mean_interval(values, np.random.default_rng(0), clusters)


def _both(found: Sequence[Healed], of: Callable[[list[float]], float]) -> tuple[float, float]:
    kept = [h.times for h in found if not h.augmented]
    anew = [h.times for h in found if h.augmented]
    return of(kept) if kept else float("nan"), of(anew) if anew else float("nan")
