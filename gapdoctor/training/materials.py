"""What all trials of a case share in one process: rows, teacher's outputs, held-out inputs."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from gapdoctor.corrections._apply import with_corrections
from gapdoctor.domain.recipe import Recipe, TaughtBy
from gapdoctor.domain.trials import TrialSpec
from gapdoctor.loading.splits import GroupIds
from gapdoctor.observe.case import Case
from gapdoctor.observe.device import choose_device
from gapdoctor.observe.observations import Settings
from gapdoctor.observe.pipelines import Prepared, prepare_case, through_train
from gapdoctor.training.arms import assistant_of, teacher_of
from gapdoctor.training.folds import Fold, fold_numbers
from gapdoctor.training.heldout import Heldout
from gapdoctor.training.rows import TrainingRows, rows_of_case
from gapdoctor.training.teacher import TeacherOutputs


class Materials:
    """Read and asked once, whichever trial comes first; nothing is read before it is needed.

    Parameters
    ----------
    case : Case
        With the free corrections in force.
    settings : Settings, optional
        `device`, `batch_size` of held-out passes; `seed` and `max_samples` for streams.
    class_order : (C,) array, optional
        `order[class of the train labels] = class of the held-out labels`, where the order of
        both differs: the students' logits of held-out rows are moved accordingly.
    train_pipeline : bool
        Held-out rows go through the train pipeline.
    """

    def __init__(
        self,
        case: Case,
        settings: Settings | None = None,
        class_order: NDArray[np.int64] | None = None,
        *,
        train_pipeline: bool = False,
    ) -> None:
        self.case = with_corrections(case)
        self.settings = settings or Settings()
        self.device = choose_device(self.settings.device, case.student)
        self._class_order = class_order
        self._train_pipeline = train_pipeline
        self._folds: dict[tuple[int, int], NDArray[np.int64]] = {}
        """The number of each train row's fold, by how many there are and the seed."""

    @cached_property
    def _data(self) -> Prepared:
        found = prepare_case(self.case, self.settings.max_samples, self.settings.seed)
        return through_train(found, self.case) if self._train_pipeline else found

    @cached_property
    def rows(self) -> TrainingRows:
        """All train rows; in the device's memory, but for a trainer of the user's own."""
        device = self.device if self.case.trainer is None else torch.device("cpu")
        return rows_of_case(self._data, device=device)

    @cached_property
    def teacher(self) -> TeacherOutputs:
        """What the teacher says of train rows."""
        return TeacherOutputs(teacher_of(self.case), self.rows, self.device)

    @cached_property
    def assistant(self) -> TeacherOutputs:
        """What the assistant says of train rows; it eats what the student eats."""
        rows = self.rows
        if self._data.same["teacher"] != self._data.same["train"]:
            rows = rows_of_case(self._data, device=self.device, with_teacher=False)
        return TeacherOutputs(assistant_of(self.case), rows, self.device)

    def outputs_for(self, recipe: Recipe) -> TeacherOutputs | None:
        """Return what a recipe learns from beside the labels: teacher, assistant, or nothing.

        Raises
        ------
        GapDoctorError
            When it is an assistant, and the case holds none.
        """
        if recipe.task_weight == 1 and recipe.feature_loss is None:
            return None
        return self.assistant if _by_assistant(recipe) else self.teacher

    def case_for(self, recipe: Recipe) -> Case:
        """Return the case with whom a recipe learns from in the teacher's place.

        Raises
        ------
        GapDoctorError
            As `outputs_for`.
        """
        if not _by_assistant(recipe):
            return self.case
        return replace(self.case, teacher=assistant_of(self.case))

    def fold_of(self, spec: TrialSpec) -> Fold | None:
        """Return the train rows that a trial leaves out; None for one that leaves out none.

        Raises
        ------
        DataError
            When rows or groups are too few, or there is not one group id a train row.
        """
        if spec.fold is None:
            return None
        number, count = spec.fold
        if (count, spec.seed) not in self._folds:
            groups = self.case.groups
            self._folds[count, spec.seed] = fold_numbers(
                self._data.train.count, count, spec.seed, self._data.train.labels,
                groups.train if isinstance(groups, GroupIds) else None,
            )  # fmt: skip
        return Fold(self.rows, np.flatnonzero(self._folds[count, spec.seed] == number))

    def count_of(self, spec: TrialSpec) -> int:
        """Return how many train rows a trial is trained on; about, where it leaves out a fold."""
        count = self.rows.count
        return count if spec.fold is None else count - count // spec.fold[1]

    @cached_property
    def heldout(self) -> Heldout:
        """All held-out rows."""
        return Heldout(self._data, self.case.groups, self.settings.batch_size, self._class_order)


def _by_assistant(recipe: Recipe) -> bool:
    return recipe.taught_by == TaughtBy.ASSISTANT
