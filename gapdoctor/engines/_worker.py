"""What a process of its own does: load the case, run its trials, tell the parent by a pipe."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torch._dynamo  # the first optimizer imports it: a second of each process
import torchvision  # noqa: F401 - imported once, before the fork

from gapdoctor.domain.trials import TrialRecord
from gapdoctor.engines._base import Applied, Watcher
from gapdoctor.engines._told import run_told
from gapdoctor.errors import GapDoctorError, IncompleteRun
from gapdoctor.files import write_text
from gapdoctor.loading.load import load_case
from gapdoctor.observe.case import Case, Source
from gapdoctor.observe.observations import Settings
from gapdoctor.storage.codec import build, plain
from gapdoctor.training.folder import spec_from_json

PARENT_EVERY = 1.0
"""Seconds between two looks at whether the parent still lives."""


def work(job: str, pipe: Connection) -> None:
    """Run the trials of a job (JSON, see `gapdoctor.engines.local`); the target of a process."""
    told = json.loads(job)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interruption means
    stop = Stop(told["seconds"])
    signal.signal(signal.SIGTERM, stop.asked)
    torch.set_num_threads(told["threads"])
    watcher = _Telling(pipe)
    try:
        applied: Applied = build(Applied, told["applied"], "applied")
        case = _load(told["source"])
        materials = applied.materials(case, Settings(**told["settings"]))
        for text in told["trials"]:
            run_told(spec_from_json(text), materials, Path(told["folder"]), stop, watcher)
    except (BrokenPipeError, EOFError):
        return  # nobody listens any more
    except GapDoctorError as error:
        watcher.send("error", error.exit_code, error.message, error.hint)
    except Exception as error:  # noqa: BLE001 - told where a person sees it
        log = Path(told["folder"]) / "worker.log"
        write_text(log, traceback.format_exc())
        told_of = " ".join(f"{type(error).__name__}: {error}".split())
        watcher.send("error", IncompleteRun.exit_code, f"a process failed: {told_of}", f"see {log}")


def _load(source: dict[str, Any]) -> Case:
    os.chdir(source.pop("folder"))
    return load_case(source.pop("config"), **source)


class Stop:
    """Whether to stop: asked to, late, or left alone.

    Parameters
    ----------
    seconds : float or None
        That are left.
    """

    def __init__(self, seconds: float | None) -> None:
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._asked = False
        self._looked = time.monotonic()
        self._alone = _left_alone()

    def asked(self, _signal: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        self._asked = True

    def __call__(self) -> bool:
        """Return whether to stop before the next step."""
        now = time.monotonic()
        if now - self._looked > PARENT_EVERY:
            self._looked = now
            self._asked = self._asked or self._alone()
        return self._asked or (self._deadline is not None and now > self._deadline)


def _left_alone() -> Callable[[], bool]:
    """A killed parent cannot ask its processes to stop."""
    parent = multiprocessing.parent_process()
    return lambda: parent is not None and not parent.is_alive()


class _Telling(Watcher):
    """Sends what it is told through the pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def send(self, *message: Any) -> None:
        """Send one message."""
        self._pipe.send(message)

    def started(self, trial: str, steps: int) -> None:
        """Send it."""
        self.send("started", trial, steps)

    def advanced(self, trial: str, steps: int) -> None:
        """Send it."""
        self.send("advanced", trial, steps)

    def epoch(self, trial: str, loss: float) -> None:
        """Send it."""
        self.send("epoch", trial, loss)

    def ended(self, trial: str, record: TrialRecord) -> None:
        """Send it; the record as plain data."""
        self.send("ended", trial, plain(record))

    def note(self, statement: str) -> None:
        """Send it."""
        self.send("note", statement)


def job_of(
    source: Source, settings: Settings, applied: Applied, folder: Path, trials: list[str],
    threads: int, seconds: float | None,
) -> str:  # fmt: skip
    """Return the text that `work` is told by."""
    return json.dumps(
        {
            "source": _plain(source), "settings": asdict(settings), "applied": asdict(applied),
            "folder": str(folder), "trials": trials, "threads": threads, "seconds": seconds,
        }
    )  # fmt: skip


def _plain(source: Source) -> dict[str, Any]:
    return {
        "folder": source.folder, "config": source.config, "checkpoint": source.checkpoint,
        "settings": dict(source.settings), "unsafe_load": source.unsafe_load,
    }  # fmt: skip
