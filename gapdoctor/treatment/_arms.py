"""From the folders of trials to arms that can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gapdoctor.domain.trials import (
    CONTROL,
    Change,
    Plan,
    PlannedFix,
    Start,
    TrialRecord,
    TrialSpec,
)
from gapdoctor.verify import Arm, Comparison


@dataclass(frozen=True)
class Trained:
    """All trials so far."""

    specs: tuple[TrialSpec, ...]
    records: tuple[TrialRecord, ...]
    """One a spec."""

    def and_(self, specs: Sequence[TrialSpec], records: Sequence[TrialRecord]) -> Trained:
        """Return these and more; a trial that is told of again counts once."""
        every = zip((*self.specs, *specs), (*self.records, *records), strict=True)
        found = {spec.name: (spec, record) for spec, record in every}
        return Trained(*(tuple(x) for x in zip(*found.values(), strict=True)))

    def done(self) -> list[TrialSpec]:
        """Return the trials that ended well."""
        return [s for s, r in zip(self.specs, self.records, strict=True) if r.status == "done"]

    def record_of(self, spec: TrialSpec) -> TrialRecord:
        """Return how a trial ended."""
        return self.records[self.specs.index(spec)]

    def find(self, fix: str, start: Start, seed: int) -> TrialSpec:
        """Return one of them."""
        whole = (s for s in self.specs if s.fold is None)
        return next(s for s in whole if (s.fix, s.start, s.seed) == (fix, start, seed))


def comparisons_of(
    plans: Iterable[PlannedFix], arms: dict[tuple[str, Start], Arm]
) -> list[Comparison]:
    """Return each fix beside the control of its start."""
    by_fix = {fix: arm for (fix, _), arm in arms.items() if fix != CONTROL}
    return [
        Comparison(plan, by_fix[plan.id], control)
        for plan in plans
        if plan.id in by_fix and (control := arms.get((CONTROL, by_fix[plan.id].start))) is not None
    ]


def joined(plan: Plan, *names: str) -> PlannedFix:
    """Return planned fixes as one; the first decides where it starts."""
    parts = [next(f for f in plan.fixes if f.id == name) for name in names]
    gains = [f.expected_gain for f in parts if f.expected_gain is not None]
    return replace(
        parts[0],
        id="+".join(names),
        treats=tuple(dict.fromkeys(cause for f in parts for cause in f.treats)),
        summary=" ".join(f.summary for f in parts),
        changes=_once(change for f in parts for change in f.changes),
        expected_gain=max(gains, default=None),
        clinic=None,
    )


def _once(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Each as it came first: lists among their values cannot be hashed."""
    found: list[Change] = []
    for change in changes:
        if change not in found:
            found.append(change)
    return tuple(found)
