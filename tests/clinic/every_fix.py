"""Every fix that can be tried on a fault, trained beside one control from the same start.

As `fix` goes: all arms on the first seed; those that lose less than their control on half A, and
their control, on the other seeds too. What is not better on half A is never judged by `fix`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gapdoctor.corrections._apply import with_corrections
from gapdoctor.domain.trials import CONTROL, Plan, PlannedFix, Start, TrialSpec
from gapdoctor.engines._base import Applied, Conditions, Watcher
from gapdoctor.engines.inline import Inline
from gapdoctor.fixes._lengths import of_length
from gapdoctor.treatment._arms import Trained, comparisons_of
from gapdoctor.treatment._folds import lengths_of_folds
from gapdoctor.treatment._free import FreeResult, try_free
from gapdoctor.treatment._given import start_from
from gapdoctor.treatment._trials import Trials
from gapdoctor.treatment.prepare import Asked, Made, prepare
from gapdoctor.verify import Arm, Comparison, rank
from tests.clinic.attempts import Attempt, failed_attempt, free_attempts, trained_attempt

if TYPE_CHECKING:
    from gapdoctor.domain.diagnosis import Diagnosis
    from gapdoctor.observe.case import Case
    from gapdoctor.observe.observations import Settings

SEEDS = 3
FIRST, LATER = "every arm on one seed", "what half A speaks for on the others"


@dataclass(frozen=True)
class EveryFix:
    """Every applicable fix, trained."""

    made: Made
    plan: Plan
    settings: Settings
    trained: Trained
    arms: dict[tuple[str, Start], Arm]
    all_free: FreeResult
    """What came of all free fixes together."""
    mended: bool
    """Whether trainings stand on those of them that were verified."""

    @property
    def planned(self) -> tuple[PlannedFix, ...]:
        """All that were tried."""
        return tuple(f for f in self.plan.fixes if f.status == "planned")

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """Each trained fix beside the control of its start."""
        return comparisons_of(self.plan.fixes, self.arms)

    def free(self, planned: Sequence[PlannedFix]) -> FreeResult:
        """Try some free fixes."""
        return _free(self.made, planned, self.settings)

    def attempts(self) -> tuple[Attempt, ...]:
        """Return what each did, by name; the free ones first."""
        patient = self.made.patient
        unmended = bool(self.all_free.patched.names) and not self.mended
        trained = [
            trained_attempt(c, patient, np.random.default_rng(self.plan.seed), unmended=unmended)
            for c in self.comparisons
            if c.seeds
        ]
        known = {one.fix for one in trained}
        failed = [
            failed_attempt(f, patient, self._why_failed(f.id))
            for f in self.planned
            if not f.free and f.id not in known
        ]
        free = free_attempts(self.all_free.records, self.plan.fixes, patient)
        return (*free, *sorted([*trained, *failed], key=lambda a: a.fix))

    def _why_failed(self, fix: str) -> str:
        records = [r for r in self.trained.records if r.fix in (fix, CONTROL)]
        notes = [r.note for r in records if r.status == "failed" and r.note]
        return notes[0] if notes else "it was not trained to its end"


def every_fix(
    case: Case,
    diagnosis: Diagnosis,
    plan: Plan | None,
    settings: Settings,
    folder: Path,
    *,
    only: Sequence[str],
    mended: bool = False,
) -> EveryFix:
    """Train every applicable fix, from the same start and for as long as those of a plan.

    Parameters
    ----------
    case : Case
        As given.
    diagnosis : Diagnosis
        Of it.
    plan : Plan, optional
        Whose start and length are taken; one without trials begins from the checkpoint. None: from
        scratch, at full length, as without a budget.
    settings : Settings
    folder : Path
        Of the trials; empty.
    only : sequence of str
        Fixes that are tried, whether or not something that they treat was found.
    mended : bool
        Whether trainings stand on the verified free fixes, as those of `fix` do.
    """
    seed = 0 if plan is None else plan.seed
    asked = Asked(only=tuple(only), seed=seed, seeds=SEEDS, start=_start(plan), device="cpu")
    made = prepare(with_corrections(case), diagnosis, asked, None)
    free = _free(made, made.plan.fixes, settings)
    applied = start_from(free.patched, made.case, folder) if mended else Applied()
    ran = Trials(
        Inline(made.case), Conditions(folder, settings, applied=applied), Watcher(),
        free.given.rows, scaled=True,
    )  # fmt: skip
    trials = made.plan.trials if plan is None else tuple(as_long(made.plan.trials, plan))
    whole = replace(made.plan, trials=trials, reserve=())
    told = _in_rounds(whole, ran, free.arm if mended else free.given, made)
    return EveryFix(made, told, settings, ran.trained, ran.arms(), free, mended)


def _start(plan: Plan | None) -> Start:
    if plan is None:
        return "scratch"
    return plan.start if plan.trials else "checkpoint"  # whose budget would not reach scratch


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


def _in_rounds(plan: Plan, ran: Trials, given: Arm, made: Made) -> Plan:
    """Train all on the first seed, those that half A speaks for on the others; folds tell lengths.

    A control from scratch that is far ahead of the given student gets all seeds in any case.
    """
    ran.run([t for t in plan.trials if t.seed == plan.seed], FIRST)
    plan = lengths_of_folds(
        plan, ran.trained, ran.folder, np.random.default_rng(plan.seed), scaled=True,
        limit=made.limit, groups=made.case.groups,
    ).plan  # fmt: skip
    ran.run([t for t in plan.trials if t.seed == plan.seed], FIRST)  # what is done is not run again
    arms = ran.arms()
    ranked = rank(comparisons_of(plan.fixes, arms), finalists=len(plan.fixes))
    better = {*ranked.finalists}
    starts = {one.start for one in ranked.order if one.name in better}
    control = arms.get((CONTROL, "scratch"))
    if control is not None and control.loss_on_a < given.loss_on_a - made.limit:
        starts.add("scratch")
    later = [
        t
        for t in plan.trials
        if t.seed != plan.seed and (t.fix in better or (t.fix == CONTROL and t.start in starts))
    ]
    ran.run(later, LATER)
    return plan


def _free(made: Made, planned: Sequence[PlannedFix], settings: Settings) -> FreeResult:
    return try_free(
        made.case, made.patient, planned, settings, with_temperature=True,
        rng=np.random.default_rng(made.asked.seed),
    )  # fmt: skip
