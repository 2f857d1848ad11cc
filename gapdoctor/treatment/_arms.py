"""From the folders of trials to arms that can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gapdoctor.domain.trials import CONTROL, Plan, PlannedFix, Start, TrialRecord, TrialSpec
from gapdoctor.training.folder import TrialFolder
from gapdoctor.training.heldout import read_outputs
from gapdoctor.verify import Arm, Comparison, HeldoutRows


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

    def find(self, fix: str, start: Start, seed: int) -> TrialSpec:
        """Return one of them."""
        return next(s for s in self.specs if (s.fix, s.start, s.seed) == (fix, start, seed))


def arms_of(
    trained: Trained, folder: Path, rows: HeldoutRows, *, with_temperature: bool
) -> dict[tuple[str, Start], Arm]:
    """Return the arm of each fix and start, with the seeds that ended well."""
    logits: dict[tuple[str, Start], dict[int, NDArray[np.float32]]] = {}
    for spec in trained.done():
        found = read_outputs(TrialFolder(folder / spec.name).outputs)
        logits.setdefault((spec.fix, spec.start), {})[spec.seed] = found.logits
    return {
        (fix, start): Arm.of(fix, start, by_seed, rows, with_temperature=with_temperature)
        for (fix, start), by_seed in logits.items()
    }


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


def joined(plan: Plan, first: str, second: str) -> PlannedFix:
    """Return two planned fixes as one."""
    one, other = (next(f for f in plan.fixes if f.id == name) for name in (first, second))
    gains = [f.expected_gain for f in (one, other) if f.expected_gain is not None]
    return replace(
        one,
        id=f"{first}+{second}",
        treats=tuple(dict.fromkeys((*one.treats, *other.treats))),
        summary=f"{one.summary} {other.summary}",
        changes=(*one.changes, *(c for c in other.changes if c not in one.changes)),
        expected_gain=max(gains, default=None),
    )
