"""One free correction: made ready on train rows and half A, laid on top of those before it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from torch import nn

from gapdoctor.domain.trials import Change, PlannedFix
from gapdoctor.engines._base import Applied
from gapdoctor.errors import GapDoctorError
from gapdoctor.fixes._base import Free
from gapdoctor.loading.writing import fold
from gapdoctor.observe.batchnorm import re_estimate
from gapdoctor.observe.case import Case
from gapdoctor.observe.forward import Forward
from gapdoctor.observe.observations import Settings
from gapdoctor.stats.assignment import best_order, confusion, reorder
from gapdoctor.training.heldout import HeldoutOutputs
from gapdoctor.training.materials import Materials
from gapdoctor.treatment._head import head_of
from gapdoctor.verify import Arm

BN_ROWS = 128
"""Rows of a batch, about: none so small that it would weigh too much."""
CHECKED_ROWS = 1000
"""Train rows on which it is asked whose class order is another: the student's or the labels'."""


@dataclass(frozen=True)
class Patched:
    """The given student under the free corrections in force."""

    student: nn.Module
    """Another one where its statistics or its head were mended."""
    applied: Applied = field(default_factory=Applied)
    head_order: tuple[int, ...] | None = None
    """The class that each column of the student's logits means, where it is its own fault."""
    names: tuple[str, ...] = ()

    def outputs(self, case: Case, settings: Settings) -> HeldoutOutputs:
        """Return what it says of all held-out rows as deployed."""
        materials = self.applied.materials(replace(case, student=self.student), settings)
        found = materials.heldout.outputs(self.student, materials.device)
        logits = found.logits / np.float32(case.output_temperature)
        if self.head_order is not None:
            logits = reorder(logits, self.head_order).astype(np.float32)
        return replace(found, logits=logits)


@dataclass(frozen=True)
class Scored:
    """The student at one point of the stack."""

    patched: Patched
    outputs: HeldoutOutputs
    arm: Arm


@dataclass(frozen=True)
class Step:
    """One free correction, ready to be laid on top of others."""

    name: str
    student: nn.Module | None = None
    """With fresh statistics."""
    train_pipeline: bool = False
    correction: str | None = None
    label_order: tuple[int, ...] | None = None
    head_order: tuple[int, ...] | None = None
    changes: tuple[Change, ...] = ()
    """What was fitted."""

    def onto(self, patched: Patched) -> Patched:
        """Return the student under one correction more."""
        applied = patched.applied
        if self.train_pipeline:
            applied = replace(applied, train_pipeline=True)
        if self.correction is not None:
            applied = replace(applied, corrections=(*applied.corrections, self.correction))
        if self.label_order is not None:
            applied = replace(applied, class_order=self.label_order)
        return Patched(
            self.student or patched.student, applied, self.head_order or patched.head_order,
            (*patched.names, self.name),
        )  # fmt: skip


def ready_step(
    plan: PlannedFix, free: Free, case: Case, before: Scored, settings: Settings
) -> Step:
    """Make a free fix ready: fit what is to be fitted, on train rows and half A."""
    if free.kind == "pipeline":
        return Step(plan.id, train_pipeline=True)
    if free.kind == "correction":
        return Step(plan.id, correction=free.argument)
    materials = Materials(case, settings)
    rows = min(materials.rows.count, int(free.argument or CHECKED_ROWS))
    some = _spread(materials.rows.count, rows)
    if free.kind == "batchnorm":
        batches = (
            materials.rows.batch(part).inputs
            for part in np.array_split(some, max(1, len(some) // BN_ROWS))
        )
        device = materials.device
        student = re_estimate(before.patched.student, batches, device, settings.seed)
        return Step(plan.id, student=student.cpu())
    return _reordering(plan, materials, some, before)


def _reordering(
    plan: PlannedFix, materials: Materials, some: NDArray[np.int64], before: Scored
) -> Step:
    """The class order that fits half A; the student's own fault where train rows say the same."""
    found = before.outputs
    a = found.choosing
    order = _order(found.logits[a], found.labels[a])
    batch = materials.rows.batch(some)
    scorer = Forward(
        before.patched.student, "student", materials.device, materials.settings.batch_size
    )
    on_train = _order(scorer.run([batch.inputs]).logits, batch.labels.cpu().numpy())
    identity = np.arange(len(order))
    if (order == identity).all():
        raise GapDoctorError("on half A the classes are in the order of the labels")
    told = tuple(int(c) for c in order)
    student = before.patched.student
    folded = fold(student, head_of(student, materials), order=told)
    if folded.order_left:
        raise GapDoctorError(f"the class order cannot be written into the student: {folded.reason}")
    changes = (Change("class_order", None, list(told)),)
    if (on_train == identity).all():
        return Step(plan.id, label_order=told, changes=changes)
    return Step(plan.id, head_order=told, changes=changes)


def _order(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    return best_order(confusion(logits.argmax(axis=1), labels, logits.shape[1]))


def _spread(count: int, rows: int) -> NDArray[np.int64]:
    """Rows at equal distances: whatever the data set is sorted by."""
    return np.linspace(0, count - 1, rows).astype(np.int64)
