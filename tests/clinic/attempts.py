"""What one strategy did to one planted fault, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Literal

import numpy as np

from gapdoctor.domain.findings import Interval
from gapdoctor.domain.trials import FixRecord, PlannedFix
from gapdoctor.fixes._base import NotApplicable, Patient, all_fixes
from gapdoctor.stats.paired import compare_paired
from gapdoctor.verify import Comparison, difference_interval

Verdict = Literal["helped", "harmed", "open"]


@dataclass(frozen=True)
class Attempt:
    """A fix that was tried on a fault. Losses are on half B, in nats."""

    fix: str
    cause: str = ""
    """The likeliest cause of the diagnosis that it treats; empty: it treats none of those found."""
    confidence: float = 0.0
    """Of that cause."""
    explained: float = 0.0
    """Nats that the diagnosis gives that cause."""
    expected_share: float = 0.0
    """Share of the cause's nats that the fix promised here."""
    free: bool = False
    """Nothing is trained."""
    seeds: int = 0
    """That it and its control were both trained with; one where it was no better on half A."""
    difference: float | None = None
    """Fix − control; − given for a free fix. None: it was not judged."""
    low: float | None = None
    high: float | None = None
    """Of its own 95 % interval."""
    accuracy_difference: float | None = None
    """Share of rows."""
    unmended: bool = False
    """A free fix was verified, and this was trained without it, unlike in a `fix`."""
    reason: str = ""
    """Why it was not judged: half A spoke against it."""
    error: str = ""
    """Of its training, where that failed."""

    @property
    def treats_found(self) -> bool:
        """Whether something that it treats was found."""
        return bool(self.cause)

    @property
    def verdict(self) -> Verdict:
        """By the whole interval."""
        if self.low is None or self.high is None:
            return "open"
        return "helped" if self.high < 0 else "harmed" if self.low > 0 else "open"

    @property
    def given_back(self) -> float:
        """Share of the cause's nats that came back, within ±1; 0 where nothing was put in force."""
        if self.difference is None or not self.explained:
            return 0.0
        return float(np.clip(-self.difference / self.explained, -1.0, 1.0))


def trained_attempt(
    comparison: Comparison, patient: Patient, rng: np.random.Generator, *, unmended: bool
) -> Attempt:
    """Return what a trained fix did beside its control, on the seeds of both."""
    loss = difference_interval(comparison.fix, comparison.control, rng)
    groups = comparison.fix.rows.groups_in(comparison.fix.rows.reporting)
    accuracy = compare_paired([comparison.accuracy_on_b()], rng, groups=groups).arms[0].difference
    return Attempt(
        comparison.plan.id,
        **_promise(comparison.plan, patient),
        **_numbers(loss, accuracy),
        seeds=len(comparison.seeds),
        unmended=unmended,
    )


def failed_attempt(planned: PlannedFix, patient: Patient, error: str) -> Attempt:
    """Return that of a fix whose training failed."""
    return Attempt(planned.id, **_promise(planned, patient), error=error)


def free_attempts(
    records: Sequence[FixRecord], planned: Sequence[PlannedFix], patient: Patient
) -> tuple[Attempt, ...]:
    """Return what each free fix did to the given student, by name.

    Each stands on those before it, as `fix` lays them, and is judged together with them. One that
    could not be tried is none.
    """
    plans = {p.id: p for p in planned if p.free and p.status == "planned"}
    tried = [r for r in records if r.id in plans and r.status != "not_applicable"]
    return tuple(
        Attempt(
            r.id,
            **_promise(plans[r.id], patient),
            **_numbers(r.difference, r.accuracy_difference),
            free=True,
            reason="" if r.difference else r.reason,
        )
        for r in sorted(tried, key=lambda r: r.id)
    )


def _promise(planned: PlannedFix, patient: Patient) -> dict[str, Any]:
    fix = next(f for f in all_fixes() if f.name == planned.id)
    proposed = fix.propose(patient)
    share = 0.0 if isinstance(proposed, NotApplicable) else proposed.expected_share
    if not planned.treats:
        return {"expected_share": share}
    cause = patient.causes[planned.treats[0]]
    return {
        "cause": str(cause.id), "confidence": cause.confidence,
        "explained": cause.explained.value, "expected_share": share,
    }  # fmt: skip


def _numbers(loss: Interval | None, accuracy: Interval | None) -> dict[str, Any]:
    if loss is None:
        return {}
    return {
        "difference": loss.value, "low": loss.low, "high": loss.high,
        "accuracy_difference": None if accuracy is None else accuracy.value,
    }  # fmt: skip


# -- as JSON: what is as usual left out --------------------------------------------------------

_USUAL = {f.name: f.default for f in fields(Attempt) if f.default is not MISSING}
_DIGITS = 4


def compact(attempt: Attempt) -> dict[str, Any]:
    """Return a plain dict, numbers rounded."""
    whole = asdict(attempt)
    rounded = {k: round(v, _DIGITS) if isinstance(v, float) else v for k, v in whole.items()}
    return {k: v for k, v in rounded.items() if v == v and v != _USUAL.get(k)}


def attempt_from(found: Mapping[str, Any]) -> Attempt:
    """Return the attempt of a plain dict."""
    return Attempt(**found)
