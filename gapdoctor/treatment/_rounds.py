"""The rounds of a treatment: what is trained when, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from gapdoctor.domain.trials import CONTROL, Plan, Together, TrialSpec
from gapdoctor.fixes._base import NotApplicable, Patient
from gapdoctor.fixes._choice import PLANNED
from gapdoctor.fixes._costs import FEWEST_FINALISTS, Pace
from gapdoctor.fixes._rounds import first_trials, last_trials, later_trials, with_reserve
from gapdoctor.fixes._together import combined_trials, one_more, to_combine
from gapdoctor.treatment._arms import comparisons_of, joined
from gapdoctor.treatment._trials import Trials
from gapdoctor.verify import Arm, Comparison, Ranking, rank

MOST_TOGETHER = 3
"""Combinations that are tried at most (starting value): each costs a training, and one place among
those that are judged."""
ENOUGH = 0.5
"""Share of what the most hopeful fix promises that has to be back, before a budget that is left is
left alone (starting value)."""

FIRST = "every fix on the first seed, beside its control"
OTHERS = "the other seeds of {}: what is verified has to be better in each of them"
ALONE = "the labels alone: does distillation help at all?"
FOLDED = "as long as its folds tell"
RESERVE = "in reserve: the fixes before it gave too little back, and budget is left"


@dataclass(frozen=True)
class Ran:
    """What the rounds leave to be judged."""

    plan: Plan
    """With what was tried together and out of the reserve."""
    comparisons: list[Comparison]
    finalists: Sequence[str]
    """Those that got all seeds."""


@dataclass
class Rounds:
    """Every arm on one seed; some together; more where that gave too little; then all seeds."""

    patient: Patient
    pace: Pace
    trials: Trials
    given: Arm
    """Under the free corrections in force."""
    limit: float
    """h, nats."""
    lengths: Callable[[Plan], Plan]
    """Read from the folds, once they are trained, how long their fixes are."""
    notes: list[str] = field(default_factory=list)
    tried: dict[str, tuple[TrialSpec, ...]] = field(default_factory=dict)
    """Trials, one a seed, of what was tried together."""
    _refused: set[frozenset[str]] = field(default_factory=set)

    def run(self, plan: Plan) -> Ran:
        """Go through the plan."""
        self.trials.run(first_trials(plan), FIRST)
        longer = self.lengths(plan)
        self.trials.run([t for t in first_trials(longer) if t not in plan.trials], FOLDED)
        plan = self._out_of_reserve(self._together(longer))
        names = self._finalists(plan)
        self.trials.run(self._later(plan, names), OTHERS.format(_listed(names)))
        self.trials.run(last_trials(plan), ALONE)
        return Ran(plan, self._comparisons(plan), names)

    # -- together ----------------------------------------------------------------------------

    def _together(self, plan: Plan) -> Plan:
        """Try together what points the right way; and one fix more, where together was better."""
        ranking = self._ranking(plan)
        for one in to_combine(plan, ranking.to_combine, _pointing(ranking)):
            plan = self._try_together(plan, one)
        ranking = self._ranking(plan)
        best = next((r.name for r in ranking.order if r.name in self.tried), None)
        if best is not None:
            losses = {r.name: r.loss for r in ranking.order}
            more = one_more(best.split("+"), losses, ranking.to_combine)
            if more is not None:
                plan = self._try_together(plan, more)
        return plan

    def _try_together(self, plan: Plan, one: Together) -> Plan:
        names = frozenset(one.fixes)
        known = self._refused | {frozenset(fix.split("+")) for fix in self.tried}
        if names in known or len(self.tried) >= MOST_TOGETHER:
            return plan
        found = combined_trials(plan, *one.fixes)
        if isinstance(found, NotApplicable):
            self.notes.append(f"{found.reason}.")
        elif not self._pays(plan, found[0]):
            self.notes.append(f"The budget does not reach {' and '.join(one.fixes)} together.")
        else:
            self.tried[found[0].fix] = found
            self.trials.run(found[:1], f"together: {one.reason}")
            return replace(plan, fixes=(joined(plan, *one.fixes), *plan.fixes))
        self._refused.add(names)
        return plan

    # -- budget ------------------------------------------------------------------------------

    def _out_of_reserve(self, plan: Plan) -> Plan:
        """Spend what is left where the fixes so far gave too little back."""
        for spec in plan.reserve:
            if self._enough(plan):
                return plan
            if self._pays(plan, spec):
                plan = with_reserve(plan, spec)
                self.trials.run([spec], RESERVE)
                plan = self._together(plan)
        return plan

    def _enough(self, plan: Plan) -> bool:
        """Whether about what was promised has come, be it by a control alone."""
        promised = [f.expected_gain or 0.0 for f in plan.fixes if not f.free]
        arms = self.trials.arms().values()
        if not arms:
            return True  # every training failed: one more would, too
        best = min(arm.loss_on_a for arm in arms)
        return self.given.loss_on_a - best >= ENOUGH * max(promised, default=0.0)

    def _pays(self, plan: Plan, spec: TrialSpec) -> bool:
        """Whether budget is left for one thing more, on all seeds and beside the best so far."""
        best = self._ranking(plan).finalists
        few = [name for name in best if name != spec.fix][: FEWEST_FINALISTS - 1]
        beside = [one for name in few if (one := self._first(plan, name)) is not None]
        return self._left(plan) >= self._seconds(spec) + self._rest(plan, [spec, *beside])

    def _rest(self, plan: Plan, specs: Sequence[TrialSpec]) -> float:
        """Seconds of the other seeds of some arms and their controls."""
        seeds = len({t.seed for t in plan.trials if t.fix == CONTROL})
        starts = {spec.start for spec in specs}
        controls = [t for t in first_trials(plan) if t.fix == CONTROL and t.start in starts]
        return (seeds - 1) * sum(self._seconds(spec) for spec in (*specs, *controls))

    def _seconds(self, spec: TrialSpec) -> float:
        """Seconds of a trial, by what those of its parts took that are done.

        What features cost, or where a training stops early, no pace tells.
        """
        trained, parts = self.trials.trained, {spec.fix, *spec.fix.split("+")}
        known = [
            record.seconds / self.pace.of(self.patient, done)
            for done, record in zip(trained.specs, trained.records, strict=True)
            if done.fix in parts and done.start == spec.start and done.fold is None
            and record.status == "done"
        ]  # fmt: skip
        return max(known, default=1.0) * self.pace.of(self.patient, spec)

    def _left(self, plan: Plan) -> float:
        if plan.budget is None:
            return float("inf")
        return PLANNED * plan.budget - self.trials.seconds

    # -- the last round ----------------------------------------------------------------------

    def _finalists(self, plan: Plan) -> list[str]:
        """The best on half A: as many as planned, fewer where the budget has been spent since."""
        names = list(self._ranking(plan).finalists[: plan.finalists])
        while len(names) > 1:
            specs = [one for name in names if (one := self._first(plan, name)) is not None]
            if self._left(plan) >= self._rest(plan, specs):
                break
            names.pop()
        return names

    def _later(self, plan: Plan, names: Sequence[str]) -> list[TrialSpec]:
        """Seed by seed, controls first."""
        both = [t for name in names for t in self.tried.get(name, ())[1:]]
        starts = {t.start for t in both}
        if self._far_ahead():
            starts.add("scratch")
        single = later_trials(plan, [name for name in names if name not in self.tried], starts)
        return sorted([*single, *both], key=lambda t: t.seed)

    def _far_ahead(self) -> bool:
        """Whether the control from scratch is far better than the given student."""
        control = self.trials.arm(CONTROL, "scratch")
        return control is not None and control.loss_on_a < self.given.loss_on_a - self.limit

    # -- reading -----------------------------------------------------------------------------

    def _first(self, plan: Plan, name: str) -> TrialSpec | None:
        """The trial of the first seed of a fix, or of several together."""
        if name in self.tried:
            return self.tried[name][0]
        return next((t for t in first_trials(plan) if t.fix == name and t.fold is None), None)

    def _comparisons(self, plan: Plan) -> list[Comparison]:
        return comparisons_of(plan.fixes, self.trials.arms())

    def _ranking(self, plan: Plan) -> Ranking:
        return rank(self._comparisons(plan))


def _pointing(ranking: Ranking) -> list[str]:
    """Single fixes that are better than their control on half A, whatever their start."""
    return [one.name for one in ranking.order if one.difference < 0 and "+" not in one.name]


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    if not found:
        return "the control"
    return f"the best on half A ({', '.join(found)}) and of the control"
