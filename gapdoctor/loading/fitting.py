"""Which of the config's two models the weights of a file fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from gapdoctor.errors import GapDoctorError
from gapdoctor.loading import reference
from gapdoctor.loading.checkpoint import Entry, Role, fits
from gapdoctor.loading.merged import merge
from gapdoctor.loading.sections import read_student, read_teacher

if TYPE_CHECKING:
    from torch import nn


def models_of(toml: Path, checkpoint: Path) -> tuple[dict[Role, nn.Module], tuple[str, ...]]:
    """Build the models that a config names, weights aside.

    Parameters
    ----------
    toml : Path
        The config; only `[student]` and `[teacher]` are read.
    checkpoint : Path
        Stands for the student's, so that the config need not name one.

    Returns
    -------
    dict
        Role -> model, for those that could be built.
    tuple of str
        Why another one could not, one sentence each.
    """
    models: dict[Role, nn.Module] = {}
    untold: list[str] = []
    for role in get_args(Role):
        try:
            model = _model(role, toml, checkpoint)
        except GapDoctorError as error:
            untold.append(f"Not compared with the {role}: {error.message}.")
            continue
        if model is not None:
            models[role] = model
    return models, tuple(untold)


def which_fit(entry: Entry, models: Mapping[Role, nn.Module]) -> list[str]:
    """Return the roles whose model can take an entry's weights."""
    return [role for role, model in models.items() if fits(model, entry, role)]


def _model(role: Role, toml: Path, checkpoint: Path) -> nn.Module | None:
    merged = merge(toml, {"student.checkpoint": str(checkpoint)})
    if merged.get(f"{role}.model") is None:
        return None
    section = read_student(merged) if role == "student" else read_teacher(merged)
    if section.model is None or section.model.is_program:
        return None
    return reference.model(section.model, section.args)
