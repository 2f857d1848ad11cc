"""From a treatment to the record of it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path

import numpy as np
from torch import nn

from gapdoctor.domain.trials import CONTROL, FixCost, Outcome, Start, TrialRecord, Written
from gapdoctor.training.folder import TrialFolder
from gapdoctor.treatment.run import Treated
from gapdoctor.verify import arm_record, given_record


@dataclass(frozen=True, slots=True)
class Fixed(Outcome):
    """What `fix` found, and the student that it chose."""

    student: nn.Module | None = field(default=None, compare=False, repr=False)
    """In eval mode, on the CPU, as its file holds it; None where no fix was chosen."""
    folded_temperature: float | None = field(default=None, compare=False, repr=False)
    """What its head was divided by since its training (`Case.folded_temperature`)."""


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands above a record."""

    version: str
    seed: int
    command: str


def outcome_of(
    treated: Treated,
    folder: Path,
    heading: Heading,
    written: Written,
    student: nn.Module | None,
    notes: tuple[str, ...],
) -> Fixed:
    """Return the record of a treatment.

    Parameters
    ----------
    treated : Treated
        What came of it.
    folder : Path
        Of its trials.
    heading : Heading
        What stands above it.
    written : Written
        What was written.
    student : Module or None
        The one that is handed back.
    notes : tuple of str
        What is to be said of the written files.
    """
    rng = np.random.default_rng(heading.seed)
    records = treated.trained.records
    least = treated.judgement.minimum_detectable_effect
    return Fixed(
        version=heading.version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=heading.seed,
        command=heading.command,
        plan=treated.plan,
        given=given_record(treated.free.given, rng),
        controls=tuple(arm_record(arm, rng) for arm in treated.controls),
        fixes=treated.records,
        trials=records,
        chosen=treated.choice.name,
        improvement=treated.choice.improvement,
        minimum_detectable_effect=least if isfinite(least) else treated.free.detectable,
        written=written,
        cost=_cost(records, treated.plan.start),
        histories={
            r.name: TrialFolder(folder / r.name).curve() for r in records if r.status == "done"
        },
        rounds=treated.rounds,
        notes=(*treated.plan.notes, *treated.notes, *_needed(treated), *notes),
        student=student,
    )


def plain_outcome(found: Outcome) -> Outcome:
    """Return the record alone, as it is stored."""
    return Outcome(**{f.name: getattr(found, f.name) for f in fields(Outcome)})


def _needed(treated: Treated) -> tuple[str, ...]:
    """What kept fixes and candidates back, where nothing is chosen."""
    if treated.choice.name is not None:
        return ()
    told = (*treated.judgement.needed, *treated.choice.needed)
    return tuple(f"{text}." for text in dict.fromkeys(told))


def _cost(records: tuple[TrialRecord, ...], start: Start) -> FixCost:
    seconds = sum(r.seconds for r in records)
    controls = [r for r in records if r.fix == CONTROL and r.status == "done" and r.seconds > 0]
    of_start = [r.seconds for r in controls if r.start == start] or [r.seconds for r in controls]
    one = sum(of_start) / len(of_start) if of_start else float("nan")
    return FixCost(seconds, sum(r.trained_samples for r in records), seconds / one)
