"""`plan` and `fix`: from a diagnosis to a plan, and from a plan to a better student."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path

from gapdoctor.corrections._apply import with_corrections
from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.domain.durations import seconds_in
from gapdoctor.domain.trials import Plan, Start
from gapdoctor.engines._base import Conditions, Engine, Watcher
from gapdoctor.engines.inline import Inline
from gapdoctor.engines.local import Local
from gapdoctor.engines.names import check_engine
from gapdoctor.errors import GapDoctorError
from gapdoctor.files import locked
from gapdoctor.filing import keep_diagnosis, write_reports
from gapdoctor.fixes._rounds import first_trials
from gapdoctor.loading.fingerprint import fingerprint
from gapdoctor.observe.borrow import own_random_state
from gapdoctor.observe.case import Case
from gapdoctor.observe.checks import check_case
from gapdoctor.storage import prepare_folder, write_outcome, write_plan
from gapdoctor.storage.folder import PLAN
from gapdoctor.treatment._record import Fixed, Heading, outcome_of, plain_outcome
from gapdoctor.treatment._write import Writer
from gapdoctor.treatment.prepare import Asked, Made, config_of, prepare
from gapdoctor.treatment.run import Treated, Treatment
from gapdoctor.version import __version__

TRIALS = "trials"


def plan(
    case: Case,
    diagnosis: Diagnosis,
    *,
    budget: str | float | None = None,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    seeds: int = 3,
    start: Start | None = None,
    seed: int = 0,
    device: str = "auto",
    batch_size: int = 256,
    folder: Path | str | None = None,
) -> Plan:
    """Return which fixes would be tried, why, in which order, and what they cost.

    Nothing is trained but a few steps of a copy of the student, to time them.

    Parameters
    ----------
    case, diagnosis, budget, only, skip, seeds, start, seed, device, batch_size
        See `fix`.
    folder : path, optional
        Of an earlier run: where its `plan.json` is of the same pair, data, config and options, it
        is returned as it is.

    Raises
    ------
    GapDoctorError
        When `only` or `skip` names no fix, or the student cannot begin as asked.
    """
    asked = _asked(budget, only, skip, seeds, start, seed, device, batch_size)
    check_case(case)
    with own_random_state(seed):
        made = prepare(with_corrections(case), diagnosis, asked, _as_path(folder))
    return made.plan


def fix(
    case: Case,
    diagnosis: Diagnosis,
    *,
    budget: str | float | None = None,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    seeds: int = 3,
    start: Start | None = None,
    seed: int = 0,
    device: str = "auto",
    batch_size: int = 256,
    engine: str = "local",
    folder: Path | str | None = None,
    resume: bool = True,
    watcher: Watcher | None = None,
    command: str = "",
) -> Fixed:
    """Apply free corrections, retrain a control and the variants, verify, choose.

    Parameters
    ----------
    case : Case
        The pair with its data. One from `load_case` trains in processes of its own; live objects
        train in the caller's, one trial after another. Left as it was.
    diagnosis : Diagnosis
        Of this case.
    budget : str or float, optional
        `"10m"`, or seconds: what the plan may take, and after which no trial goes on.
    only, skip : sequence of str
        Fix ids.
    seeds : int
        Of the control and the best fixes; with fewer than 3 nothing that trains is verified.
    start : {"scratch", "checkpoint"}, optional
        From where students are trained; left out: from scratch where budget and factory allow it.
    seed : int
        Trial k runs with seed + k.
    device : str
        `auto`, `cpu`, `cuda` or `mps`.
    batch_size : int
        Rows a forward pass of scoring.
    engine : str
        `local`; others are not available.
    folder : path, optional
        Where diagnosis, plan, trials, results and reports are written, and from where a run of
        the same plan is resumed. Left out: nothing is kept but what is returned.
    resume : bool
        False: trials that the folder holds are deleted first.
    watcher : Watcher, optional
        Told how trials go.
    command : str
        What was typed, for the record.

    Returns
    -------
    Fixed
        `trials`, `fixes` (the best first), `chosen` (None: no fix verified), `student`. To diagnose
        that student, give its `Case` this `folded_temperature` too.

    Raises
    ------
    GapDoctorError
        When the pair cannot be trained, or an option is not known.
    """
    asked = _asked(budget, only, skip, seeds, start, seed, device, batch_size)
    runner = engine_of(engine, case)
    with _place(_as_path(folder), case, resume) as place:
        if place.folder is not None:
            check_case(case)
            keep_diagnosis(place.folder, diagnosis, fingerprint(case, config_of(case)))
        found = run(case, diagnosis, asked, runner, place, watcher or Watcher(), command)
        if place.folder is not None:
            write_reports(place.folder, diagnosis, found)
        return found


# -- steps -------------------------------------------------------------------------------------


def run(
    case: Case,
    diagnosis: Diagnosis,
    asked: Asked,
    engine: Engine,
    place: Place,
    watcher: Watcher,
    command: str,
) -> Fixed:
    """Plan, treat, write (see `fix`); the place is the caller's to prepare and to lock."""
    check_case(case)
    with own_random_state(asked.seed):
        made = prepare(with_corrections(case), diagnosis, asked, place.folder)
        if place.folder is not None:
            write_plan(place.folder, made.plan)
        watcher.planned(made.plan)
        return treat(made, engine, place, watcher, command)


def forget(folder: Path) -> None:
    """Delete the plan and the trials of earlier runs (`--fresh`)."""
    shutil.rmtree(folder / TRIALS, ignore_errors=True)
    (folder / PLAN).unlink(missing_ok=True)


@dataclass(frozen=True)
class Place:
    """Where a run keeps its trials and writes its results."""

    trials: Path
    folder: Path | None
    """None: only what is returned is kept."""


def treat(made: Made, engine: Engine, place: Place, watcher: Watcher, command: str) -> Fixed:
    """Run a plan; write what is chosen, then the record."""
    started, asked, plan = time.monotonic(), made.asked, made.plan
    conditions = Conditions(
        place.trials / plan.hash[:12],
        asked.settings,
        deadline=None if asked.budget is None else started + asked.budget,
        abreast=max(1, len(first_trials(plan))),
    )
    treatment = Treatment(
        made.case, made.patient, plan, made.options, engine, conditions, watcher, made.limit
    )
    treated = treatment.run()
    return _recorded(made, treatment, treated, place, command)


def _recorded(
    made: Made, treatment: Treatment, treated: Treated, place: Place, command: str
) -> Fixed:
    source = made.case.source
    trials = treatment.folder
    writer = Writer(
        made.case, made.patient, treatment.conditions.applied, trials, place.folder, made.config,
        unsafe=source is not None and source.unsafe_load,
    )  # fmt: skip
    result = writer.write(treated)
    heading = Heading(__version__, made.asked.seed, command)
    found = replace(
        outcome_of(treated, trials, heading, result.written, result.student, result.notes),
        folded_temperature=result.folded_temperature,
    )
    if place.folder is not None:
        write_outcome(place.folder, plain_outcome(found), {})
    return found


def engine_of(name: str, case: Case) -> Engine:
    """Return what runs trials.

    Raises
    ------
    GapDoctorError
        When the engine is not known, or not here.
    """
    check_engine(name)
    return Local(case.source) if case.source is not None and case.is_as_loaded else Inline(case)


def _asked(
    budget: str | float | None,
    only: Sequence[str],
    skip: Sequence[str],
    seeds: int,
    start: Start | None,
    seed: int,
    device: str,
    batch_size: int,
) -> Asked:
    seconds = seconds_in(budget) if isinstance(budget, str) else budget and float(budget)
    if seconds is not None and (isnan(seconds) or seconds <= 0):
        raise GapDoctorError(f"budget {budget}: not a time", 'such as "90s", "10m" or "1h30m"')
    for name, value, least in (
        ("seeds", seeds, 1),
        ("seed", seed, 0),
        ("batch-size", batch_size, 1),
    ):
        if value < least:
            raise GapDoctorError(f"--{name} {value}: must be a whole number from {least} on",
                                 f"leave --{name} out")  # fmt: skip
    return Asked(seconds, tuple(only), tuple(skip), seeds, start, seed, device, batch_size)


@contextlib.contextmanager
def _place(folder: Path | None, case: Case, resume: bool) -> Iterator[Place]:
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="gapdoctor-") as scratch:
            yield Place(Path(scratch), None)
        return
    config = config_of(case)
    prepare_folder(folder, [] if config is None else [config.student.checkpoint.path])
    with locked(folder):
        if not resume:
            forget(folder)
        yield Place(folder / TRIALS, folder)


def _as_path(folder: Path | str | None) -> Path | None:
    return None if folder is None else Path(folder)
