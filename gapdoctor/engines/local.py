"""Trials in processes of their own on this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from gapdoctor.domain.trials import TrialRecord, TrialSpec
from gapdoctor.engines import _worker
from gapdoctor.engines._base import Conditions, Engine, Watcher, ended
from gapdoctor.errors import GapDoctorError, IncompleteRun
from gapdoctor.observe.case import Source
from gapdoctor.observe.device import choose_device
from gapdoctor.storage.codec import build
from gapdoctor.training.folder import TrialFolder, spec_to_json

GRACE = 20.0
"""Seconds that a process has to end once it was asked to."""
TRIES = 2
"""Times that a trial, or loading the case, may take its process with it."""
LOADING = "loading the case"


class Local(Engine):
    """Runs trials in a few processes at once; one that is killed costs itself alone.

    On Linux without an accelerator they come from a fork server that has imported torch but run
    nothing with it; elsewhere, and with CUDA, which does not survive a fork, they are spawned.

    Parameters
    ----------
    source : Source
        How a process loads the case again.
    processes : int, optional
        At once; left out: one a core on a CPU, one with an accelerator.
    """

    def __init__(self, source: Source, processes: int | None = None) -> None:
        self._source = source
        self._processes = processes

    def run(
        self, specs: Sequence[TrialSpec], conditions: Conditions, watcher: Watcher
    ) -> list[TrialRecord]:
        """See `Engine.run`."""
        todo = []
        for spec in specs:
            done = TrialFolder(conditions.folder / spec.name).done()
            if done is None:
                todo.append(spec)
            else:
                watcher.ended(spec.name, done)
        if todo:
            self._run(todo, conditions, watcher)
        return [ended(spec, conditions.folder) for spec in specs]

    def _run(self, specs: Sequence[TrialSpec], conditions: Conditions, watcher: Watcher) -> None:
        on_cpu = choose_device(conditions.settings.device).type == "cpu"
        # Whatever is left to do, all trials of a run get as many threads: their numbers hang on it.
        widest = self._processes or (min(_cores(), conditions.abreast) if on_cpu else 1)
        threads = max(1, _cores() // widest)
        count = min(len(specs), widest)
        crew = _Crew(self._source, conditions, watcher, _context(on_cpu), threads)
        # One list a process, dealt in turn: all end at about the same time.
        crew.run([list(specs[k::count]) for k in range(count)])


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def warm_up(device: str) -> None:
    """Let the fork server import torch, behind the back of whatever runs meanwhile."""
    on_cpu = choose_device(device).type == "cpu"
    if on_cpu and sys.platform == "linux":
        _context(on_cpu)
        with _no_main_module(), _deaf_to_ctrl_c():
            forkserver.ensure_running()


def _context(on_cpu: bool) -> BaseContext:
    if not (on_cpu and sys.platform == "linux"):
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_worker.__name__])
    return context


@dataclass
class _Hand:
    """One process at work on its list."""

    process: BaseProcess
    pipe: Connection
    trials: dict[str, TrialSpec]
    """Not ended yet, in order."""
    current: str | None = None
    began: bool = False
    """It has loaded the case and begun a trial."""


@dataclass
class _Crew:
    """All processes of one run."""

    source: Source
    conditions: Conditions
    watcher: Watcher
    context: BaseContext
    threads: int
    hands: list[_Hand] = field(default_factory=list)
    deaths: Counter[str] = field(default_factory=Counter)
    error: GapDoctorError | None = None

    def run(self, lists: Sequence[list[TrialSpec]]) -> None:
        """Run all lists to their end; no process outlives this."""
        try:
            for specs in lists:
                self._start(specs)
            while self.hands:
                self._listen()
                if self.error is not None:
                    raise self.error
        finally:
            self._send_home()

    def _start(self, specs: Sequence[TrialSpec]) -> None:
        mine, theirs = self.context.Pipe(duplex=False)
        conditions = self.conditions
        left = None
        if conditions.deadline is not None:
            left = max(0.0, conditions.deadline - time.monotonic())
        job = _worker.job_of(
            self.source, conditions.settings, conditions.applied, conditions.folder.absolute(),
            [spec_to_json(spec) for spec in specs], self.threads, left,
        )  # fmt: skip
        process = self.context.Process(target=_worker.work, args=(job, theirs), daemon=True)  # type: ignore[attr-defined]
        with _no_main_module(), _deaf_to_ctrl_c():
            process.start()
        theirs.close()
        self.hands.append(_Hand(process, mine, {spec.name: spec for spec in specs}))

    def _listen(self) -> None:
        """Hear whoever has something to tell, or has ended."""
        for pipe in wait([hand.pipe for hand in self.hands]):
            hand = next(hand for hand in self.hands if hand.pipe is pipe)
            try:
                kind, *rest = hand.pipe.recv()
            except (EOFError, OSError):
                self._ended(hand)
                continue
            self._hear(hand, kind, rest)

    def _hear(self, hand: _Hand, kind: str, rest: list[Any]) -> None:
        if kind == "started":
            hand.current, hand.began = rest[0], True
            self.watcher.started(*rest)
        elif kind == "ended":
            hand.current = None
            hand.trials.pop(rest[0], None)
            self.watcher.ended(rest[0], build(TrialRecord, rest[1], rest[0]))
        elif kind == "error":
            code, message, hint = rest
            raised = IncompleteRun if code == IncompleteRun.exit_code else GapDoctorError
            self.error = raised(message, hint)
        else:
            getattr(self.watcher, kind)(*rest)

    def _ended(self, hand: _Hand) -> None:
        """A process is gone: all done, or it was killed."""
        hand.process.join()
        hand.pipe.close()
        self.hands.remove(hand)
        if not hand.trials or self.error is not None:
            return
        guilty = hand.current or (LOADING if not hand.began else next(iter(hand.trials)))
        self.deaths[guilty] += 1
        how = _how(hand.process.exitcode)
        if guilty == LOADING and self.deaths[guilty] >= TRIES:
            self.error = IncompleteRun(
                f"loading the case again: its {how}", "see what the code of the config does there"
            )
            return
        if self.deaths[guilty] >= TRIES:
            spec = hand.trials.pop(guilty)
            folder = TrialFolder(self.conditions.folder / guilty)
            failed = spec.record("failed", note=f"its {how}")
            self.watcher.ended(guilty, folder.fail(failed))
        else:
            self.watcher.note(f"{guilty}: its {how}; it is tried once more")
        if hand.trials:
            self._start(list(hand.trials.values()))

    def _send_home(self) -> None:
        """Ask what still runs to end after its step, and wait for it."""
        for hand in self.hands:
            hand.process.terminate()
        until = time.monotonic() + GRACE
        for hand in self.hands:
            self._drain(hand, until)
            if hand.process.is_alive():
                hand.process.kill()
                hand.process.join()
            hand.pipe.close()
        self.hands.clear()

    def _drain(self, hand: _Hand, until: float) -> None:
        """Hear a process to its end: one that waits for room in its pipe never ends."""
        while hand.process.is_alive() and time.monotonic() < until:
            try:
                while hand.pipe.poll(0.05):
                    hand.pipe.recv()
            except (EOFError, OSError):
                hand.process.join(max(0.0, until - time.monotonic()))
                return


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        return f"process was killed by signal {-code}"
    return f"process ended with code {code}"


@contextmanager
def _no_main_module() -> Iterator[None]:
    """Start a process that does not run the caller's script again.

    Its target is named by module; a script without `if __name__ == "__main__"` would begin anew.
    """
    main = sys.modules["__main__"]
    kept: dict[str, Any] = {
        key: main.__dict__[key] for key in ("__spec__", "__file__") if key in main.__dict__
    }
    try:
        for key in kept:
            main.__dict__[key] = None
        yield
    finally:
        main.__dict__.update(kept)


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Start a process that never hears Ctrl-C, which a terminal sends to all of them.

    One that imports torch just then would show a traceback; the parent decides what an interruption
    means. A mask is inherited, and the parent hears afterwards what came meanwhile.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # starting it would take the mask away
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
