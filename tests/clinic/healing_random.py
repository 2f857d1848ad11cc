"""The baseline that `fix` is to beat: as many fixes as it tried, drawn at random.

Each fix that can be tried here is trained once, on all seeds, from the same start and for as many
epochs as the plan's; draws sample those results. What is drawn is verified and chosen as `fix`
does: ranked on half A, the best judged on half B beside a control, the file held against what the
user has.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gapdoctor.corrections._apply import with_corrections
from gapdoctor.domain.trials import CONTROL, Plan, PlannedFix, Start, TrialSpec
from gapdoctor.engines._base import Conditions, Watcher
from gapdoctor.engines.inline import Inline
from gapdoctor.fixes._base import all_fixes
from gapdoctor.fixes._lengths import of_length
from gapdoctor.observe.borrow import own_random_state
from gapdoctor.treatment._arms import Trained, comparisons_of
from gapdoctor.treatment._folds import lengths_of_folds
from gapdoctor.treatment._free import FreeResult, try_free
from gapdoctor.treatment._own_loop import retrained
from gapdoctor.treatment._trials import Trials
from gapdoctor.treatment.prepare import Asked, Made, prepare
from gapdoctor.verify import Arm, Candidate, Comparison, candidates, choose, judge, rank

if TYPE_CHECKING:
    from gapdoctor.domain.diagnosis import Diagnosis
    from gapdoctor.observe.case import Case
    from gapdoctor.observe.observations import Settings

DRAWS = 10
FINALISTS = 3
"""That get all seeds in a plan, at most (`gapdoctor.fixes._costs`)."""


def random_draws(
    case: Case, diagnosis: Diagnosis, plan: Plan, settings: Settings
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the applicable fixes, and what each draw would write; "" for nothing."""
    tried = sum(f.status == "planned" and "+" not in f.id for f in plan.fixes)
    with tempfile.TemporaryDirectory(prefix="clinic-") as folder, own_random_state(plan.seed):
        every = _tried(case, diagnosis, plan, settings, Path(folder))
        names = every.applicable
        return names, tuple(every.written(drawn) for drawn in draws_of(names, tried))


def draws_of(names: Sequence[str], size: int) -> list[frozenset[str]]:
    """Return `DRAWS` draws of so many names, none twice in one; the seed is the draw's number."""
    size = min(size, len(names))
    return [
        frozenset(np.random.default_rng(draw).choice(list(names), size, replace=False).tolist())
        for draw in range(DRAWS)
    ]


@dataclass(frozen=True)
class _Tried:
    """Every applicable fix, trained."""

    made: Made
    plan: Plan
    settings: Settings
    trained: Trained
    arms: dict[tuple[str, Start], Arm]

    @property
    def applicable(self) -> tuple[str, ...]:
        return tuple(f.id for f in self.plan.fixes if f.status == "planned")

    @cached_property
    def comparisons(self) -> list[Comparison]:
        return comparisons_of(self.plan.fixes, self.arms)

    def written(self, drawn: frozenset[str]) -> str:
        """Return what a plan of these fixes would write."""
        rng = np.random.default_rng(self.plan.seed)
        free = self.free([f for f in self.plan.fixes if f.free and f.id in drawn])
        mine = [c for c in self.comparisons if c.plan.id in drawn]
        best = rank(mine).finalists[:FINALISTS]
        judged = judge(mine, rng, finalists=best)
        starts = {c.fix.start for c in mine}
        controls = [
            a for (fix, start), a in self.arms.items() if fix == CONTROL and start in starts
        ]
        found = list(candidates(mine, judged.verified, controls))
        if free.names:
            found.append(Candidate("+".join(free.names), free.arm, free=True))
        healed = free.arm if free.patched.names else None
        choice = choose(found, free.given, rng, corrected=healed)
        if (choice.name, choice.start) == (CONTROL, "scratch"):
            again = retrained(controls, free.arm, self.plan, self.made.patient, self.made.limit,
                              self.trained, rng)  # fmt: skip
            return CONTROL if again is None else again.id
        return choice.name or ""

    def free(self, planned: Sequence[PlannedFix]) -> FreeResult:
        return _free(self.made, self.settings)(planned)


def _free(made: Made, settings: Settings) -> Callable[[Sequence[PlannedFix]], FreeResult]:
    def tried(planned: Sequence[PlannedFix]) -> FreeResult:
        return try_free(
            made.case, made.patient, planned, settings, with_temperature=True,
            rng=np.random.default_rng(made.asked.seed),
        )  # fmt: skip

    return tried


def _tried(
    case: Case, diagnosis: Diagnosis, plan: Plan, settings: Settings, folder: Path
) -> _Tried:
    """Train all; what is trained here stands on no free correction, since a draw may hold none."""
    asked = Asked(
        only=tuple(fix.name for fix in all_fixes()), seed=plan.seed, seeds=3, device="cpu",
        start=plan.start if plan.trials else "checkpoint",  # else the budget would not reach
    )  # fmt: skip
    made = prepare(with_corrections(case), diagnosis, asked, None)
    trials = as_long(made.plan.trials, plan)
    conditions = Conditions(folder, settings)
    rows = _free(made, settings)([]).given.rows
    ran = Trials(Inline(made.case), conditions, Watcher(), rows, scaled=True)
    ran.run(trials)
    told = lengths_of_folds(
        replace(made.plan, trials=tuple(trials)), ran.trained, folder,
        np.random.default_rng(plan.seed), scaled=True, limit=made.limit, groups=case.groups,
    )  # fmt: skip
    ran.run([trial for trial in told.plan.trials if trial not in trials])
    return _Tried(made, told.plan, settings, ran.trained, ran.arms())


def as_long(trials: Sequence[TrialSpec], plan: Plan) -> list[TrialSpec]:
    """Return trials as long as those of another plan, by its controls."""
    theirs = {t.start: t.epochs for t in plan.trials if t.fix == CONTROL}
    mine = {t.start: t.epochs for t in trials if t.fix == CONTROL}
    shares = {start: theirs[start] / mine[start] for start in mine if start in theirs}

    def shortened(spec: TrialSpec) -> TrialSpec:
        share = shares.get(spec.start, 1.0)
        if share == 1.0:
            return spec
        epochs = max(1, round(share * spec.epochs))
        planned = max(1, round(share * (spec.recipe.epochs or spec.epochs)))
        return replace(spec, epochs=epochs, recipe=of_length(spec.recipe, planned))

    return [shortened(spec) for spec in trials]
