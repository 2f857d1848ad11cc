"""`fix` on one planted fault: diagnosed, fixed, and the written student measured on other rows."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import gapdoctor
from gapdoctor.corrections._apply import with_corrections
from gapdoctor.domain.findings import Interval
from gapdoctor.domain.recipe import Recipe
from gapdoctor.domain.trials import CONTROL, Plan, TrialSpec
from gapdoctor.engines._base import Applied, Conditions, Watcher
from gapdoctor.engines.inline import Inline
from gapdoctor.fixes._base import patient_of
from gapdoctor.fixes._lengths import of_length
from gapdoctor.stats.intervals import mean_interval
from gapdoctor.training.batches import batch_count
from gapdoctor.treatment._own_loop import RETRAIN
from gapdoctor.treatment._pace import measure_pace
from tests.clinic.attempts import Attempt, free_attempts
from tests.clinic.entries import Entry
from tests.clinic.fixable import SETTINGS, fixable_of, said_of
from tests.clinic.healing_cases import HealingCase, name_of
from tests.clinic.healing_random import Random, random_draws
from tests.clinic.store import key_of
from tests.clinic.versions import clinic_hash

if TYPE_CHECKING:
    from gapdoctor.observe.case import Case
    from gapdoctor.treatment._record import Fixed

TIMES, TIMES_AUGMENTED = 3.0, 6.0
"""What a whole `fix` may cost, in trainings with a live teacher: where the teacher's outputs can be
kept, and where each step asks about new views."""
TRIALS_SHARE = 0.93
"""Of that, what `fix` is given as its budget: planning, scoring and verifying come on top."""
SEEDS = 3


@dataclass(frozen=True)
class Healed:
    """What came of one case, as plain data. Losses are on the third set, in nats."""

    name: str
    cluster: str
    """Cases of one student are one cluster."""
    key: str
    fixable: bool
    """Whether the reference is verified better on half B."""
    damage: float
    """L_faulty − L_reference."""
    why_not: str = ""
    """What keeps the reference from being verified."""
    causes: tuple[str, ...] = ()
    """As diagnosed, most likely first, those of confidence 0.2 or more."""
    chosen: str | None = None
    """What was written; None: no fix verified."""
    anew: bool = False
    """Whether that is the declared recipe, trained anew, beside the given student: the control
    itself is the cure."""
    tried: tuple[str, ...] = ()
    """Fixes of the plan; the control is none."""
    verified: tuple[str, ...] = ()
    start: str = ""
    change: float | None = None
    """L_fixed − L_faulty; None where nothing was written."""
    change_low: float | None = None
    change_high: float | None = None
    accuracy_change: float | None = None
    accuracy_change_high: float | None = None
    applicable: tuple[str, ...] = ()
    """Fixes that could be tried, from which is drawn."""
    draws: tuple[str, ...] = ()
    """What as many fixes drawn at random would write, a draw each, "" for nothing; empty where none
    were trained."""
    attempts: tuple[Attempt, ...] = ()
    """What the free fixes did, and every other one where random fixes were trained."""
    augmented: bool = False
    """Whether each step asks the teacher about new views."""
    times: float = float("nan")
    """Seconds of `fix` over those of one training with a live teacher, both of the processor."""
    seconds: float = 0.0
    """CPU seconds of all of this: references, diagnosis, fix, random fixes."""
    seconds_of_random: float = 0.0
    error: str | None = None
    code: str = ""

    @property
    def cell(self) -> str:
        """Data set and architecture."""
        return "/".join(self.name.split("/")[:2])

    @property
    def fault(self) -> str:
        """Which was planted."""
        return self.name.split("/")[2]

    @property
    def healed(self) -> bool:
        """Whether a verified fix was written, which is better than the given student too."""
        return is_fix(self.chosen)

    @property
    def draws_healed(self) -> tuple[bool, ...]:
        """Whether random fixes did the same, a draw each."""
        return tuple(is_fix(name) for name in self.draws)

    @property
    def recovered(self) -> float:
        """Share of the damage that was given back; 0 where nothing was written."""
        return 0.0 if self.change is None else -self.change / self.damage

    @property
    def no_better(self) -> bool:
        """Whether the written student is no better on the third set, by the estimate."""
        return self.change is not None and self.change >= 0

    @property
    def worse(self) -> bool:
        """Whether it is worse beyond chance: a loss, or an accuracy, that is surely worse."""
        loss = self.change_low is not None and self.change_low > 0
        accuracy = self.accuracy_change_high is not None and self.accuracy_change_high < 0
        return loss or accuracy


def is_fix(written: str | None) -> bool:
    """Tell whether what is written is a verified fix; the control is none."""
    return written not in (None, "", CONTROL)


def key_of_entry(entry: Entry) -> str:
    """Return what tells a case, as this code of the clinic makes it, from every other."""
    return key_of(entry, data=f"healing {clinic_hash()}".encode())


def healed_of(entry: Entry, with_random: bool = True) -> Healed:
    """Evaluate one case; what raises is a fault that was not healed, not hidden."""
    cpu, torch_threads = time.process_time(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        case = HealingCase(entry)
        found = _judged(case)
        if found.fixable:
            try:
                with processor_clock():
                    found = _fixed(case, found, with_random)
            except Exception as error:  # noqa: BLE001 - counted as a failure
                found = replace(found, error=f"{type(error).__name__}: {error}")
    finally:
        torch.set_num_threads(torch_threads)
    return replace(found, seconds=round(time.process_time() - cpu, 1))


@contextmanager
def processor_clock() -> Iterator[None]:
    """Have seconds be those of the processor: what else the machine does is no cost of a fix.

    All that is timed runs in this one thread.
    """
    kept = time.monotonic, time.perf_counter
    time.monotonic = time.perf_counter = time.process_time
    try:
        yield
    finally:
        time.monotonic, time.perf_counter = kept


# -- fix ---------------------------------------------------------------------------------------


def _judged(case: HealingCase) -> Healed:
    found = fixable_of(case)
    return Healed(
        name_of(case.entry), key_of(case.entry.spec), key_of_entry(case.entry), found.fixable,
        found.damage, why_not=found.why_not,
    )  # fmt: skip


def _fixed(case: HealingCase, so_far: Healed, with_random: bool) -> Healed:
    given = case.given
    diagnosis = gapdoctor.diagnose(given, progress=False)
    plan = gapdoctor.plan(given, diagnosis, device="cpu")
    one = _live_training(given, plan)
    augmented = _asks_anew(plan.recipe)
    budget = TRIALS_SHARE * (TIMES_AUGMENTED if augmented else TIMES) * one
    clock = time.monotonic()
    fixed = gapdoctor.fix(given, diagnosis, budget=budget, seeds=SEEDS, device="cpu")
    seconds = time.monotonic() - clock
    cpu = time.process_time()
    drawn = random_draws(given, diagnosis, fixed.plan, SETTINGS) if with_random else Random()
    patient = patient_of(with_corrections(given), diagnosis)
    free = free_attempts(fixed.fixes, fixed.plan.fixes, patient)
    return replace(
        so_far,
        **_on_third(case, fixed),
        causes=tuple(str(c.id) for c in diagnosis.causes if c.confidence >= 0.2),
        chosen=fixed.chosen,
        anew=fixed.chosen == RETRAIN
        and not any(f.id == RETRAIN and f.status == "planned" for f in fixed.plan.fixes),
        tried=tuple(f.id for f in fixed.plan.fixes if f.status == "planned" and "+" not in f.id),
        verified=tuple(r.id for r in fixed.fixes if r.verified),
        start=fixed.plan.start if fixed.plan.trials else "",
        applicable=drawn.applicable,
        draws=drawn.draws,
        attempts=drawn.attempts or free,
        augmented=augmented,
        times=seconds / one,
        seconds_of_random=round(time.process_time() - cpu, 1),
    )


def _live_training(case: Case, plan: Plan) -> float:
    """Seconds of one training of the student, as declared, with the teacher asked at each step.

    One epoch and five are trained, three times each: the difference of the fastest is free of what
    comes before the first. It is timed here, augmentation included, and not taken from the plan,
    which is judged by it.
    """
    declared = case.recipe.epochs if isinstance(case.recipe, Recipe) else None
    few, more = (min(_seconds(case, plan, epochs) for _ in range(3)) for epochs in (1, 5))
    epoch = max(more - few, 0.0) / 4
    if not _asks_anew(plan.recipe):  # then what the teacher says was kept
        pace = measure_pace(case, plan.recipe, SETTINGS)
        epoch += pace.view * batch_count(len(case.train[0]), plan.recipe.batch_size or 1)
    return few + epoch * (declared or plan.recipe.epochs or 1)


def _seconds(case: Case, plan: Plan, epochs: int) -> float:
    spec = TrialSpec(CONTROL, 0, "scratch", of_length(plan.recipe, epochs), epochs)
    with tempfile.TemporaryDirectory(prefix="clinic-") as folder:
        clock = time.monotonic()
        Inline(case).run([spec], Conditions(Path(folder), SETTINGS), Watcher())
        return time.monotonic() - clock


def _asks_anew(recipe: Recipe) -> bool:
    return bool(recipe.augment) and (recipe.task_weight or 0.0) < 1


def _on_third(case: HealingCase, fixed: Fixed) -> dict[str, Any]:
    """The written student beside the given one, row by row, on rows that the case never held."""
    if fixed.student is None:
        return {}
    third = case.third
    before, after = said_of(third), said_of(third, fixed.student, applied_of(fixed))
    rng = np.random.default_rng(0)
    loss: Interval = mean_interval(after.losses() - before.losses(), rng)
    accuracy = mean_interval(after.hits() - before.hits(), rng)
    return {
        "change": loss.value, "change_low": loss.low, "change_high": loss.high,
        "accuracy_change": accuracy.value, "accuracy_change_high": accuracy.high,
    }  # fmt: skip


def applied_of(fixed: Fixed) -> Applied:
    """Return what is to be done to inputs beside loading the student that was written.

    Class order, statistics and temperature are in its weights.
    """
    changes = {
        change.key: change.after
        for record in fixed.fixes
        if record.verified and record.id == "match_preprocessing"
        for change in record.changes
    }
    return Applied(
        train_pipeline="preprocess.inference" in changes,
        corrections=tuple(changes.get("preprocess.corrections") or ()),
    )
