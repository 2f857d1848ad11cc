"""What the teacher says of train rows: asked once a row where no augmentation changes the view."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from gapdoctor.errors import DataError, GapDoctorError
from gapdoctor.observe.borrow import borrowed
from gapdoctor.observe.forward import naming_failures
from gapdoctor.observe.head import as_logits
from gapdoctor.training.placement import fed
from gapdoctor.training.rows import BLOCK, Batch, TrainingRows

KEPT_BYTES = 512 * 1024**2
"""Logits that are kept, at most; beyond, the teacher is asked each time."""


class TeacherOutputs:
    """A frozen teacher in eval mode, or its stored logits.

    Parameters
    ----------
    teacher : nn.Module or tensor (N, C)
        A tensor holds one row of logits a train row.
    rows : TrainingRows
        What it is asked about.
    device : torch.device
        Where it runs.

    Raises
    ------
    DataError
        When there is not one row of stored logits a train row.
    """

    def __init__(
        self, teacher: nn.Module | torch.Tensor, rows: TrainingRows, device: torch.device
    ) -> None:
        self.rows = rows
        self.device = device
        self.samples = 0
        """Rows that went through the teacher."""
        self._module = teacher if isinstance(teacher, nn.Module) else None
        self._stored = teacher if isinstance(teacher, torch.Tensor) else None
        self._known = np.full(rows.count, self._stored is not None)
        if self._stored is not None and len(self._stored) != rows.count:
            raise DataError(
                f"teacher.logits: {len(self._stored)} rows, but train has {rows.count}",
                "store one row of logits for each row of the data set, in its order",
            )

    @property
    def can_see(self) -> bool:
        """Whether it can be asked about new views; stored logits cannot."""
        return self._module is not None

    @property
    def module(self) -> nn.Module | None:
        """The model; None where its logits were stored."""
        return self._module

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Have the teacher at hand, frozen and in eval mode; afterwards it is as it was."""
        if self._module is None:
            yield
            return
        with borrowed(self._module, self.device):
            yield

    def of_view(self, view: torch.Tensor, part_rows: int) -> torch.Tensor:
        """Return the logits (n, C) of a batch as it is, asked anew, `part_rows` at once.

        Raises
        ------
        GapDoctorError
            When there are only stored logits, which know no other view.
        """
        if self._module is None:
            raise GapDoctorError(
                "teacher.logits: stored logits know nothing of augmented rows",
                "give the teacher's model, or leave augmentation out",
            )
        return torch.cat([self._say(part) for part in torch.split(view, part_rows)])

    def of_rows(self, batch: Batch, part_rows: int) -> torch.Tensor:
        """Return the logits (n, C) of rows as they are; each is asked about once."""
        inputs = batch.inputs if batch.teacher_inputs is None else batch.teacher_inputs
        new = ~self._known[batch.index]
        if new.any():
            said = self.of_view(inputs[torch.from_numpy(np.flatnonzero(new))], part_rows)
            if not self._keep(batch.index[new], said):
                return said if new.all() else self.of_view(inputs, part_rows)
        assert self._stored is not None
        at = torch.from_numpy(batch.index).to(self._stored.device)
        return self._stored[at].to(self.device, torch.float32)

    def ask_all(self, part_rows: int) -> None:
        """Ask about every row once, in the order of the data set, whoever trains later."""
        for start in range(0, self.rows.count, BLOCK):
            index = np.arange(start, min(start + BLOCK, self.rows.count))
            if not self._known[index].all():
                self.of_rows(self.rows.batch(index), part_rows)
                if not self._known[index].any():  # too many to keep
                    return

    def _say(self, part: torch.Tensor) -> torch.Tensor:
        assert self._module is not None
        with torch.no_grad(), naming_failures("teacher", part):
            said = self._module(fed(part, self._module, self.device))
            self.samples += len(part)
            return as_logits(said, "teacher", len(part)).float()

    def _keep(self, index: np.ndarray, said: torch.Tensor) -> bool:
        if self._stored is None:
            if said.shape[1] * said.element_size() * self.rows.count > KEPT_BYTES:
                return False
            self._stored = said.new_empty((self.rows.count, said.shape[1]))
        self._stored[torch.from_numpy(index).to(said.device)] = said
        self._known[index] = True
        return True
