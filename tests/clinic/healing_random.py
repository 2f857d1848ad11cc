"""The baseline that `fix` is to beat: as many fixes as it tried, drawn at random.

Each fix that can be tried here is trained once, from the same start and for as many epochs as the
plan's, and as `fix` goes: all on one seed, those that are better than their control on half A on
all (`every_fix`). Draws sample those results. What is drawn is verified and chosen as `fix` does:
ranked on half A, the best judged on half B beside a control, the file held against what the user
has.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gapdoctor.domain.trials import CONTROL, Plan
from gapdoctor.fixes._base import all_fixes
from gapdoctor.observe.borrow import own_random_state
from gapdoctor.treatment._own_loop import retrained
from gapdoctor.verify import Candidate, candidates, choose, judge, rank
from tests.clinic.attempts import Attempt
from tests.clinic.every_fix import EveryFix, every_fix

if TYPE_CHECKING:
    from gapdoctor.domain.diagnosis import Diagnosis
    from gapdoctor.observe.case import Case
    from gapdoctor.observe.observations import Settings

DRAWS = 10
FINALISTS = 3
"""That get all seeds in a plan, at most (`gapdoctor.fixes._costs`)."""


@dataclass(frozen=True)
class Random:
    """What came of every applicable fix, and of draws of them."""

    applicable: tuple[str, ...] = ()
    draws: tuple[str, ...] = ()
    """What each would write; "" for nothing."""
    attempts: tuple[Attempt, ...] = ()


def random_draws(case: Case, diagnosis: Diagnosis, plan: Plan, settings: Settings) -> Random:
    """Train every applicable fix, and draw as many as the plan tried."""
    tried = sum(f.status == "planned" and "+" not in f.id for f in plan.fixes)
    names = [fix.name for fix in all_fixes()]
    with tempfile.TemporaryDirectory(prefix="clinic-") as folder, own_random_state(plan.seed):
        # Trained as given: what stands on free corrections would tell draws without them nothing.
        every = every_fix(case, diagnosis, plan, settings, Path(folder), only=names)
        applicable = tuple(f.id for f in every.planned)
        draws = tuple(written(every, drawn) for drawn in draws_of(applicable, tried))
        return Random(applicable, draws, every.attempts())


def draws_of(names: Sequence[str], size: int) -> list[frozenset[str]]:
    """Return `DRAWS` draws of so many names, none twice in one; the seed is the draw's number."""
    size = min(size, len(names))
    return [
        frozenset(np.random.default_rng(draw).choice(list(names), size, replace=False).tolist())
        for draw in range(DRAWS)
    ]


def written(every: EveryFix, drawn: frozenset[str]) -> str:
    """Return what a plan of these fixes would write."""
    rng = np.random.default_rng(every.plan.seed)
    free = every.free([f for f in every.plan.fixes if f.free and f.id in drawn])
    mine = [c for c in every.comparisons if c.plan.id in drawn]
    best = rank(mine).finalists[:FINALISTS]
    judged = judge(mine, rng, finalists=best)
    starts = {c.fix.start for c in mine}
    controls = [a for (fix, start), a in every.arms.items() if fix == CONTROL and start in starts]
    found = list(candidates(mine, judged.verified, controls))
    if free.names:
        found.append(Candidate("+".join(free.names), free.arm, free=True))
    healed = free.arm if free.patched.names else None
    choice = choose(found, free.given, rng, corrected=healed)
    if (choice.name, choice.start) == (CONTROL, "scratch"):
        again = retrained(controls, free.arm, every.plan, every.made.patient, every.made.limit,
                          every.trained, rng)  # fmt: skip
        return CONTROL if again is None else again.id
    return choice.name or ""
