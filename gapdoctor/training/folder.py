"""The folder of a trial: what it is, how far it came, what came of it. Files appear whole."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gapdoctor.domain.trials import TrialRecord, TrialSpec
from gapdoctor.errors import GapDoctorError, OutputError
from gapdoctor.files import write_bytes, write_text
from gapdoctor.storage.codec import build, plain
from gapdoctor.training.records import EpochRow

CURVE = ("epoch", "train_loss", "heldout_loss", "heldout_accuracy", "lr")
"""Columns of a curve, in the order of `Outcome.histories`."""


@dataclass(frozen=True)
class TrialFolder:
    """Where a trial keeps its files.

    Raises
    ------
    OutputError
        In whatever writes, when the disk is full or the folder cannot be written.
    """

    path: Path

    @property
    def weights(self) -> Path:
        """The trained student's (`gapdoctor.training.students.read_trained`)."""
        return self.path / "student.pt"

    @property
    def outputs(self) -> Path:
        """What it says of held-out rows (`gapdoctor.training.heldout.read_outputs`)."""
        return self.path / "outputs.npz"

    @property
    def fold(self) -> Path:
        """What it says of the train rows that it left out (`gapdoctor.training.folds`)."""
        return self.path / "fold.npz"

    def record(self) -> TrialRecord | None:
        """Return how the trial ended, perhaps to be tried again; None where nothing is told."""
        return self.done() or _record(self.path / "failed.json")

    def done(self) -> TrialRecord | None:
        """Return how the trial ended for good, or None."""
        return _record(self.path / "done.json")

    def claim(self, spec: TrialSpec) -> TrialRecord | None:
        """Make the folder this trial's; return its record where it is done.

        Raises
        ------
        GapDoctorError
            When the folder holds another trial.
        """
        file = self.path / "spec.json"
        if file.exists():
            if _spec(file) != spec_from_json(spec_to_json(spec)):
                raise GapDoctorError(
                    f"{self.path}: holds another trial than {spec.name}",
                    "use --fresh, or name another folder with --out",
                )
            done = self.done()
            if done is not None:
                return done
        else:
            write_text(file, spec_to_json(spec))
        self._remove("failed.json", "error.log")
        return None

    # -- on the way --------------------------------------------------------------------------

    def save_state(self, state: Mapping[str, Any], seconds: float) -> None:
        """Keep `Run.state()` and the seconds spent so far."""
        rows = [dataclasses.astuple(row) for row in state["history"]]
        stream = io.BytesIO()
        torch.save({**state, "history": rows, "seconds": seconds}, stream)
        write_bytes(self.path / "state.pt", stream.getvalue())

    def state(self) -> dict[str, Any] | None:
        """Return what `save_state` kept, or None where there is nothing whole."""
        file = self.path / "state.pt"
        if not file.exists():
            return None
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
            return {**state, "history": [EpochRow(*row) for row in state["history"]]}
        except Exception:  # noqa: BLE001 - a damaged file, of whatever kind: the trial begins anew
            return None

    # -- at the end --------------------------------------------------------------------------

    def write_history(self, history: Sequence[EpochRow]) -> None:
        """Write the curve of all epochs."""
        stream = io.StringIO()
        names = [f.name for f in dataclasses.fields(EpochRow)]
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(names)
        for row in history:
            cells = (getattr(row, name) for name in names)
            table.writerow(f"{c:.9g}" if isinstance(c, float) else c for c in cells)
        write_text(self.path / "history.csv", stream.getvalue())

    def curve(self) -> tuple[tuple[float, ...], ...]:
        """Return a row (see `CURVE`) an epoch; NaN where nothing is known, () without epochs."""
        file = self.path / "history.csv"
        if not file.exists():
            return ()
        with file.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        return tuple(tuple(float(row[name] or "nan") for name in CURVE) for row in rows)

    def finish(self, record: TrialRecord) -> TrialRecord:
        """Write that the trial is over, once all else is written; return the record as read."""
        write_text(self.path / "done.json", _told(record))
        self._remove("state.pt")
        return _again(record)

    def fail(self, record: TrialRecord, traceback: str = "") -> TrialRecord:
        """Write why the trial did not end; it is tried again next time."""
        write_text(self.path / "failed.json", _told(record))
        if traceback:
            write_text(self.path / "error.log", traceback)
        return _again(record)

    def _remove(self, *names: str) -> None:
        try:
            for name in names:
                (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot be written to: {error.strerror}",
                "make the folder writable, or name another one with --out",
            ) from error


def spec_to_json(spec: TrialSpec) -> str:
    """Return a spec as text, every number in full: it determines the result."""
    return json.dumps(dataclasses.asdict(spec), indent=2) + "\n"


def spec_from_json(text: str, where: str = "spec") -> TrialSpec:
    """Return the spec that `spec_to_json` wrote.

    Raises
    ------
    GapDoctorError
        When the text is no such spec.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise GapDoctorError(f"{where}: not JSON: {error}", "use --fresh") from None
    spec: TrialSpec = build(TrialSpec, found, where)
    return spec


def _spec(file: Path) -> TrialSpec | None:
    try:
        return spec_from_json(file.read_text(encoding="utf-8"), str(file))
    except (GapDoctorError, OSError, ValueError):
        return None


def _record(file: Path) -> TrialRecord | None:
    try:
        found: TrialRecord = build(TrialRecord, json.loads(file.read_text("utf-8")), str(file))
    except (OSError, ValueError, GapDoctorError):
        return None
    return found


def _told(record: TrialRecord) -> str:
    return json.dumps(plain(record), indent=2, allow_nan=False) + "\n"


def _again(record: TrialRecord) -> TrialRecord:
    """As it will be read: a resumed run says the same."""
    again: TrialRecord = build(TrialRecord, plain(record), "record")
    return again
