"""What it would take to tell more, where nothing is chosen."""

from __future__ import annotations

import math

from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.domain.trials import Outcome
from gapdoctor.report.blocks import Block, Listing
from gapdoctor.report.parts.fixes import best_of, difference_of, named
from gapdoctor.report.quantities import count, signed

_VERIFYING_SEEDS = 3
"""Seeds that agree in sign, without which no training is verified."""
_FEW_SEEDS = 6
"""Seeds from which they are resampled: with fewer, no p-value is told."""


def needed(diagnosis: Diagnosis, outcome: Outcome) -> tuple[Block, ...]:
    """Return what it would take to tell more; nothing where something is chosen."""
    if outcome.chosen is not None:
        return ()
    steps = [
        *_more_rows(diagnosis, outcome),
        *_more_seeds(outcome),
        *_more_time(outcome),
    ]
    return (Listing(tuple(steps)),) if steps else ()


def _more_rows(diagnosis: Diagnosis, outcome: Outcome) -> list[str]:
    """The smallest effect that shows falls with the root of the rows."""
    best, least = best_of(outcome), outcome.minimum_detectable_effect
    rows = diagnosis.halves.reporting.rows
    if best is None or not difference_of(best) < 0 or not math.isfinite(least):
        return []
    factor = (least / abs(difference_of(best))) ** 2
    if factor <= 1:
        return []
    size, enough = signed(difference_of(best)), count(math.ceil(rows * factor))
    return [
        f"More held-out rows: an effect as large as that of {named(best.id)} ({size} nats) would "
        f"show with about {enough} reporting rows; there are {count(rows)}."
    ]


def _more_seeds(outcome: Outcome) -> list[str]:
    fickle = [f for f in outcome.fixes if f.same_sign is False]
    most = max((f.seeds for f in outcome.fixes), default=0)
    new = [f for f in outcome.fixes if f.status == "promising" and f.seeds < _VERIFYING_SEEDS]
    if new:
        names = ", ".join(named(f.id) for f in new)
        return [f"More seeds (`--seeds {_VERIFYING_SEEDS}`): fewer verify no training, and {names} "
                "looks better."]  # fmt: skip
    if fickle:
        names = ", ".join(named(f.id) for f in fickle)
        return [f"More seeds (`--seeds {max(_FEW_SEEDS, 2 * most)}`): the sign of {names} differs "
                "from seed to seed."]  # fmt: skip
    if 0 < most < _FEW_SEEDS and any(f.status == "promising" for f in outcome.fixes):
        return [f"More seeds (`--seeds {_FEW_SEEDS}`), so that they can be resampled too."]
    return []


def _more_time(outcome: Outcome) -> list[str]:
    late = [named(f.id) for f in outcome.fixes if f.status == "not_reached"]
    left = sum(t.status == "not_reached" for t in outcome.trials)
    if not late and not left:
        return []
    told = f" {', '.join(late)}" if late else f" {left} trials"
    return [f"More time: the budget did not reach{told}. The same command goes on with the trials "
            "that are finished; another `--budget` makes a new plan."]  # fmt: skip
