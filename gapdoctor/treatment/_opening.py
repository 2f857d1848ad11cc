"""How a treatment begins: the first control, and what it says of the plan."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gapdoctor.domain.trials import CONTROL, Plan, PlannedFix, TrialSpec
from gapdoctor.fixes._base import Patient
from gapdoctor.fixes._choice import AFRESH
from gapdoctor.fixes._options import PlanOptions
from gapdoctor.fixes._planning import make_plan
from gapdoctor.fixes._rounds import first_trials
from gapdoctor.training.noted import has_effect
from gapdoctor.treatment._trials import Trials
from gapdoctor.verify import Arm, control_near_given

FROM_CHECKPOINT = " Trials start from the checkpoint."
TOLERATED = 1.1
"""Times by which the first control may be dearer or cheaper than planned before the plan is made
again (starting value)."""
CONTROLS = "the control: what a training costs here, and whether the recipe makes such a student"
MOVED = "the control again, from the checkpoint: that from scratch stayed behind the given student"
FROM = {"scratch": "from scratch", "checkpoint": "from the checkpoint"}
AT_ONCE = "the most hopeful fix: a wrong rate keeps a control behind wherever it begins"
SPENT = 1e-3
"""Seconds: what is left of a budget that is spent; 0 would be none at all."""


@dataclass
class Opening:
    """The first control is trained; then the plan is kept, or made again."""

    patient: Patient
    options: PlanOptions
    """That the plan was made with."""
    trials: Trials
    given: Arm
    """Under the free corrections in force."""
    limit: float
    """h, nats."""
    notes: list[str] = field(default_factory=list)

    def of(self, plan: Plan) -> Plan:
        """Return the plan that is to be gone through.

        From the checkpoint where the control from scratch stays behind the given student. A wrong
        rate may keep a control behind whatever it began from: where one is treated, the first fix,
        too, has to stay behind.
        """
        first = _first_control(plan)
        self.trials.run(first, _why(plan))
        control = self.trials.arm(CONTROL, plan.start) if first else None
        if control is None:
            return plan
        plan = self._without_idle(self._paced(plan, first[0]))
        if first[0].start == "scratch" and first[0].epochs < self.patient.epochs:
            return plan  # so short a training says nothing of the given one
        near = control_near_given(control, self.given, self.limit)
        stays = near.near or plan.start == "checkpoint" or self.options.start is not None
        if stays or self._helped_at_once(plan):
            self.notes += [near.statement] if near.statement else []
            return plan
        return self._moved(plan, near.statement + FROM_CHECKPOINT)

    def _helped_at_once(self, plan: Plan) -> bool:
        """Train the first fix where a wrong rate is treated: is it near the given student?"""
        fix = next((f for f in plan.fixes if f.status == "planned" and not f.free), None)
        if fix is None or not AFRESH & {*fix.treats[:1]}:
            return False
        self.trials.run([t for t in first_trials(plan) if t.fix == fix.id][:1], AT_ONCE)
        arm = self.trials.arm(fix.id, plan.start)
        return arm is not None and control_near_given(arm, self.given, self.limit).near

    def _moved(self, plan: Plan, why: str) -> Plan:
        """Plan again from the checkpoint, with what is left of the budget."""
        self.notes.append(why)
        left = None if plan.budget is None else max(plan.budget - self.trials.seconds, SPENT)
        self.options = replace(
            self.options, start="checkpoint", start_reason=why, budget=left, length=None
        )
        moved = replace(make_plan(self.patient, self.options), budget=plan.budget)
        first = _first_control(moved)
        self.trials.run(first, MOVED)
        return self._without_idle(self._paced(moved, first[0]) if first else moved)

    def _paced(self, plan: Plan, control: TrialSpec) -> Plan:
        """Plan again by what the first control really cost, where a budget is to be kept.

        A few steps, timed beforehand, say little on a machine that does other things as well.
        """
        options, record = self.options, self.trials.trained.record_of(control)
        if options.budget is None or not options.measured or not record.trained_samples:
            return plan
        rows = control.epochs * self.patient.train_rows
        expected = options.pace.of(self.patient, control) * record.trained_samples / rows
        dearer = record.seconds / expected
        if 1 / TOLERATED <= dearer <= TOLERATED:
            return plan
        self.options = replace(options, pace=options.pace.times(dearer))
        pinned = replace(
            self.options, start=plan.start, start_reason=plan.start_reason, length=control.epochs
        )
        again = make_plan(self.patient, pinned)
        return replace(again, budget=plan.budget) if control in again.trials else plan

    def _without_idle(self, plan: Plan) -> Plan:
        """Leave out what changes only fields that the user's own trainer never reads."""
        trained = self.trials.trained
        read = {
            s.start: (s, r.fields_read)
            for s, r in zip(trained.specs, trained.records, strict=True)
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


def _why(plan: Plan) -> str:
    return f"{CONTROLS}; {FROM[plan.start]}: {plan.start_reason}"


def _first_control(plan: Plan) -> list[TrialSpec]:
    return [t for t in first_trials(plan) if t.fix == CONTROL][:1]


def _keys(planned: PlannedFix) -> str:
    return ", ".join(change.key.removeprefix("recipe.") for change in planned.changes)
