"""What a fix did, on half B: intervals that hold together, seeds, accuracy, and the words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from math import inf, nan

import numpy as np

from gapdoctor.domain.trials import FixRecord, PlannedFix, Start, Status
from gapdoctor.stats.paired import (
    MIN_SEEDS,
    Compared,
    Family,
    compare_paired,
    minimum_detectable_effect,
)
from gapdoctor.verify.arms import levels
from gapdoctor.verify.comparison import Comparison
from gapdoctor.verify.reasons import (
    VERIFYING_SEEDS,
    failing_of,
    needed_for,
    split_seeds,
    too_few,
    unread,
)


@dataclass(frozen=True)
class Judgement:
    """Fixes as half B sees them."""

    records: tuple[FixRecord, ...]
    """In the order of the comparisons."""
    minimum_detectable_effect: float
    """Nats that these rows can show at a power of 80 %, of a fix whose rows scatter as those of
    the fixes judged do (their median); NaN where none was."""
    critical: float
    """Half an interval's width, in standard errors; NaN where no fix was judged."""
    needed: tuple[str, ...]
    """For each fix that seems better and is not verified, what would be needed to tell."""
    notes: tuple[str, ...]
    """How the intervals are to be read."""

    @property
    def verified(self) -> tuple[str, ...]:
        """Ids of verified fixes."""
        return tuple(r.id for r in self.records if r.verified)


def judge(
    comparisons: Sequence[Comparison],
    rng: np.random.Generator,
    *,
    finalists: Collection[str] | None = None,
) -> Judgement:
    """Judge fixes on half B.

    A fix is verified where the simultaneous 95 % interval of its paired difference (seeds
    averaged row by row) lies below 0, every one of at least three seeds says better, and accuracy
    is not lower by more than a point in its estimate, nor its whole interval below 0. With fewer
    seeds it is promising. A fix that trains nothing has no seeds: the interval and the accuracy
    decide. Nothing but the half's rows and these rules is looked at, so the rows must not have
    chosen the fixes (Dwork et al. 2015, Science 349:636–638).

    Parameters
    ----------
    comparisons : sequence of Comparison
        Those that are judged together: the fixes that train nothing in one call (before anything
        is trained), all others in another.
    rng : Generator
        The only source of randomness.
    finalists : collection of str, optional
        Ids that are judged (`Ranking.finalists`); of others, losses are told and no difference.
        None: all.
    """
    read = [c for c in comparisons if c.seeds and (finalists is None or c.plan.id in finalists)]
    family = _family(read, rng) if read else None
    compared = dict(zip((c.plan.id for c in read), family.arms, strict=True)) if family else {}
    records = [_record(c, compared.get(c.plan.id), family, rng) for c in comparisons]
    return Judgement(
        records=tuple(records),
        minimum_detectable_effect=_detectable(family),
        critical=family.critical if family else nan,
        needed=tuple(needed_for(r, compared[r.id], family) for r in records
                     if family and r.id in compared and _seems_better(r)),
        notes=_notes(read, family),
    )  # fmt: skip


def untested(plan: PlannedFix, start: Start, status: Status, reason: str) -> FixRecord:
    """Return the record of a fix that was not tried, or all of whose trainings failed."""
    return FixRecord(
        plan.id, plan.treats, plan.start or start, plan.changes, 0, status, reason=reason
    )


def best_first(records: Sequence[FixRecord]) -> tuple[FixRecord, ...]:
    """Return records in the order in which they are reported: those not tried stand last."""

    def place(record: FixRecord) -> tuple[int, float, str]:
        loss = record.heldout_loss.value if record.heldout_loss else inf
        return _ORDER.index(record.status), loss, record.id

    return tuple(sorted(records, key=place))


_ORDER: tuple[Status, ...] = (
    "verified", "promising", "not_verified", "not_reached", "not_applicable",
)  # fmt: skip


def _family(read: Sequence[Comparison], rng: np.random.Generator) -> Family:
    rows = read[0].fix.rows
    return compare_paired([c.on_b() for c in read], rng, groups=rows.groups_in(rows.reporting))


def _record(
    comparison: Comparison, found: Compared | None, family: Family | None, rng: np.random.Generator
) -> FixRecord:
    plan, seeds = comparison.plan, comparison.seeds
    fix = comparison.fix.only(seeds) if seeds else comparison.fix
    loss, accuracy, before = levels(fix, rng)
    record = replace(
        untested(plan, fix.start, "not_verified", ""), seeds=0 if plan.free else len(fix.seeds),
        heldout_loss=loss, heldout_accuracy=accuracy, loss_before_temperature=before,
    )  # fmt: skip
    if found is None or family is None:
        return replace(record, reason=unread(comparison))
    groups = fix.rows.groups_in(fix.rows.reporting)
    change = compare_paired([comparison.accuracy_on_b()], rng, groups=groups).arms[0].difference
    failing = failing_of(found, change, family.units) + ([] if plan.free else split_seeds(found))
    few = not plan.free and len(seeds) < VERIFYING_SEEDS
    return replace(
        record,
        status="not_verified" if failing else "promising" if few else "verified",
        difference=found.difference,
        accuracy_difference=change,
        same_sign=None if plan.free else found.same_sign,
        p_value=None if plan.free else found.p_value,
        verified=not failing and not few,
        reason="; ".join(failing) if failing else too_few(len(seeds)) if few else "",
    )


def _seems_better(record: FixRecord) -> bool:
    found = record.difference
    return not record.verified and found is not None and found.value < 0


def _detectable(family: Family | None) -> float:
    errors = [a.standard_error for a in family.arms if a.standard_error > 0] if family else []
    if family is None or not errors:
        return nan
    return minimum_detectable_effect(float(np.median(errors)), family.critical)


def _notes(read: Sequence[Comparison], family: Family | None) -> tuple[str, ...]:
    if family is None:
        return ()
    notes = [f"The intervals of {len(read)} fixes hold together at 95 %."] if len(read) > 1 else []
    if any(not c.plan.free and len(c.seeds) < MIN_SEEDS for c in read):
        notes.append(
            f"With fewer than {MIN_SEEDS} seeds, seeds are not resampled: the intervals hold for "
            "the seeds that were trained."
        )
    return tuple(notes)
