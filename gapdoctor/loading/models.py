"""Student and teacher, built as the config says and filled with what their checkpoints hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, cast

import torch
from torch import nn

from gapdoctor.domain.diagnosis import ModelRecord
from gapdoctor.errors import ConfigError
from gapdoctor.loading import reference
from gapdoctor.loading.checkpoint import Checkpoint, build_from, load_weights, read_checkpoint
from gapdoctor.loading.larger import larger_args
from gapdoctor.loading.sections import AssistantSection, StudentSection, TeacherSection
from gapdoctor.loading.where import FileName, Reference
from gapdoctor.observe.case import TeacherLogits

Role = Literal["student", "teacher", "assistant"]


M_co = TypeVar("M_co", covariant=True, bound="nn.Module | TeacherLogits")


@dataclass(frozen=True, slots=True)
class Loaded(Generic[M_co]):
    """A model with its weights (or its stored logits), and what is to be said of it."""

    model: M_co
    record: ModelRecord
    notes: tuple[str, ...]


def load_student(section: StudentSection, checkpoint: Checkpoint) -> Loaded[nn.Module]:
    """Build the student and load its weights, strictly.

    Raises
    ------
    GapDoctorError
        When the model cannot be built or the weights do not fit.
    """
    return _filled(
        section.model, section.args, checkpoint, section.checkpoint, section.key, "student"
    )


def load_teacher(
    section: TeacherSection, student: StudentSection, own: Checkpoint, *, unsafe: bool
) -> Loaded[nn.Module]:
    """Build the teacher and load its weights.

    They stand in `[teacher] checkpoint`; else in the student's file, where it holds a pair; else
    in the model that the config names, if it does not begin at random.

    Raises
    ------
    GapDoctorError
        When the model cannot be built, or no weights are known for it.
    """
    model = cast(Reference, section.model)
    if section.checkpoint is not None:
        file = section.checkpoint
        return _filled(model, section.args, read_checkpoint(file.path, unsafe=unsafe), file,
                       section.key, "teacher")  # fmt: skip
    holds_pair = any(entry.role == "teacher" for entry in own.entries)
    if holds_pair or section.key is not None or model.is_program:
        return _filled(model, section.args, own, student.checkpoint, section.key, "teacher")
    return _as_built(model, section.args, "teacher")


def load_assistant(section: AssistantSection, *, unsafe: bool) -> Loaded[nn.Module]:
    """Build the assistant and load its weights, from where a teacher's would come.

    Raises
    ------
    GapDoctorError
        When the model cannot be built, or no weights are known for it.
    """
    file = section.checkpoint
    if file is None:
        return _as_built(section.model, section.args, "assistant")
    checkpoint = read_checkpoint(file.path, unsafe=unsafe)
    return _filled(section.model, section.args, checkpoint, file, section.key, "assistant")


def student_factories(section: StudentSection) -> tuple[Any, Any]:
    """Return what builds the student anew, and what builds a larger one; None where nothing can."""
    if section.model.is_program:
        return None, None
    build = reference.factory(section.model, section.args)
    more = None if build is None else larger_args(section)
    if more is None:
        return build, None
    return build, reference.factory(section.model, {**section.args, **more})


def _filled(
    ref: Reference,
    args: Mapping[str, Any],
    checkpoint: Checkpoint,
    file: FileName,
    key: str | None,
    role: Role,
) -> Loaded[nn.Module]:
    said = checkpoint.notes
    if ref.is_program:
        model = build_from(checkpoint, cast(Literal["torchscript", "exported"], ref.where))
    else:
        model = reference.model(ref, args)
        said += load_weights(model, checkpoint, key=key, role=role)
    record = ModelRecord(file.named, checkpoint.sha256, parameters(model))
    return Loaded(model, record, tuple(f"{role.capitalize()}, {file.named}: {s}" for s in said))


def _as_built(ref: Reference, args: Mapping[str, Any], role: Role) -> Loaded[nn.Module]:
    """A teacher or an assistant with the weights that its own code gives it."""
    model = reference.model(ref, args)
    if not _same_weights(model, reference.model(ref, args, seed=reference.SEED + 1)):
        raise ConfigError(
            f"{ref.place}: {ref.name} begins with random weights and no checkpoint is given",
            f"name its weights: [{role}] checkpoint"
            + (", or --teacher-checkpoint FILE" if role == "teacher" else ""),
        )
    note = f"The {role}'s weights are those that {ref.name} gives it; no checkpoint is named."
    return Loaded(model, ModelRecord(None, None, parameters(model)), (note,))


def _same_weights(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def parameters(model: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(p.numel() for p in model.parameters())
