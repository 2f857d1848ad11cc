"""The record that every report is drawn from; `diagnosis.json` is this record written out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Evidence, Interval, Skipped, Table, Warning_
from gapdoctor.domain.recipe import RecipeRecord

SCHEMA = "gapdoctor.diagnosis/1"

Severity = Literal["high", "medium", "low"]


class Verdict(StrEnum):
    """The one word of a diagnosis."""

    HEALTHY = "healthy"
    GENERALIZATION_GAP = "generalization_gap"
    FIT_SHORTFALL = "fit_shortfall"
    SHARED_GAP = "shared_gap"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """One of the two models, as it was read."""

    file: str | None
    """The checkpoint's path as the user named it; None for a live object or a logits file."""
    sha256: str | None
    parameters: int | None


@dataclass(frozen=True, slots=True)
class SplitUse:
    """How much of a split there is, and how much was looked at."""

    samples: int | None
    """None for a stream."""
    used: int


@dataclass(frozen=True, slots=True)
class DataRecord:
    """The data: both splits and the classes."""

    train: SplitUse
    heldout: SplitUse
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HalfUse:
    """One half of the held-out rows: how many, and where they come from."""

    rows: int
    source: Literal["heldout", "test"]


@dataclass(frozen=True, slots=True)
class Halves:
    """A chooses, B reports."""

    choosing: HalfUse
    reporting: HalfUse


@dataclass(frozen=True, slots=True)
class Metrics:
    """One model on one split: eval mode, T = 1, mean cross-entropy."""

    model: Literal["teacher", "student"]
    split: Literal["train", "heldout"]
    n: int
    loss: Interval
    accuracy: Interval
    calibration_error: Interval


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How closely the student follows its teacher on one split (Stanton et al. 2021)."""

    agreement: Interval
    """Share of rows with the same predicted class."""
    kl: Interval
    """Mean KL(teacher ‖ student), nats."""


@dataclass(frozen=True, slots=True)
class Gap:
    """The exact split: excess = fit_deficit + excess_gap. All in nats."""

    excess: Interval
    fit_deficit: Interval
    excess_gap: Interval
    student_generalization: Interval
    teacher_generalization: Interval
    noise_floor: float
    """Half the width of the excess's interval."""
    limit: float
    """h = max(0.05, 0.1 · teacher's held-out loss): the named limit of a gap worth treating."""


@dataclass(frozen=True, slots=True)
class RankedCause:
    """A cause, with what it explains and what speaks for and against it."""

    rank: int
    id: Cause
    severity: Severity
    explained: Interval
    shared: Interval
    alternative_to: Cause | None
    confidence: float
    summary: str
    correction: str | None
    evidence: tuple[Evidence, ...]
    fixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """What the diagnosis cost."""

    seconds: float
    forward_samples: int
    """Rows sent through a model, both models and all probes together."""
    bare_forward_seconds: float
    """What one bare pass of teacher and student over the samples used took."""
    preparing_seconds: float = 0.0
    """Of `seconds`, what reading and preparing inputs took: files, decoding, pipelines."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The whole of what `diagnose` found."""

    version: str
    created: str
    seed: int
    command: str
    environment: Mapping[str, str]
    student: ModelRecord
    teacher: ModelRecord
    data: DataRecord
    recipe: RecipeRecord
    halves: Halves
    metrics: tuple[Metrics, ...]
    """Four rows: teacher and student on train and held-out."""
    fidelity_train: Fidelity
    fidelity_heldout: Fidelity
    gap: Gap
    verdict: Verdict
    causes: tuple[RankedCause, ...]
    unexplained: Interval
    warnings: tuple[Warning_, ...]
    skipped: tuple[Skipped, ...]
    tables: Mapping[str, Table]
    cost: Cost
    notes: tuple[str, ...] = field(default=())
    """What was assumed or replaced on the way (a random transform step, a prefix stripped)."""
    pictures: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """PNG by file name, of the rows in `tables["samples"]`; beside `diagnosis.json`, not in it."""

    def to_frame(self) -> Any:
        """Return the ranked causes as a pandas DataFrame, a row a cause."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "rank": c.rank,
                    "cause": str(c.id),
                    "severity": c.severity,
                    "explained": c.explained.value,
                    "explained_low": c.explained.low,
                    "explained_high": c.explained.high,
                    "shared": c.shared.value,
                    "alternative_to": None if c.alternative_to is None else str(c.alternative_to),
                    "confidence": c.confidence,
                    "correction": c.correction,
                    "summary": c.summary,
                }
                for c in self.causes
            ],
            columns=[
                "rank", "cause", "severity", "explained", "explained_low", "explained_high",
                "shared", "alternative_to", "confidence", "correction", "summary",
            ],
        )  # fmt: skip
