"""What all trials of a case share in one process: rows, teacher's outputs, held-out inputs."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from gapdoctor.corrections._apply import with_corrections
from gapdoctor.observe.case import Case
from gapdoctor.observe.device import choose_device
from gapdoctor.observe.observations import Settings
from gapdoctor.observe.pipelines import Prepared, prepare_case, through_train
from gapdoctor.training.arms import teacher_of
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
    def heldout(self) -> Heldout:
        """All held-out rows."""
        return Heldout(self._data, self.case.groups, self.settings.batch_size, self._class_order)
