"""What was planted, written down."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tests.clinic.models import StudentSpec
from tests.clinic.training import Plan


@dataclass(frozen=True)
class Entry:
    """One fault that was planted, or one healthy student."""

    cell: str
    fault: str
    """`healthy` for none; two names joined by `+` for a double fault."""
    severity: str
    spec: StudentSpec
    knob: Any = None
    """Of the fault at inference; None where the fault is in the training."""
    training_knob: Any = None
    damage: float = 0.0
    damage_low: float = 0.0
    damage_high: float = 0.0
    excess: float = 0.0
    """Student − teacher on held-out rows, the teacher through the train pipeline."""
    shared_excess: float = 0.0
    """The same where the teacher meets the fault too."""
    memorised: float | None = None
    """Share of wrongly labelled train rows whose label the student gives."""

    def to_json(self) -> dict[str, Any]:
        """Return a plain dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Entry:
        """Return the entry of a plain dict."""
        plan = Plan(**found["spec"]["plan"])
        priors = found["spec"]["priors"]
        spec = StudentSpec(
            **{**found["spec"], "plan": plan, "priors": tuple(priors) if priors else None}
        )
        return cls(**{**found, "spec": spec})


@dataclass(frozen=True)
class Dropped:
    """What could not be planted, and why."""

    cell: str
    fault: str
    severity: str
    reason: str
