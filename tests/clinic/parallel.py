"""Much work in several processes, each process one piece at a time."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

import torch

import gapdoctor
from gapdoctor.errors import GapDoctorError
from tests.clinic.cases import Planted, Slot, variants_of
from tests.clinic.outcomes import Outcome, outcome_of

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def each(
    work: Callable[[_Item], _Found], items: Sequence[_Item], jobs: int
) -> Iterator[tuple[int, _Found]]:
    """Yield the place of an item and what came of it, as soon as it is there.

    One process a job, one thread a process; `work` is a function of a module.
    """
    jobs = min(jobs, len(items))
    if jobs <= 1:
        yield from enumerate(map(work, items))
        return
    pool = _pool(jobs)
    try:
        places = {pool.submit(work, item): place for place, item in enumerate(items)}
        for done in as_completed(places):
            yield places[done], done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def diagnose_all(pairs: Sequence[Planted], jobs: int) -> Iterator[Outcome]:
    """Yield what is said of each, in order."""
    jobs = min(jobs, len(pairs))
    if jobs <= 1:
        yield from map(diagnosed, pairs)
        return
    pool = _pool(jobs)
    try:
        yield from pool.map(_diagnosed_elsewhere, [(p.slot, p.variant) for p in pairs])
    finally:
        pool.shutdown(cancel_futures=True)


def _pool(jobs: int) -> ProcessPoolExecutor:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by the children's own libraries
    # Spawned, not forked: a forked child may wait for a thread of torch that it does not have.
    return ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_one_thread)


def diagnosed(one: Planted) -> Outcome:
    """Return what is said of one pair; a diagnosis that raises is an outcome too."""
    clock = time.monotonic()
    try:
        diagnosis = gapdoctor.diagnose(one.case, progress=False)
    except GapDoctorError as error:
        return outcome_of(one, None, f"{error.message} ({time.monotonic() - clock:.1f} s)")
    except Exception as error:  # noqa: BLE001 - a crash is counted as a failure, not hidden
        return outcome_of(one, None, f"{type(error).__name__}: {error}")
    return outcome_of(one, diagnosis)


def _one_thread() -> None:
    torch.set_num_threads(1)


def _diagnosed_elsewhere(place: tuple[Slot, str]) -> Outcome:
    """A live case cannot be sent to another process; what it is made of can."""
    slot, variant = place
    return diagnosed(next(p for p in variants_of(slot) if p.variant == variant))
