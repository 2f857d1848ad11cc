"""A treatment, from the plan to the choice; reads as a list of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from torch import nn

from gapdoctor.domain.trials import (
    CONTROL,
    WITHOUT_TEACHER,
    FixRecord,
    Plan,
    PlannedFix,
    Round,
    Start,
    TrialSpec,
)
from gapdoctor.engines._base import Applied, Conditions, Engine, Watcher
from gapdoctor.fixes._base import Patient
from gapdoctor.fixes._options import PlanOptions
from gapdoctor.observe.case import Case
from gapdoctor.training.folder import TrialFolder
from gapdoctor.training.students import read_trained
from gapdoctor.treatment._arms import Trained
from gapdoctor.treatment._folds import lengths_of_folds
from gapdoctor.treatment._free import SCALE, FreeResult, try_free
from gapdoctor.treatment._given import start_from
from gapdoctor.treatment._opening import Opening
from gapdoctor.treatment._own_loop import RETRAIN, retrained, told
from gapdoctor.treatment._rounds import Rounds
from gapdoctor.treatment._trials import Trials
from gapdoctor.verify import (
    Arm,
    Candidate,
    Choice,
    Comparison,
    Judgement,
    best_first,
    candidates,
    choose,
    difference_interval,
    judge,
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
    rounds: tuple[Round, ...]
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
        self.folder = self.conditions.folder

    def run(self) -> Treated:
        """Free corrections, trials in rounds, judgement, choice."""
        free = try_free(
            self.case, self.patient, self.plan.fixes, self.conditions.settings,
            with_temperature=self.scaled, rng=self.rng,
        )  # fmt: skip
        applied = start_from(free.patched, self.case, self.folder)
        self.conditions = replace(self.conditions, applied=applied)
        trials = Trials(
            self.engine, self.conditions, self.watcher, free.given.rows, scaled=self.scaled
        )
        opening = Opening(self.patient, self.options, trials, free.arm, self.limit)
        plan = opening.of(self.plan)
        self.notes += opening.notes
        rounds = Rounds(
            self.patient, opening.options.pace, trials, free.arm, self.limit,
            partial(self._with_lengths, trials=trials), self.notes,
        )  # fmt: skip
        ran = rounds.run(plan)
        judgement = judge(ran.comparisons, self.rng, finalists=ran.finalists)
        choice = self._choice(free, ran.comparisons, judgement, trials.arms())
        self._ask_without_teacher(trials.arms())
        return self._told(ran.plan, free, trials, judgement, choice)

    def _with_lengths(self, plan: Plan, trials: Trials) -> Plan:
        """What the folds tell, once they are trained."""
        found = lengths_of_folds(
            plan, trials.trained, self.folder, self.rng, scaled=self.scaled, limit=self.limit,
            groups=self.case.groups,
        )  # fmt: skip
        self.notes += found.notes
        return found.plan

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
        self, plan: Plan, free: FreeResult, trials: Trials, judgement: Judgement, choice: Choice
    ) -> Treated:
        trained, arms = trials.trained, trials.arms()
        student, spec, order = self._chosen(free, choice, trained)
        controls = [arm for (fix, _), arm in arms.items() if fix == CONTROL]
        again = retrained(controls, free.arm, plan, self.patient, self.limit, trained, self.rng)
        if again is not None:
            self.notes.append(told(again))
            if (choice.name, choice.start) == (CONTROL, "scratch"):
                choice = replace(choice, name=RETRAIN)
        judged = (*free.records, *judgement.records, *([] if again is None else [again]))
        if free.patched.names and trained.specs:
            self.notes.append(
                f"Every training stands on what was mended first: {', '.join(free.patched.names)}."
            )
        known = {r.id for r in judged}
        rest = [_untried(plan, p, trained) for p in plan.fixes if p.id not in known]
        return Treated(
            plan, free, trained, arms, best_first((*judged, *rest)), choice, judgement,
            tuple(trials.rounds), (*self.notes, *judgement.notes), student, spec, order,
        )  # fmt: skip

    def _chosen(
        self, free: FreeResult, choice: Choice, trained: Trained
    ) -> tuple[nn.Module | None, TrialSpec | None, tuple[int, ...] | None]:
        labels = self.conditions.applied.class_order
        if choice.name is None or choice.start is None:
            return None, None, None
        if choice.seed is None:
            return free.patched.student, None, _after(free.patched.head_order, labels)
        spec = trained.find(choice.name, choice.start, choice.seed)
        case = self.conditions.applied.to(self.case)
        weights = TrialFolder(self.folder / spec.name).weights
        return read_trained(spec, case, weights), spec, labels


def _untried(plan: Plan, planned: PlannedFix, trained: Trained) -> FixRecord:
    if planned.status != "planned":
        return untested(planned, plan.start, planned.status, planned.reason)
    records = [
        r for s, r in zip(trained.specs, trained.records, strict=True) if s.fix == planned.id
    ]
    failed = next((r for r in records if r.status == "failed"), None)
    if failed is not None:
        return untested(planned, plan.start, "not_verified", f"its training failed: {failed.note}")
    return untested(planned, plan.start, "not_reached", "the budget did not reach it")


def _after(own: tuple[int, ...] | None, labels: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """First the student's own order, then that of the labels."""
    if own is None or labels is None:
        return own or labels
    return tuple(labels[c] for c in own)


__all__ = ["Applied", "Treated", "Treatment"]
