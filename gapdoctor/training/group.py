"""Several trials in one process: rows are read, and the teacher is asked, once for all."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from gapdoctor.domain.trials import TrialRecord, TrialSpec, TrialStatus
from gapdoctor.errors import GapDoctorError, IncompleteRun, OutputError
from gapdoctor.observe.case import Case
from gapdoctor.observe.observations import Settings
from gapdoctor.observe.progress import Progress
from gapdoctor.training.callbacks import Callback
from gapdoctor.training.folder import TrialFolder
from gapdoctor.training.materials import Materials
from gapdoctor.training.trial import SAVE_EVERY, Conditions


def run_group(
    specs: Sequence[TrialSpec],
    case: Case | Materials,
    folder: Path,
    *,
    settings: Settings | None = None,
    should_stop: Callable[[], bool] | None = None,
    progress: Progress | None = None,
    watching: Sequence[Callback] = (),
    save_every: float = SAVE_EVERY,
) -> list[TrialRecord]:
    """Run trials one after another; one that fails costs itself alone.

    Parameters
    ----------
    specs : sequence of TrialSpec
        Of one case.
    case : Case or Materials
        As `run_trial` takes it.
    folder : Path
        Each trial has a folder in it, by its name.
    settings, should_stop, progress, watching, save_every
        As `run_trial` takes them.

    Returns
    -------
    list of TrialRecord
        One a spec. `failed` tells why in one line (`failed.json`, with `error.log` beside it where
        nobody expected it) and is tried again next time, unless it diverged; those that
        `should_stop` kept from their end are `not_reached`.

    Raises
    ------
    IncompleteRun
        When the disk is full or a folder cannot be written: no other trial would fare better.
    """
    conditions = Conditions(
        case if isinstance(case, Materials) else Materials(case, settings),
        should_stop or (lambda: False), progress or Progress(), watching, save_every,
    )  # fmt: skip
    try:
        return [_run(spec, folder / spec.name, conditions) for spec in specs]
    except OutputError as error:
        raise IncompleteRun(error.message, error.hint) from error


def _run(spec: TrialSpec, folder: Path, conditions: Conditions) -> TrialRecord:
    place = TrialFolder(folder)
    if conditions.should_stop():
        return place.done() or _ended(spec, "not_reached", "stopped before it began")
    try:
        return conditions.trial(spec, folder)
    except OutputError:
        raise
    except GapDoctorError as error:
        return place.fail(_ended(spec, "failed", error.message))
    except Exception as error:  # noqa: BLE001 - a crashing trial is told and stops no other
        told = " ".join(f"{type(error).__name__}: {error}".split())
        return place.fail(_ended(spec, "failed", told), traceback.format_exc())


def _ended(spec: TrialSpec, status: TrialStatus, note: str) -> TrialRecord:
    return spec.record(status, note=note)
