"""Teachers and students of the clinic, trained on demand and kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn

from tests.clinic.data import SOURCES, Priors, Source
from tests.clinic.networks import FAMILIES, Shape, build
from tests.clinic.parts import CELLS, TEACHERS, Cell
from tests.clinic.sources.drawn import Drawn, joined
from tests.clinic.store import kept, key_of
from tests.clinic.training import Curves, Lesson, Plan, lesson, train


@dataclass(frozen=True)
class StudentSpec:
    """All that a student depends on."""

    cell: str
    plan: Plan
    teacher: str
    width: int
    rows: int | None = None
    """First rows of the pool; None: the data set's train rows."""
    wrong_labels: float = 0.0
    """Share of train labels that are replaced by another class."""
    priors: Priors = None

    def changed(self, plan: Mapping[str, Any] | None = None, **fields: Any) -> StudentSpec:
        """Return a copy with other fields, and another plan."""
        altered = replace(self.plan, **(plan or {}))
        return replace(self, plan=altered, **fields)


@dataclass(frozen=True, eq=False)
class Student:
    """A trained student with what it was trained on."""

    spec: StudentSpec
    model: nn.Module
    curves: Curves
    train: Drawn = field(repr=False)


def cell_of(name: str) -> Cell:
    """Return the cell of that name."""
    return next(c for c in CELLS if c.name == name)


def usual(cell: Cell, seed: int) -> StudentSpec:
    """Return the usual student of a cell."""
    return StudentSpec(cell.name, replace(cell.plan, seed=seed), cell.teacher, cell.width)


def teacher_of(source: str, name: str) -> nn.Module:
    """Return a teacher, a network of its own each time."""
    spec = TEACHERS[source, name]
    data = SOURCES[source]
    untrained = build(spec.family, _shape(source), len(data.classes), spec.width, spec.plan.seed)

    def trained() -> tuple[nn.Module, Curves]:
        worlds = [data.pool(shift=s).first(spec.rows or data.train_rows) for s in spec.shifts]
        rows = joined(worlds)
        augment = data.augment if spec.plan.augmented else None
        found = lesson(ready(source, rows), labels(rows), heldout(source), None, augment)
        return train(untrained, found, spec.plan)

    return kept(teacher_key(source, name), untrained, trained)[0]


def teacher_key(source: str, name: str) -> str:
    """Return the name under which a teacher is kept."""
    return key_of(TEACHERS[source, name], data=_fingerprint(source))


def student_of(spec: StudentSpec) -> Student:
    """Return the student of a spec, a network of its own each time."""
    cell, rows = cell_of(spec.cell), train_rows(spec)
    model, curves = kept(
        student_key(spec),
        untrained(spec),
        lambda: train(untrained(spec), _lesson_of(spec, cell, rows), spec.plan),
    )
    return Student(spec, model, curves, rows)


def student_key(spec: StudentSpec) -> str:
    """Return the name under which a student is kept."""
    source = cell_of(spec.cell).source
    return key_of(spec, TEACHERS[source, spec.teacher], data=_fingerprint(source))


def untrained(spec: StudentSpec, width: int | None = None) -> nn.Module:
    """Return the student's network before training, or a wider one."""
    cell = cell_of(spec.cell)
    classes = len(SOURCES[cell.source].classes)
    shape = _shape(cell.source)
    return build(cell.family, shape, classes, width or spec.width, spec.plan.seed)


def fresh(spec: StudentSpec, width: int | None = None) -> nn.Module:
    """Return the student's network with weights of the caller's own chance.

    A user's factory draws them so; trials of different seeds are to begin apart.
    """
    cell = cell_of(spec.cell)
    classes = len(SOURCES[cell.source].classes)
    return FAMILIES[cell.family](_shape(cell.source), classes, width or spec.width)


def train_rows(spec: StudentSpec) -> Drawn:
    """Return the train rows of a student, wrong labels and all."""
    source = SOURCES[cell_of(spec.cell).source]
    rows = source.train(spec.rows, spec.priors)
    if not spec.wrong_labels:
        return rows
    rng = np.random.default_rng([spec.plan.seed, 5])
    wrong = rng.random(len(rows)) < spec.wrong_labels
    moved = (rows.labels + rng.integers(1, len(source.classes), len(rows))) % len(source.classes)
    return Drawn(rows.raw, np.where(wrong, moved, rows.labels))


def ready(source: str, rows: Drawn) -> torch.Tensor:
    """Return model-ready inputs through the data set's own pipeline."""
    return SOURCES[source].pipeline(rows.raw)


def labels(rows: Drawn) -> torch.Tensor:
    """Return class indices as a tensor."""
    return torch.from_numpy(rows.labels)


@lru_cache(maxsize=8)
def heldout(source: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the model-ready held-out rows of a data set."""
    rows = SOURCES[source].heldout()
    return ready(source, rows), labels(rows)


def _lesson_of(spec: StudentSpec, cell: Cell, rows: Drawn) -> Lesson:
    whole = _taught(cell.source, spec.teacher, spec.plan.augmented, spec.priors)
    return Lesson(
        [view[: len(rows)] for view in whole.views],
        labels(rows),
        [logits[: len(rows)] for logits in whole.teacher],
        heldout(cell.source),
    )


@lru_cache(maxsize=3)
def _taught(source: str, teacher: str, augmented: bool, priors: Priors) -> Lesson:
    data: Source = SOURCES[source]
    rows = data.train(priors=priors)
    augment = data.augment if augmented else None
    model = teacher_of(source, teacher)
    return lesson(ready(source, rows), labels(rows), heldout(source), model, augment)


@lru_cache(maxsize=32)
def _fingerprint(source: str) -> bytes:
    return SOURCES[source].train(16).raw.tobytes()


@lru_cache(maxsize=32)
def _shape(source: str) -> Shape:
    return SOURCES[source].shape
