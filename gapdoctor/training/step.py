"""One step under way: the view of a batch, what the teacher says of it, the gradients."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gapdoctor.domain.recipe import Recipe
from gapdoctor.errors import GapDoctorError, IncompleteRun
from gapdoctor.observe.borrow import own_random_state
from gapdoctor.observe.classes import check_labels, check_same_classes
from gapdoctor.observe.device import is_out_of_memory
from gapdoctor.observe.forward import naming_failures
from gapdoctor.observe.head import logits_in
from gapdoctor.training.batches import parts_of
from gapdoctor.training.features.extra import Features
from gapdoctor.training.losses import Terms, composite_loss, with_features
from gapdoctor.training.placement import Placement, fed
from gapdoctor.training.rows import BLOCK, Batch
from gapdoctor.training.teacher import TeacherOutputs
from gapdoctor.training.views import View, Views, mixed

T = TypeVar("T")


@dataclass
class Gradients:
    """Makes the gradients of one batch, whole or in parts where memory is short."""

    student: nn.Module
    teacher: TeacherOutputs | None
    recipe: Recipe
    views: Views
    place: Placement
    part_rows: int
    """Rows that go through the student at once."""
    features: Features | None = None
    samples: int = 0
    """Rows that went through it, all together."""
    epoch: int = 0
    """The one under way, from 0: it decides the stage of the features."""

    def of(self, batch: Batch, stream: int) -> list[float]:
        """Put a batch's gradients into the student; return its mean losses.

        Parameters
        ----------
        batch : Batch
            Train rows.
        stream : int
            Seed of the view.

        Returns
        -------
        list of float
            Composite loss, task loss and, with a teacher, distillation loss. Where one is not
            finite the gradients are not to be used.
        """
        view = self._view(batch, stream)
        taught = self._within_memory(lambda: self._taught(batch, view))
        theirs = view.inputs if batch.teacher_inputs is None else batch.teacher_inputs
        return self._within_memory(lambda: self._summed(view, taught, theirs))

    def ask_teacher(self) -> None:
        """Let the teacher say what it says of all rows, in one pass."""
        teacher = self.teacher
        if teacher is None:
            return
        # not by the recipe's batch: what one training heard, another may go on with
        own, self.part_rows = self.part_rows, BLOCK
        self._within_memory(lambda: teacher.ask_all(self.part_rows))
        self.part_rows = own

    @property
    def hints(self) -> bool:
        """Whether the features are the whole loss in this epoch."""
        return self.features is not None and self.features.stage(self.epoch) == "alone"

    def _view(self, batch: Batch, stream: int) -> View:
        if not self.views.change:
            return View(batch.index, self.place.laid_out(batch.inputs), batch.labels)
        asked = self.teacher is not None or self._imitated() is not None
        if batch.teacher_inputs is not None and asked:
            raise GapDoctorError(
                "preprocess.teacher: with a pipeline of its own the teacher cannot share an "
                "augmented view with the student",
                "train without augmentation, or feed the teacher by the train pipeline",
            )
        with own_random_state(stream):
            inputs = self.views.of(batch.inputs)
        view = View(batch.index, self.place.laid_out(inputs), batch.labels)
        if self.views.mixup:
            return mixed(view, self.views.mixup, np.random.default_rng(stream))
        return view

    def _taught(self, batch: Batch, view: View) -> torch.Tensor | None:
        """The teacher's logits; None without one, and where they come with its features."""
        if self.teacher is None:
            return None
        if not self.views.change:
            return self.teacher.of_rows(batch, self.part_rows)
        return None if self._imitated() else self.teacher.of_view(view.inputs, self.part_rows)

    def _imitated(self) -> Features | None:
        """The features, where they take part in this epoch."""
        features = self.features
        over = features is None or features.stage(self.epoch) == "over"
        return None if over else features

    def _summed(self, view: View, taught: torch.Tensor | None, theirs: torch.Tensor) -> list[float]:
        self.student.train()
        self.student.zero_grad(set_to_none=True)
        if self.features is not None:
            self.features.zero_grad()
        values: list[float] = []
        for part in parts_of(len(view.index), self.part_rows):
            known = None if taught is None else taught[part]
            terms = self._with_features(view.part(part), known, theirs[part])
            share = (part.stop - part.start) / len(view.index)
            with naming_failures("student", view.inputs[part], "backward pass"):
                torch.autograd.backward(share * terms.total)
            told = torch.stack([term.detach() for term in terms if term is not None])
            found = [share * value for value in told.tolist()]  # a device is waited for once
            values = [a + b for a, b in zip(values or [0.0] * len(found), found, strict=True)]
        return values

    def _with_features(
        self, view: View, taught: torch.Tensor | None, theirs: torch.Tensor
    ) -> Terms:
        """The terms of a part, the teacher's features asked for where they take part."""
        features = self._imitated()
        if features is None:
            return self._terms(view, taught)
        logits, wanted = features.ask(theirs)
        if taught is None and self.teacher is not None:
            taught = logits
        with features.listening(self.student) as heard:
            terms = self._terms(view, taught)
        assert self.recipe.feature_weight is not None
        return with_features(
            terms, features.distance(heard, wanted), self.recipe.feature_weight,
            alone=self.hints,
        )  # fmt: skip

    def _terms(self, view: View, taught: torch.Tensor | None) -> Terms:
        inputs = fed(view.inputs, self.student, self.place.device)
        with naming_failures("student", inputs), self._precision():
            logits = logits_in(self.student(inputs), "student", len(inputs))
        self.samples += len(inputs)
        labels = view.labels.cpu().numpy()
        check_labels(labels, view.index, logits.shape[1], "student", "train")
        if taught is not None:
            check_same_classes(logits.shape[1], taught.shape[1])
            taught = taught.to(logits.device)
        targets = view.targets(logits.shape[1]).to(logits.device)
        return composite_loss(logits.float(), targets, taught, self.recipe)

    # -- what may go wrong -------------------------------------------------------------------

    def _precision(self) -> AbstractContextManager[Any]:
        if self.place.mixed:
            return torch.autocast(self.place.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def _within_memory(self, call: Callable[[], T]) -> T:
        """Call, with fewer rows at once each time that memory runs out."""
        while True:
            try:
                return call()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if self.part_rows <= self._fewest_rows():
                    raise IncompleteRun(
                        f"student: memory ran out on a batch of {self.part_rows} rows",
                        "use --device cpu, or a machine with more memory",
                    ) from error
            # outside the except block: its traceback would keep the tensors alive
            self.part_rows = max(self._fewest_rows(), self.part_rows // 2)

    def _fewest_rows(self) -> int:
        """BatchNorm cannot work on a single row."""
        return 2 if any(isinstance(m, _BatchNorm) for m in self.student.modules()) else 1
