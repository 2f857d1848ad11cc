"""A treatment, from the plan to the choice; reads as a list of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from gapdoctor.domain.trials import (
    CONTROL,
    WITHOUT_TEACHER,
    FixRecord,
    Plan,
    PlannedFix,
    Start,
    TrialSpec,
)
from gapdoctor.engines._base import Applied, Conditions, Engine, Watcher
from gapdoctor.fixes._base import NotApplicable, Patient
from gapdoctor.fixes._options import PlanOptions
from gapdoctor.fixes._planning import make_plan
from gapdoctor.fixes._rounds import first_trials, last_trials, later_trials, pair_trials
from gapdoctor.observe.case import Case
from gapdoctor.training.folder import TrialFolder
from gapdoctor.training.noted import has_effect
from gapdoctor.training.students import read_trained
from gapdoctor.treatment._arms import Trained, arms_of, comparisons_of, joined
from gapdoctor.treatment._free import SCALE, FreeResult, try_free
from gapdoctor.treatment._given import start_from
from gapdoctor.verify import (
    Arm,
    Candidate,
    Choice,
    Comparison,
    Judgement,
    best_first,
    candidates,
    choose,
    control_near_given,
    difference_interval,
    judge,
    rank,
    untested,
)


@dataclass(frozen=True)
class Treated:
    """What came of a treatment."""

    plan: Plan
    """As it was run: from the checkpoint, where the first control from scratch stayed behind."""
    free: FreeResult
    trained: Trained
    arms: dict[tuple[str, Start], Arm]
    records: tuple[FixRecord, ...]
    """The best first."""
    choice: Choice
    judgement: Judgement
    notes: tuple[str, ...]
    student: nn.Module | None
    """The one that is chosen, in eval mode; None where none is."""
    spec: TrialSpec | None
    """How it was trained; None for free corrections."""
    class_order: tuple[int, ...] | None
    """The class that each column of its logits means, where that is another order."""

    @property
    def controls(self) -> tuple[Arm, ...]:
        """The control of each start."""
        return tuple(arm for (fix, _), arm in self.arms.items() if fix == CONTROL)


@dataclass
class Treatment:
    """A treatment under way."""

    case: Case
    patient: Patient
    plan: Plan
    options: PlanOptions
    """That the plan was made with: it is made again where all begin from the checkpoint."""
    engine: Engine
    conditions: Conditions
    watcher: Watcher
    limit: float
    """h, nats."""

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.options.seed)
        self.scaled = SCALE not in self.options.skip
        self.notes: list[str] = []
        self.trained = Trained((), ())
        self.folder = self.conditions.folder

    def run(self) -> Treated:
        """Free corrections, trials in rounds, judgement, choice."""
        plan = self.plan
        free = try_free(
            self.case, self.patient, plan.fixes, self.conditions.settings,
            with_temperature=self.scaled, rng=self.rng,
        )  # fmt: skip
        applied = start_from(free.patched, self.case, self.folder)
        self.conditions = replace(self.conditions, applied=applied)
        plan = self._begun(plan, free)
        plan, comparisons, finalists = self._rounds(plan, free)
        judgement = judge(comparisons, self.rng, finalists=finalists)
        arms = self._arms(free)
        choice = self._choice(free, comparisons, judgement, arms)
        self._ask_without_teacher(arms)
        return self._told(plan, free, arms, judgement, choice)

    # -- rounds ------------------------------------------------------------------------------

    def _begun(self, plan: Plan, free: FreeResult) -> Plan:
        """Train the first control; begin from the checkpoint where it stays behind."""
        first = [t for t in first_trials(plan) if t.fix == CONTROL][:1]
        self._train(first)
        control = self._arms(free).get((CONTROL, plan.start))
        if control is None:
            return plan
        near = control_near_given(control, free.arm, self.limit)
        if near.statement:
            self.notes.append(near.statement)
        if near.near or plan.start == "checkpoint" or self.options.start is not None:
            return self._with_effect(plan)
        options = replace(self.options, start="checkpoint", start_reason=near.statement)
        moved = make_plan(self.patient, options)
        self._train([t for t in first_trials(moved) if t.fix == CONTROL][:1])
        return self._with_effect(moved)

    def _with_effect(self, plan: Plan) -> Plan:
        """Leave out what changes only fields that the user's own trainer never reads."""
        read = {
            s.start: (s, r.fields_read)
            for s, r in zip(self.trained.specs, self.trained.records, strict=True)
            if s.fix == CONTROL and r.status == "done"
        }
        idle = {
            t.fix for t in plan.trials
            if t.fix != CONTROL and t.start in read and t.seed == plan.seed
            and not has_effect(t, *read[t.start])
        }  # fmt: skip
        fixes = tuple(
            replace(f, status="not_applicable", reason=f"recipe.trainer never reads {_keys(f)}")
            if f.id in idle else f
            for f in plan.fixes
        )  # fmt: skip
        return replace(plan, fixes=fixes, trials=tuple(t for t in plan.trials if t.fix not in idle))

    def _rounds(self, plan: Plan, free: FreeResult) -> tuple[Plan, list[Comparison], Sequence[str]]:
        """Every arm on one seed; the best ones, and two of them together, on the others."""
        self._train(first_trials(plan))
        ranking = rank(comparisons_of(plan.fixes, self._arms(free)))
        best = list(ranking.to_combine[:2])
        pair: list[PlannedFix] = []
        if len(best) == 2:
            trials = pair_trials(plan, best[0], best[1])
            if isinstance(trials, NotApplicable):
                self.notes.append(f"{trials.reason}.")
            else:
                self._train([t for t in trials if t.seed == plan.seed])
                pair = [joined(plan, best[0], best[1])]
        plan = replace(plan, fixes=(*pair, *plan.fixes))
        ranking = rank(comparisons_of(plan.fixes, self._arms(free)))
        finalists = list(ranking.finalists[: plan.finalists])
        more = list(later_trials(plan, [name for name in finalists if "+" not in name]))
        if pair and pair[0].id in finalists:
            found = pair_trials(plan, best[0], best[1])
            more += [] if isinstance(found, NotApplicable) else list(found)
        self._train(more)
        self._train(last_trials(plan))
        return plan, comparisons_of(plan.fixes, self._arms(free)), finalists

    def _train(self, specs: Sequence[TrialSpec]) -> None:
        if specs:
            records = self.engine.run(specs, self.conditions, self.watcher)
            self.trained = self.trained.and_(specs, records)

    def _arms(self, free: FreeResult) -> dict[tuple[str, Start], Arm]:
        return arms_of(self.trained, self.folder, free.given.rows, with_temperature=self.scaled)

    # -- what is said ------------------------------------------------------------------------

    def _choice(
        self,
        free: FreeResult,
        comparisons: Sequence[Comparison],
        judgement: Judgement,
        arms: dict[tuple[str, Start], Arm],
    ) -> Choice:
        controls = [arm for (fix, _), arm in arms.items() if fix == CONTROL]
        found = list(candidates(comparisons, judgement.verified, controls))
        if free.names:
            found.append(Candidate("+".join(free.names), free.arm, free=True))
        healed = free.arm if free.patched.names else None
        return choose(found, free.given, self.rng, corrected=healed)

    def _ask_without_teacher(self, arms: dict[tuple[str, Start], Arm]) -> None:
        """Does distillation help at all? Told, never chosen."""
        for (fix, start), arm in arms.items():
            control = arms.get((CONTROL, start))
            if fix != WITHOUT_TEACHER or control is None:
                continue
            found = difference_interval(arm, control, self.rng)
            self.notes.append(
                f"Trained on the labels alone the student loses {found.value:+.3g} nats "
                f"[{found.low:+.3g}, {found.high:+.3g}] beside the control on half B: "
                + ("distillation helps." if found.low > 0 else
                   "distillation harms here." if found.high < 0 else
                   "whether distillation helps cannot be told.")
            )  # fmt: skip

    def _told(
        self,
        plan: Plan,
        free: FreeResult,
        arms: dict[tuple[str, Start], Arm],
        judgement: Judgement,
        choice: Choice,
    ) -> Treated:
        student, spec, order = self._chosen(free, choice)
        known = {r.id for r in (*free.records, *judgement.records)}
        if free.patched.names and self.trained.specs:
            self.notes.append(
                f"Every training stands on what was mended first: {', '.join(free.patched.names)}."
            )
        rest = [self._untried(plan, p) for p in plan.fixes if p.id not in known]
        records = best_first((*free.records, *judgement.records, *rest))
        return Treated(
            plan, free, self.trained, arms, records, choice, judgement,
            (*self.notes, *judgement.notes), student, spec, order,
        )  # fmt: skip

    def _untried(self, plan: Plan, planned: PlannedFix) -> FixRecord:
        if planned.status != "planned":
            return untested(planned, plan.start, planned.status, planned.reason)
        records = [
            r for s, r in zip(self.trained.specs, self.trained.records, strict=True)
            if s.fix == planned.id
        ]  # fmt: skip
        failed = next((r for r in records if r.status == "failed"), None)
        if failed is not None:
            return untested(
                planned, plan.start, "not_verified", f"its training failed: {failed.note}"
            )
        return untested(planned, plan.start, "not_reached", "the budget did not reach it")

    def _chosen(
        self, free: FreeResult, choice: Choice
    ) -> tuple[nn.Module | None, TrialSpec | None, tuple[int, ...] | None]:
        labels = self.conditions.applied.class_order
        if choice.name is None or choice.start is None:
            return None, None, None
        if choice.seed is None:
            return free.patched.student, None, _after(free.patched.head_order, labels)
        spec = self.trained.find(choice.name, choice.start, choice.seed)
        case = self.conditions.applied.to(self.case)
        weights = TrialFolder(self.folder / spec.name).weights
        return read_trained(spec, case, weights), spec, labels


def _keys(planned: PlannedFix) -> str:
    return ", ".join(change.key.removeprefix("recipe.") for change in planned.changes)


def _after(own: tuple[int, ...] | None, labels: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """First the student's own order, then that of the labels."""
    if own is None or labels is None:
        return own or labels
    return tuple(labels[c] for c in own)


__all__ = ["Applied", "Treated", "Treatment"]
