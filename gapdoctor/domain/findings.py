"""What a probe says: findings, claims, evidence; and what it says when it cannot."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gapdoctor.domain.causes import Cause

Floats = NDArray[np.float64]


class Side(StrEnum):
    """Which part of the exact split a claim without an intervention speaks of."""

    FIT_DEFICIT = "fit_deficit"
    EXCESS_GAP = "excess_gap"


@dataclass(frozen=True, slots=True)
class Interval:
    """A quantity with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """One measured fact, beside the limit that judged it."""

    probe: str
    statement: str
    """A whole sentence, for a reader who did not run the probe."""
    value: float
    limit: float | None
    unit: str
    """`nats`, `AUC`, `share`, `epochs`, `points`, …"""
    speaks: Literal["for", "against"]


@dataclass(frozen=True, slots=True)
class Returned:
    """What an intervention gave back, row by row, on rows that did not choose it."""

    student: Floats
    """(n,) nats a row: loss before − loss with the intervention."""
    teacher: Floats
    """(n,) the same for the teacher as scored; zeros where it was not touched."""
    split: Literal["heldout", "train"] = "heldout"
    """`heldout`: the rows of the reporting half, in their order. `train`: a transform that
    cannot be undone was done to train rows instead."""


@dataclass(frozen=True, slots=True)
class Intervention:
    """What later probes must stand on, so that interventions are measured one on top of the other.

    `kind` is `pipeline` (name: the pipeline the held-out rows are read through), `correction`
    (name: a correction id, with its parameters), `batchnorm`, `class_order` or `temperature`.
    """

    kind: Literal["pipeline", "correction", "batchnorm", "class_order", "temperature"]
    name: str = ""
    parameters: tuple[tuple[str, float | str | tuple[float, ...]], ...] = ()
    touches_teacher: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """What a finding says about one cause."""

    cause: Cause
    strength: float
    """Log-odds added to the cause's prior; negative speaks against it."""
    topic: str
    """Of several claims about one cause on one topic, the strongest speaks."""
    evidence: tuple[Evidence, ...]
    returned: Returned | None = None
    """What its intervention returned; without one, `side` says what it may explain."""
    side: Side | None = None
    valid_unless: frozenset[Cause] = frozenset()
    """Causes whose presence voids this claim."""
    consequence_of: Cause | None = None
    """The cause that this one follows from, where both are present."""
    needs_cause: Cause | None = None
    """The cause that this one is a reason for: it is never surer than that one."""
    correction: str | None = None
    """The correction that is named, by id."""
    intervention: Intervention | None = None
    """What later probes stand on, where this claim is believed."""
    summary: str = ""
    """One sentence for the ranking, instead of the cause's general meaning."""


@dataclass(frozen=True, slots=True)
class Warning_:
    """Something beside the ranking that the reader must know."""

    id: str
    statement: str
    voids: bool = False
    """True: the ranking does not count."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that a report draws or prints."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def records(self) -> list[dict[str, Any]]:
        """Return one dict a row, for JSON."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True, slots=True)
class Finding:
    """A probe that ran. Without claims: it looked and saw nothing."""

    probe: str
    claims: tuple[Claim, ...] = ()
    warnings: tuple[Warning_, ...] = ()
    tables: tuple[tuple[str, Table], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Skipped:
    """A probe that could not run, and why. Shown beside the rest."""

    probe: str
    reason: str


@dataclass(frozen=True, slots=True)
class Crashed:
    """A probe that raised. It stops nothing; the report names it."""

    probe: str
    reason: str
    """Type and message of the error, one line."""
    traceback: str
    """For the log file, never for the report."""


ProbeResult = Finding | Skipped | Crashed
