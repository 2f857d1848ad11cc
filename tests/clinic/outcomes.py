"""What was said of a planted pair, as plain data beside the truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gapdoctor.domain.diagnosis import Diagnosis
    from tests.clinic.cases import Planted

NAMED = 0.5
"""Confidence from which a cause counts as named."""
SOUND = frozenset({"healthy", "inconclusive"})


@dataclass(frozen=True)
class Said:
    """One ranked cause."""

    cause: str
    confidence: float
    explained: float
    correction: str | None


@dataclass(frozen=True)
class Outcome:
    """One evaluation."""

    name: str
    part: str
    kind: str
    arch: str
    fault: str
    severity: str
    variant: str
    cluster: str
    truth: tuple[str, ...]
    second: tuple[str, ...]
    also: tuple[str, ...]
    corrections: tuple[str, ...]
    damage: float
    excess: float
    verdict: str
    causes: tuple[Said, ...]
    warnings: tuple[str, ...] = ()
    crashed: tuple[str, ...] = ()
    voided: bool = False
    seconds: float = 0.0
    error: str | None = None
    key: str = ""
    """Of the pair (`Planted.key`)."""
    code: str = ""
    """Hash of the gapdoctor that said this."""

    @property
    def cell(self) -> str:
        """Data set and architecture."""
        return "/".join(self.name.split("/")[:2])

    @property
    def is_healthy(self) -> bool:
        """Whether nothing was planted."""
        return not self.truth

    @property
    def right(self) -> frozenset[str]:
        """Causes that are right to name."""
        return frozenset((*self.truth, *self.second, *self.also))

    @property
    def named(self) -> tuple[Said, ...]:
        """Causes of enough confidence."""
        return tuple(said for said in self.causes if said.confidence >= NAMED)

    @property
    def top1(self) -> bool:
        """Whether the first cause is the planted one (one of the two)."""
        first = frozenset((*self.truth, *self.second))
        return bool(self.causes) and self.causes[0].cause in first

    @property
    def top2(self) -> bool:
        """Whether the first two causes hold the planted one (both of the two)."""
        said = {cause.cause for cause in self.causes[:2]}
        return all(said & set(one) for one in (self.truth, self.second) if one)

    @property
    def false_alarm(self) -> bool:
        """Whether a healthy pair was called anything else."""
        return self.is_healthy and (self.verdict not in SOUND or bool(self.named))

    @property
    def correction_named(self) -> bool:
        """Whether a mismatch came with a correction that undoes it."""
        return any(
            said.correction is not None and said.correction.partition("(")[0] in self.corrections
            for said in self.causes
            if said.cause == "preprocessing_mismatch"
        )

    @property
    def told(self) -> str:
        """What was said, in a few words."""
        if self.error is not None:
            return f"error: {self.error}"
        causes = ", ".join(
            f"{s.cause} {s.confidence:.2f} ({s.explained:+.2f})"
            + (f" by {shortened(s.correction)}" if s.correction else "")
            for s in self.causes[:3]
        )
        return f"{self.verdict}: {causes or 'no cause'}"

    def to_json(self) -> dict[str, Any]:
        """Return a plain dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Outcome:
        """Return the outcome of a plain dict."""
        plain: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in found.items()
        }
        return cls(**{**plain, "causes": tuple(Said(**said) for said in found["causes"])})


def shortened(correction: str) -> str:
    """Fitted numbers of many columns say nothing to a reader."""
    return correction if len(correction) <= 40 else f"{correction.partition('(')[0]}(…)"


def outcome_of(planted: Planted, diagnosis: Diagnosis | None, error: str | None = None) -> Outcome:
    """Return what a diagnosis said beside what was planted."""
    return Outcome(**_planted_fields(planted), **_said(diagnosis, error))


def judged_anew(outcome: Outcome, planted: Planted) -> Outcome:
    """Return what was said of a pair beside what now counts as its truth."""
    return replace(outcome, **_planted_fields(planted))


def _planted_fields(planted: Planted) -> dict[str, Any]:
    truth = {
        "truth": planted.truth, "second": planted.second, "also": planted.also,
        "corrections": planted.corrections,
    }  # fmt: skip
    fields: dict[str, Any] = {name: tuple(sorted(causes)) for name, causes in truth.items()}
    for name in (
        "name", "part", "kind", "arch", "fault", "severity", "variant", "cluster", "damage",
        "excess", "key",
    ):  # fmt: skip
        fields[name] = getattr(planted, name)
    return fields


def _said(diagnosis: Diagnosis | None, error: str | None) -> dict[str, Any]:
    if diagnosis is None:
        return {"verdict": "error", "causes": (), "error": error}
    return {
        "verdict": str(diagnosis.verdict),
        "causes": tuple(
            Said(str(c.id), c.confidence, c.explained.value, c.correction) for c in diagnosis.causes
        ),
        "warnings": tuple(w.id for w in diagnosis.warnings),
        "crashed": tuple(
            f"{s.probe}: {s.reason}" for s in diagnosis.skipped if "crashed" in s.reason
        ),
        "voided": any(w.voids for w in diagnosis.warnings),
        "seconds": round(diagnosis.cost.seconds, 2),
    }
