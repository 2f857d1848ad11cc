"""The student that a trial starts from, and the one that it ends with."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import nn

from gapdoctor.domain.trials import TrialSpec
from gapdoctor.errors import GapDoctorError, IncompleteRun, UserCodeError
from gapdoctor.files import write_bytes
from gapdoctor.loading.user_code import user_errors
from gapdoctor.loading.writing import fold
from gapdoctor.observe.borrow import own_random_state
from gapdoctor.observe.case import Case
from gapdoctor.training.placement import copied


def initial_student(spec: TrialSpec, case: Case) -> nn.Module:
    """Return the student that a trial starts from, sharing nothing with the case.

    From scratch the factory builds it under the trial's seed: trials of one seed begin with the
    same weights, where their shapes are the same.

    Raises
    ------
    GapDoctorError
        When there is no factory, or the student cannot be copied.
    UserCodeError
        When the factory raises, or gives no module.
    """
    if spec.start == "checkpoint":
        if spec.larger:
            raise GapDoctorError(
                "a larger student has no checkpoint to start from", "start it from scratch"
            )
        return copied(case.student)
    build = case.larger_factory if spec.larger else case.student_factory
    if build is None:
        raise GapDoctorError(
            f"student: nothing builds {'a larger one' if spec.larger else 'it anew'}",
            "give [student] larger" if spec.larger else "use --start checkpoint",
        )
    with own_random_state(spec.seed), user_errors("building the student", "student.model"):
        built = build()
    if not isinstance(built, nn.Module):
        raise UserCodeError(
            f"student.model: the factory gave {type(built).__name__}, not an nn.Module",
            "give a class or a function that builds the student",
        )
    return copied(built)  # a factory may hand out the same one twice


def before_folding(
    student: nn.Module, head: nn.Linear | None, temperature: float | None
) -> tuple[nn.Module, float]:
    """Return the student as its training left it, and what its logits were divided by since.

    A training that went on from divided logits would begin with another loss than it ended with.

    Parameters
    ----------
    student : nn.Module
        Left as it is.
    head : nn.Linear or None
        Its layer whose output is the logits.
    temperature : float or None
        `[student] folded_temperature`.

    Returns
    -------
    (nn.Module, float)
        The student itself and 1 where nothing was folded, or its head cannot be told.
    """
    if temperature is None:
        return student, 1.0
    found = fold(student, head, temperature=1.0 / temperature)
    if found.reason:
        return student, 1.0
    twin = copied(student)
    twin.load_state_dict(found.weights)
    return twin, temperature


def write_weights(student: nn.Module, path: Path) -> None:
    """Write a student's weights, whole or not at all; `torch.load(weights_only=True)` reads them.

    Raises
    ------
    OutputError
        When the disk is full or the folder cannot be written.
    """
    stream = io.BytesIO()
    torch.save({key: _at_rest(value) for key, value in student.state_dict().items()}, stream)
    write_bytes(path, stream.getvalue())


def read_trained(spec: TrialSpec, case: Case, path: Path) -> nn.Module:
    """Return the student that a trial ended with, in eval mode, on the CPU.

    Parameters
    ----------
    spec, case
        Of the trial.
    path : Path
        From `write_weights`.

    Raises
    ------
    IncompleteRun
        When the file is missing, damaged, or of another student.
    """
    return _loaded(initial_student(spec, case).cpu(), path)


def with_weights(student: nn.Module, path: Path) -> nn.Module:
    """Return a copy of a student with the weights of a file, in eval mode, on the CPU.

    Raises
    ------
    IncompleteRun
        When the file is missing, damaged, or of another student.
    """
    return _loaded(copied(student).cpu(), path)


def _loaded(student: nn.Module, path: Path) -> nn.Module:
    try:
        student.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch and pickle raise many kinds on a damaged file
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise IncompleteRun(
            f"{path}: cannot be read: {first}", "delete its folder: the trial is then run again"
        ) from error
    return student.eval()


def _at_rest(value: object) -> object:
    """A tensor on the CPU, plainly laid out; an extra state as it is."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().contiguous()
    return value
