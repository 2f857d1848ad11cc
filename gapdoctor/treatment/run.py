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
from gapdoctor.fixes._rounds import first_trials, last_trials, later_trials, pair_trials
from gapdoctor.observe.case import Case
from gapdoctor.training.folder import TrialFolder
from gapdoctor.training.students import read_trained
from gapdoctor.treatment._arms import Trained, comparisons_of, joined
from gapdoctor.treatment._folds import lengths_of_folds
from gapdoctor.treatment._free import SCALE, FreeResult, try_free
from gapdoctor.treatment._given import start_from
from gapdoctor.treatment._opening import Opening
from gapdoctor.treatment._own_loop import RETRAIN, retrained, told
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
        self.given = free.arm
        opening = Opening(self.patient, self.options, trials, free.arm, self.limit)
        plan = opening.of(self.plan)
        self.notes += opening.notes
        plan, comparisons, finalists = self._rounds(plan, trials)
        judgement = judge(comparisons, self.rng, finalists=finalists)
        choice = self._choice(free, comparisons, judgement, trials.arms())
        self._ask_without_teacher(trials.arms())
        return self._told(plan, free, trials, judgement, choice)

    # -- rounds ------------------------------------------------------------------------------

    def _rounds(self, plan: Plan, trials: Trials) -> tuple[Plan, list[Comparison], Sequence[str]]:
        """Every arm on one seed; the best ones, and two of them together, on the others."""
        trials.run(first_trials(plan))
        plan = self._with_lengths(plan, trials)
        ranking = rank(comparisons_of(plan.fixes, trials.arms()))
        best = list(ranking.to_combine[:2])
        pair: list[PlannedFix] = []
        if len(best) == 2:
            found = pair_trials(plan, best[0], best[1])
            if isinstance(found, NotApplicable):
                self.notes.append(f"{found.reason}.")
            else:
                trials.run([t for t in found if t.seed == plan.seed])
                pair = [joined(plan, best[0], best[1])]
        plan = replace(plan, fixes=(*pair, *plan.fixes))
        ranking = rank(comparisons_of(plan.fixes, trials.arms()))
        finalists = list(ranking.finalists[: plan.finalists])
        single = [name for name in finalists if "+" not in name]
        more = list(later_trials(plan, single, ["scratch"] if self._far_ahead(trials) else []))
        if pair and pair[0].id in finalists:
            found = pair_trials(plan, best[0], best[1])
            more += [] if isinstance(found, NotApplicable) else list(found)
        trials.run(more)
        trials.run(last_trials(plan))
        return plan, comparisons_of(plan.fixes, trials.arms()), finalists

    def _with_lengths(self, plan: Plan, trials: Trials) -> Plan:
        """Folds are trained: train what they tell the length of, too."""
        found = lengths_of_folds(
            plan, trials.trained, self.folder, self.rng, scaled=self.scaled, limit=self.limit,
            groups=self.case.groups,
        )  # fmt: skip
        self.notes += found.notes
        trials.run([t for t in first_trials(found.plan) if t not in plan.trials])
        return found.plan

    def _far_ahead(self, trials: Trials) -> bool:
        """Whether the control from scratch is far better than the given student."""
        control = trials.arm(CONTROL, "scratch")
        return control is not None and control.loss_on_a < self.given.loss_on_a - self.limit

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
            (*self.notes, *judgement.notes), student, spec, order,
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
