"""The user's own trainer: what it is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

from gapdoctor.domain.recipe import Recipe
from gapdoctor.errors import GapDoctorError, UserCodeError
from gapdoctor.loading.user_code import user_errors
from gapdoctor.observe.borrow import borrowed, own_random_state
from gapdoctor.observe.case import Case
from gapdoctor.observe.device import model_device
from gapdoctor.training.noted import fields_read, noted
from gapdoctor.training.rows import TrainingRows

Sample = tuple[torch.Tensor, int]
WRAPPERS = ("module", "_orig_mod")
"""Where `DataParallel` and `torch.compile` keep the module that they wrap."""


class TrainData(Dataset[Sample]):
    """All train rows: (sample through the `train` pipeline, label), no augmentation.

    Parameters
    ----------
    rows : TrainingRows
        Where they fit in memory they are read at once, so that worker processes get tensors.
    """

    def __init__(self, rows: TrainingRows) -> None:
        self._count = rows.count
        self._whole = rows.whole()
        self._rows = rows if self._whole is None else None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        if not -self._count <= index < self._count:
            raise IndexError(f"row {index} of {self._count}")
        return self.__getitems__([index])[0]

    def __getitems__(self, index: Sequence[int]) -> list[Sample]:
        at = np.asarray(index, dtype=np.int64) % self._count
        batch, place = self._whole, torch.from_numpy(at)
        if batch is None:
            assert self._rows is not None
            batch, place = self._rows.batch(at), torch.arange(len(at))
        inputs, labels = batch.inputs[place], batch.labels[place]  # copies: a user may change them
        return list(zip(inputs.unbind(), labels.tolist(), strict=True))


@dataclass(frozen=True)
class ByUser:
    """What the user's trainer gave back."""

    student: nn.Module
    """In eval mode."""
    fields_read: tuple[str, ...]
    """Fields of the recipe that it looked at."""


def train_by_user(
    case: Case, student: nn.Module, rows: TrainingRows, recipe: Recipe, seed: int
) -> ByUser:
    """Let the user's trainer train a student; the random state is seeded for it.

    Parameters
    ----------
    case : Case
        With a `trainer`.
    student : nn.Module
        Where it is; the trainer may change it.
    rows : TrainingRows
        On the CPU.
    recipe : Recipe
        Its `epochs` are those of this training.
    seed : int
        Of all global generators.

    Raises
    ------
    UserCodeError
        When the trainer raises, or gives back something else than the student trained.
    GapDoctorError
        When the teacher is a file of logits.
    """
    assert case.trainer is not None
    named = case.where.get("recipe.trainer", getattr(case.trainer, "__name__", "trainer"))
    given, data, asked = _shapes(student), TrainData(rows), noted(recipe)
    with _frozen_teacher(case) as teacher, own_random_state(seed), _fit_to_train():
        student.train()
        with user_errors(f"recipe.trainer: training by {named}", "recipe.trainer"):
            trained = case.trainer(student, teacher, data, asked)
    return ByUser(_checked(trained, given, named).eval(), fields_read(asked))


@contextmanager
def _frozen_teacher(case: Case) -> Iterator[nn.Module]:
    """Lend the teacher in eval mode, without gradients; afterwards it is as it was."""
    teacher = case.teacher
    if not isinstance(teacher, nn.Module):
        raise GapDoctorError(
            "recipe.trainer: the teacher is a file of logits, and a trainer gets its model",
            "give [teacher] model, or leave recipe.trainer out",
        )
    with borrowed(teacher, model_device(teacher)):
        for parameter in teacher.parameters():
            parameter.requires_grad_(False)
        yield teacher


@contextmanager
def _fit_to_train() -> Iterator[None]:
    with torch.inference_mode(False), torch.enable_grad():
        yield


def _shapes(student: nn.Module) -> dict[str, object]:
    return {key: getattr(value, "shape", None) for key, value in student.state_dict().items()}


def _checked(trained: object, given: dict[str, object], named: str) -> nn.Module:
    """Return the student out of what a trainer gave back, unwrapped."""
    if not isinstance(trained, nn.Module):
        raise UserCodeError(
            f"recipe.trainer: {named} gave {type(trained).__name__}, not the trained student",
            "end it with `return student`",
        )
    found = trained
    while _shapes(found) != given:
        inner = next(
            (m for n in WRAPPERS if isinstance(m := getattr(found, n, None), nn.Module)), None
        )
        if inner is None:
            raise UserCodeError(
                f"recipe.trainer: {named} gave a {type(trained).__name__} with other weights "
                f"than the student it got: {_difference(_shapes(trained), given)}",
                "return the student that was given, trained",
            )
        found = inner
    return found


def _difference(found: dict[str, object], given: dict[str, object]) -> str:
    for kind, names in (("lacks", given.keys() - found), ("adds", found.keys() - given)):
        if names:
            return f"it {kind} {min(names)}"
    return f"another shape at {min(key for key in given if given[key] != found[key])}"
