"""What was proven so far: later probes stand on it, so that returns add up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gapdoctor.domain.findings import Intervention
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.outputs import Outputs
from gapdoctor.stats.assignment import reorder

Transform = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class View:
    """How rows reach a model: through a pipeline, then corrections, into weights."""

    pipeline: str
    corrections: tuple[str, ...] = ()
    """Names of transforms of model-ready batches, in order."""
    variant: str = ""
    """Name of a changed copy of the model; empty: the model as it is."""


class Stack:
    """The interventions believed, in the order of their proof."""

    def __init__(self) -> None:
        self.interventions: tuple[Intervention, ...] = ()
        self.transforms: dict[str, Transform] = {}
        """The transform of each correction, by the intervention's name."""

    def push(self, intervention: Intervention) -> None:
        """Stand on one more."""
        self.interventions = (*self.interventions, intervention)

    def with_(self, intervention: Intervention) -> Stack:
        """Return a stack with one more, this one untouched; both know the same transforms."""
        twin = Stack()
        twin.interventions = (*self.interventions, intervention)
        twin.transforms = self.transforms
        return twin

    def corrections(self) -> list[str]:
        """Return the names of the corrections in force, in order."""
        return [i.name for i in self.interventions if i.kind == "correction"]

    def view(self, model: Model, split: Split, own: str, train: str) -> View:
        """Return how rows reach a model with all interventions in force.

        Parameters
        ----------
        model, split
            Which.
        own : str
            The pipeline that the model eats there without any.
        train : str
            The name under which the train pipeline's inputs are kept.
        """
        held, student = split is Split.HELDOUT, model is Model.STUDENT
        pipeline, variant = own, ""
        corrections: list[str] = []
        for i in self.interventions:
            if i.kind == "pipeline" and held and (student or i.touches_teacher):
                pipeline, corrections = train, []
            elif i.kind == "correction" and held and (student or i.touches_teacher):
                corrections.append(i.name)
            elif i.kind == "batchnorm" and student:
                variant = i.name
        return View(pipeline, tuple(corrections), variant)

    def apply(self, batches: Iterable[torch.Tensor], view: View) -> Iterator[torch.Tensor]:
        """Yield the batches after the corrections of a view."""
        for batch in batches:
            for name in view.corrections:
                batch = self.transforms[name](batch)
            yield batch

    def mended(
        self, found: Outputs, model: Model, split: Split, labels: NDArray[np.int64]
    ) -> Outputs:
        """Return what a model says of the rows of a split, in proven order and at proven scale."""
        order, tau = self.class_order(model, split), self.temperature(model)
        if order is not None:
            moved = reorder(found.logits, order).astype(np.float32)
            found = Outputs.of(moved, labels, found.features)
        if tau != 1.0:
            found = Outputs.of(found.logits / np.float32(tau), labels, found.features)
        return found

    def class_order(self, model: Model, split: Split) -> NDArray[np.int64] | None:
        """Return the order of the logits' columns that was proven for a model, or None.

        An order that both models share is one of the held-out labels; one of the student alone is
        its own on every split.
        """
        for i in reversed(self.interventions):
            if i.kind != "class_order":
                continue
            shared = i.touches_teacher and split is Split.HELDOUT
            alone = not i.touches_teacher and model is Model.STUDENT
            if shared or alone:
                order = dict(i.parameters)["order"]
                assert isinstance(order, tuple)
                return np.asarray(order, dtype=np.int64)
        return None

    def temperature(self, model: Model) -> float:
        """Return what a model's logits are divided by."""
        found = 1.0
        for i in self.interventions:
            if i.kind == "temperature" and model is Model.STUDENT:
                found *= float(dict(i.parameters)["temperature"])  # type: ignore[arg-type]
        return found


def own_pipeline(model: Model, split: Split) -> str:
    """Return the pipeline that a model's rows of a split come through, as trained and deployed."""
    if model is Model.TEACHER:
        return "teacher" if split is Split.TRAIN else "heldout_teacher"
    return "train" if split is Split.TRAIN else "inference"
