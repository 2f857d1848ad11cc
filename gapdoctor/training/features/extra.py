"""The feature loss of a training: what both models' layers say of the same rows, set apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from gapdoctor.domain.recipe import FeatureLoss, Recipe
from gapdoctor.errors import GapDoctorError
from gapdoctor.loading.layers import KEY, check_layers
from gapdoctor.observe.borrow import own_random_state
from gapdoctor.training.features.adapters import adapter, aligned, as_maps
from gapdoctor.training.features.distances import (
    attention_distance,
    normalised_mse,
    similarity_distance,
)
from gapdoctor.training.features.layers import Layer, listening, survey, why_not_heard
from gapdoctor.training.features.pairing import paired_layers, spread
from gapdoctor.training.optimizers import make_optimizer, set_lr
from gapdoctor.training.rows import TrainingRows
from gapdoctor.training.teacher import TeacherOutputs

Stage = Literal["alone", "beside", "over"]
"""What the feature loss is in an epoch: the whole loss, a term of it, or no part of it any more."""
Heard = Mapping[str, torch.Tensor]
"""What layers gave, by path."""
_SEED = 0
"""Adapters begin with the same weights whatever is trained."""


@dataclass(frozen=True)
class Pair:
    """A layer of the student and one of the teacher."""

    student: Layer
    teacher: Layer
    adapter: nn.Module
    """(n, positions, channels of the student) -> (n, positions, channels of the teacher)."""

    def distance(self, loss: FeatureLoss, mine: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
        """Return how far the student's features (n, …) are from the teacher's, a scalar."""
        mine, theirs = mine.float(), theirs.float()
        if loss is FeatureLoss.SIMILARITY:
            return similarity_distance(mine, theirs)
        one, other = aligned(as_maps(mine, self.student.axis), as_maps(theirs, self.teacher.axis))
        if loss is FeatureLoss.ATTENTION:
            return attention_distance(one, other)
        return normalised_mse(self.adapter(one), other)


class Features:
    """Asks the teacher what its layers say of a view, and the student how far it is from that.

    Nothing is added to the student: its layers are listened to for the time of a pass, and the
    adapters are modules of their own, with an optimizer of their own.

    Parameters
    ----------
    pairs : sequence of Pair
        On the device of the training.
    teacher : TeacherOutputs
        With a model, lent.
    recipe : Recipe
        Completed.
    """

    def __init__(self, pairs: Sequence[Pair], teacher: TeacherOutputs, recipe: Recipe) -> None:
        assert recipe.feature_loss is not None
        self._pairs = pairs
        self._teacher = teacher
        self._loss = FeatureLoss(recipe.feature_loss)
        self._alone = recipe.hint_epochs or 0
        self._adapters = nn.ModuleList(pair.adapter for pair in pairs)
        learned = list(self._adapters.parameters())
        self._optimizer = make_optimizer(learned, recipe) if learned else None

    def stage(self, epoch: int) -> Stage:
        """Return what this loss is in an epoch, counted from 0."""
        if not self._alone:
            return "beside"
        return "alone" if epoch < self._alone else "over"

    def ask(self, inputs: torch.Tensor) -> tuple[torch.Tensor, Heard]:
        """Return the teacher's logits (n, C) of a view, and what its layers give, in one pass."""
        module = self._teacher.module
        assert module is not None
        with listening(module, [pair.teacher.path for pair in self._pairs]) as heard:
            logits = self._teacher.of_view(inputs, len(inputs))
        return logits, self._whole(heard, "teacher", [pair.teacher.path for pair in self._pairs])

    @contextmanager
    def listening(self, student: nn.Module) -> Iterator[Heard]:
        """Hear the student's layers while inside."""
        with listening(student, [pair.student.path for pair in self._pairs]) as heard:
            yield heard

    def distance(self, mine: Heard, theirs: Heard) -> torch.Tensor:
        """Return the mean distance over all pairs, a scalar."""
        mine = self._whole(mine, "student", [pair.student.path for pair in self._pairs])
        far = [
            pair.distance(self._loss, mine[pair.student.path], theirs[pair.teacher.path])
            for pair in self._pairs
        ]
        return torch.stack(far).mean()

    def _whole(self, heard: Heard, who: str, paths: Sequence[str]) -> Heard:
        silent = [path for path in paths if path not in heard]
        if silent:
            raise GapDoctorError(
                f"{KEY}: {silent[0]} of the {who} did not run on a batch",
                "name layers that run on every batch",
            )
        return heard

    # -- the adapters ------------------------------------------------------------------------

    def zero_grad(self) -> None:
        """Clear the adapters' gradients."""
        self._adapters.zero_grad(set_to_none=True)

    def step(self, lr: float) -> None:
        """Let the adapters take the step that the student takes."""
        if self._optimizer is not None:
            set_lr(self._optimizer, lr)
            self._optimizer.step()

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs to go on from here; its tensors are those in use."""
        optimizer = None if self._optimizer is None else self._optimizer.state_dict()
        return {"adapters": self._adapters.state_dict(), "optimizer": optimizer}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state` was taken."""
        self._adapters.load_state_dict(state["adapters"])
        if self._optimizer is not None:
            self._optimizer.load_state_dict(state["optimizer"])


def features_of(
    student: nn.Module,
    teacher: TeacherOutputs | None,
    rows: TrainingRows,
    recipe: Recipe,
    device: torch.device,
) -> Features | None:
    """Return the feature loss that a recipe names; None where it names none, or nobody teaches.

    Layers that it does not name are paired anew, on a few rows.

    Parameters
    ----------
    student : nn.Module
        Ready to train, on the device; listened to, and left as it was.
    teacher : TeacherOutputs or None
        Lent.
    rows : TrainingRows
        Of which a few are run through both models.
    recipe : Recipe
        Completed.
    device : torch.device

    Raises
    ------
    GapDoctorError
        When layers cannot be paired or listened to, naming which and why.
    """
    if recipe.feature_loss is None or teacher is None:
        return None
    reason = why_not_heard(teacher.module)
    if reason or teacher.module is None:
        raise GapDoctorError(f"recipe.feature_loss: the teacher {reason}", WITHOUT)
    batch = rows.batch(spread(rows.count))
    inputs = batch.inputs
    theirs = inputs if batch.teacher_inputs is None else batch.teacher_inputs
    named = recipe.feature_layers
    if not named:
        found = paired_layers(student, teacher.module, inputs, theirs)
        if isinstance(found, str):
            raise GapDoctorError(f"recipe.feature_loss: {found}", WITHOUT)
        named = found
    check_layers(named, student, teacher.module)
    loss = FeatureLoss(recipe.feature_loss)
    mine = survey(student, inputs[:_FEW], "student", device)
    others = survey(teacher.module, theirs[:_FEW], "teacher", device)
    with own_random_state(_SEED):
        pairs = [
            _pair(
                _usable(mine.layer(one), one, "student"),
                _usable(others.layer(other), other, "teacher"),
                loss,
            )
            for one, other in named
        ]
    for pair in pairs:
        pair.adapter.to(device)
    return Features(pairs, teacher, recipe)


_FEW = 3
"""Rows by which the shapes of layers are seen; an axis of so many is no other."""
WITHOUT = "leave recipe.feature_loss out, or give models whose layers are modules"
"""Hint where there is nothing to listen to."""


def _pair(student: Layer, teacher: Layer, loss: FeatureLoss) -> Pair:
    learned = loss is FeatureLoss.MSE
    if loss is FeatureLoss.ATTENTION:
        for who, layer in (("student", student), ("teacher", teacher)):
            if max(layer.positions, default=1) < 2:
                raise GapDoctorError(
                    f"{KEY}: {layer.path} of the {who} has no positions, {layer.shape[1:]} a row, "
                    "so there is no attention map",
                    'name layers of images or tokens, or use feature_loss = "similarity"',
                )
    made = adapter(student.shape[student.axis], teacher.shape[teacher.axis])
    return Pair(student, teacher, made if learned else nn.Identity())


def _usable(layer: Layer | None, path: str, who: str) -> Layer:
    """The layer, where its output can be imitated."""
    why = ""
    if layer is None:
        why = "does not run when the model does"
    elif layer.gives:
        why = f"returns {layer.gives}"
    elif layer.calls > 1:
        why = f"runs {layer.calls} times in a pass"
    if layer is None or why:
        raise GapDoctorError(
            f"{KEY}: {path} of the {who} {why}", "name a layer that returns one tensor (n, …)"
        )
    return layer
