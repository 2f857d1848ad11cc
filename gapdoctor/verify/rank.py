"""The order of fixes, by half A alone; nothing of half B is looked at here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gapdoctor.domain.trials import Start
from gapdoctor.verify.comparison import Comparison

FINALISTS = 6
"""Fixes that are judged on half B at most: each one more widens the interval of all (with six
unrelated ones it is 2.6 standard errors to a side instead of 2)."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A fix on half A."""

    name: str
    start: Start
    seeds: int
    """Shared with its control."""
    loss: float
    """Nats: its control's loss over all its seeds, and the difference over those that both have.
    So an arm that lost a seed is not ranked by which one it lost."""
    difference: float
    """Fix − control, nats; negative is better."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Fixes by what half A says of them."""

    order: tuple[Ranked, ...]
    """Lowest loss first."""
    finalists: tuple[str, ...]
    """Those to be judged on half B, in that order: better than their control, and at most six."""
    to_combine: tuple[str, ...]
    """Single fixes that are better than their control and of one start, in that order; the first
    two are to be tried together."""


def rank(comparisons: Sequence[Comparison], *, finalists: int = FINALISTS) -> Ranking:
    """Rank fixes by their loss on half A.

    Parameters
    ----------
    comparisons : sequence of Comparison
        Fixes that were trained, each beside the control of its start. One that shares no seed
        with it is left out.
    finalists : int
        How many are judged on half B at most.
    """
    order = sorted(
        (_ranked(c) for c in comparisons if c.seeds), key=lambda one: (one.loss, one.name)
    )
    better = [one for one in order if one.difference < 0]
    single = [one for one in better if "+" not in one.name]
    return Ranking(
        order=tuple(order),
        finalists=tuple(one.name for one in better[:finalists]),
        to_combine=tuple(one.name for one in single if one.start == single[0].start),
    )


def _ranked(comparison: Comparison) -> Ranked:
    difference = float(comparison.on_a().rows.mean())
    return Ranked(
        name=comparison.plan.id,
        start=comparison.fix.start,
        seeds=len(comparison.seeds),
        loss=comparison.control.loss_on_a + difference,
        difference=difference,
    )
