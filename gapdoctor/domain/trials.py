"""What `fix` plans, runs and finds: `plan.json` and `fix.json` are these records written out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Interval
from gapdoctor.domain.recipe import Recipe

PLAN_SCHEMA = "gapdoctor.plan/1"
FIX_SCHEMA = "gapdoctor.fix/1"

CONTROL = "control"
"""The student retrained with the recipe that ran, unchanged."""
WITHOUT_TEACHER = "without_teacher"
"""The same, learning from the labels alone."""

Start = Literal["scratch", "checkpoint"]
Status = Literal["verified", "promising", "not_verified", "not_applicable", "not_reached"]
TrialStatus = Literal["done", "failed", "not_reached"]


def trial_name(fix: str, start: Start, seed: int, fold: tuple[int, int] | None = None) -> str:
    """Return the name of a trial: that of its folder."""
    part = "" if fold is None else f"-fold{fold[0]}of{fold[1]}"
    return f"{fix.replace('+', '_and_')}-{start}-{seed}{part}"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a fix changes: a field of the recipe, or something beside it."""

    key: str
    """Dotted config key, such as `recipe.temperature`."""
    before: Any
    after: Any
    """Plain values, as TOML holds them; None: unknown, or not there."""


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """One training, said whole: with the case it determines the result."""

    fix: str
    """A fix id, ids joined by `+`, `control` or `without_teacher`."""
    seed: int
    start: Start
    recipe: Recipe
    """What is trained with; every field that matters is known."""
    epochs: int
    """Whole epochs of this training."""
    anneal: bool = False
    """The learning rate is brought to 0 at its end, where the schedule does not."""
    larger: bool = False
    """The larger student is trained."""
    fold: tuple[int, int] | None = None
    """Its number from 1, and of how many: these train rows are left out and watched instead of
    half A. Which rows they are is drawn by the seed."""

    @property
    def name(self) -> str:
        """Its folder, and its place in the list of trials."""
        return trial_name(self.fix, self.start, self.seed, self.fold)

    def record(self, status: TrialStatus, **told: Any) -> TrialRecord:
        """Return how it ended; `told` are further fields of the record."""
        return TrialRecord(self.fix, self.seed, status, start=self.start, fold=self.fold, **told)


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """How a trial ended."""

    fix: str
    seed: int
    status: TrialStatus
    heldout_loss: float | None = None
    """On half A (of a fold: on the rows that it left out), at its own temperature; nats."""
    seconds: float = 0.0
    start: Start = "scratch"
    note: str = ""
    """Why it failed, or how far it came, in one line."""
    trained_samples: int = 0
    """Rows that went through the student forwards and backwards."""
    fields_read: tuple[str, ...] | None = None
    """Fields of the recipe that the user's own trainer looked at; None: gapdoctor trained."""
    fold: tuple[int, int] | None = None
    """As its spec has it."""

    @property
    def name(self) -> str:
        """That of its spec."""
        return trial_name(self.fix, self.start, self.seed, self.fold)


@dataclass(frozen=True, slots=True)
class ClinicCount:
    """What a fix did to planted faults of one cause (`tests/clinic`), each beside its control."""

    cause: Cause
    faults: int
    helped: int
    """In so many the whole interval of fix − control was below 0."""
    harmed: int
    """In so many it was above."""


@dataclass(frozen=True, slots=True)
class PlannedFix:
    """A fix as planned, or why it is not."""

    id: str
    treats: tuple[Cause, ...]
    """Of the causes found, those that it treats; most likely first."""
    summary: str
    """One sentence: what it does here."""
    changes: tuple[Change, ...] = ()
    free: bool = False
    """Nothing is trained."""
    start: Start | None = None
    """None: as the other arms."""
    expected_gain: float | None = None
    """Nats; None: nothing is known."""
    expected_seconds: float = 0.0
    """Of all its trials."""
    clinic: ClinicCount | None = None
    """What it did to planted faults of the first of these causes; None: not measured."""
    status: Literal["planned", "not_applicable", "not_reached"] = "planned"
    reason: str = ""
    """Why it is not planned."""


@dataclass(frozen=True, slots=True)
class Together:
    """Fixes that are tried as one where each alone points the right way."""

    fixes: tuple[str, ...]
    """Ids."""
    reason: str
    """Why one needs the other, in a sentence with its source."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A fixed list of fixes and trials."""

    hash: str
    """Of the pair, the data, the config and all that was asked for: a run is resumed where it is
    the same."""
    seed: int
    start: Start
    start_reason: str
    budget: float | None
    """Seconds."""
    recipe: Recipe
    """What ran, as far as is known: the control's."""
    assumed: tuple[str, ...]
    """Fields of it that nobody gave."""
    fixes: tuple[PlannedFix, ...]
    trials: tuple[TrialSpec, ...]
    """In the order in which they are run. After the first seed only the `finalists` that are best
    on half A go on to the next ones."""
    notes: tuple[str, ...] = ()
    finalists: int = 0
    """Fixes that get all seeds; the controls always do."""
    expected_seconds: float = 0.0
    """Of all trials that will be run."""
    pace: tuple[float, ...] = ()
    """Seconds of one step, of one batch by the teacher, of beginning and scoring a trial, and how
    many times a step the larger student takes: as measured when the plan was made, since a plan
    that is resumed must be the same."""
    reserve: tuple[TrialSpec, ...] = ()
    """First trials of fixes that the budget does not reach, in the order in which they are trained
    after all where the others gave too little back and budget is left."""
    together: tuple[Together, ...] = ()
    """Of the planned fixes, those that may need each other."""


@dataclass(frozen=True, slots=True)
class ArmRecord:
    """A control, or the student as it was given, on half B."""

    start: Start
    seeds: int
    heldout_loss: Interval
    heldout_accuracy: Interval
    loss_before_temperature: Interval


@dataclass(frozen=True, slots=True)
class FixRecord:
    """What a fix did, on half B."""

    id: str
    treats: tuple[Cause, ...]
    start: Start
    changes: tuple[Change, ...]
    seeds: int
    status: Status
    heldout_loss: Interval | None = None
    heldout_accuracy: Interval | None = None
    loss_before_temperature: Interval | None = None
    difference: Interval | None = None
    """Fix − control, nats; − given for fixes that train nothing. Negative is better."""
    accuracy_difference: Interval | None = None
    same_sign: bool | None = None
    """Of the difference, in every seed."""
    p_value: float | None = None
    """None with fewer than 6 seeds: seeds are not resampled then."""
    verified: bool = False
    reason: str = ""
    """Why it was not tried, or what keeps it from being verified."""


@dataclass(frozen=True, slots=True)
class Given:
    """The student that the user has, on half B."""

    heldout_loss: Interval
    """At its own temperature, fitted on half A."""
    heldout_accuracy: Interval
    loss_before_temperature: Interval


@dataclass(frozen=True, slots=True)
class Written:
    """The files that were written, relative to the output folder; None: not written."""

    checkpoint: str | None = None
    config: str | None = None
    diff: str | None = None


@dataclass(frozen=True, slots=True)
class FixCost:
    """What a run cost."""

    seconds: float
    trained_samples: int
    """Rows that went through a student forwards and backwards, all trials together."""
    trainings: float
    """Seconds over those of one control."""


@dataclass(frozen=True, slots=True)
class Round:
    """Trainings that were run one after another, and why they were run then."""

    fixes: tuple[str, ...]
    """Fix ids, ids joined by `+`, `control` or `without_teacher`; in their order."""
    seeds: tuple[int, ...]
    reason: str
    """One sentence."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The whole of what `fix --apply` found."""

    version: str
    created: str
    seed: int
    command: str
    plan: Plan
    given: Given
    controls: tuple[ArmRecord, ...]
    fixes: tuple[FixRecord, ...]
    """The best first; those that were not tried, last."""
    trials: tuple[TrialRecord, ...]
    chosen: str | None
    """A fix id, ids joined by `+`, `control`, or None: no fix verified."""
    improvement: Interval | None
    """Written − given, nats."""
    minimum_detectable_effect: float
    """Nats that the rows of half B can show, at a power of 80 %."""
    written: Written
    cost: FixCost
    histories: Mapping[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)
    """Curves by trial name: rows of (epoch, train_loss, heldout_loss on half A, accuracy, lr)."""
    notes: tuple[str, ...] = ()
    rounds: tuple[Round, ...] = ()
    """What was trained, in which order, and why."""
