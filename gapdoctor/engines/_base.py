"""What every engine is: it runs trials, each in its folder, and tells how they ended."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gapdoctor.domain.trials import Plan, TrialRecord, TrialSpec
from gapdoctor.observe.case import Case
from gapdoctor.observe.observations import Settings
from gapdoctor.training.folder import TrialFolder
from gapdoctor.training.materials import Materials
from gapdoctor.training.students import with_weights


@dataclass(frozen=True, slots=True)
class Applied:
    """Free corrections in force for all trials, as plain data: a process is told by text."""

    train_pipeline: bool = False
    """Held-out rows go through the train pipeline."""
    corrections: tuple[str, ...] = ()
    """As `[preprocess] corrections` has them, behind those that stand there."""
    class_order: tuple[int, ...] | None = None
    """`order[class of the train labels] = class of the held-out labels`."""
    weights: str | None = None
    """File of the given student's mended weights (`training.students.write_weights`)."""

    def to(self, case: Case) -> Case:
        """Return the case with corrections and student mended."""
        preprocess = case.preprocess
        if self.train_pipeline:  # what was corrected was the other pipeline
            preprocess = dataclasses.replace(preprocess, corrections=())
        if self.corrections:
            corrections = (*preprocess.corrections, *self.corrections)
            preprocess = dataclasses.replace(preprocess, corrections=corrections)
        student = case.student
        if self.weights is not None:
            student = with_weights(student, Path(self.weights))
        return dataclasses.replace(case, preprocess=preprocess, student=student)

    def materials(self, case: Case, settings: Settings) -> Materials:
        """Return what all trials share, under these corrections."""
        order = None if self.class_order is None else np.array(self.class_order, dtype=np.int64)
        return Materials(self.to(case), settings, order, train_pipeline=self.train_pipeline)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What all trials of a run have in common."""

    folder: Path
    """Each trial has a folder in it, by its name."""
    settings: Settings = field(default_factory=Settings)
    applied: Applied = field(default_factory=Applied)
    deadline: float | None = None
    """By `time.monotonic`; what is not done then is `not_reached` and kept."""
    abreast: int = 1
    """Trials of the widest round. Processes share the cores among so many, however many are left:
    numbers depend on the threads of a process, and resumed ones must be the same."""


class Watcher:
    """Told how trials go; the command line gives one that draws."""

    def planned(self, plan: Plan) -> None:
        """Tell what is to be trained, before anything is."""

    def started(self, trial: str, steps: int) -> None:
        """Tell that a trial began, of that many steps."""

    def advanced(self, trial: str, steps: int) -> None:
        """Tell that a trial took more steps."""

    def epoch(self, trial: str, loss: float) -> None:
        """Tell the loss on half A after an epoch, nats."""

    def ended(self, trial: str, record: TrialRecord) -> None:
        """Tell how it ended."""

    def note(self, statement: str) -> None:
        """Tell something in passing, one line."""


class Engine(ABC):
    """Runs trials; one that fails costs itself alone."""

    @abstractmethod
    def run(
        self, specs: Sequence[TrialSpec], conditions: Conditions, watcher: Watcher
    ) -> list[TrialRecord]:
        """Run what is not done yet; return one record a spec, in their order.

        Raises
        ------
        GapDoctorError
            When no trial can be run: a full disk, a case that does not load.
        KeyboardInterrupt
            Once all processes have ended; what was finished is kept.
        """


def ended(spec: TrialSpec, folder: Path) -> TrialRecord:
    """Return how a trial ended, as its folder tells it."""
    found = TrialFolder(folder / spec.name).record()
    return found or spec.record("not_reached", note="not reached in the budget")
