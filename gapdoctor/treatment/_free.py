"""Free corrections: tried on the student as given, kept by half A, judged on half B."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import nn

from gapdoctor.domain.trials import Change, FixRecord, PlannedFix
from gapdoctor.engines._base import Applied
from gapdoctor.errors import GapDoctorError
from gapdoctor.fixes._base import Free, Patient, all_fixes
from gapdoctor.loading.writing import fold
from gapdoctor.observe.batchnorm import re_estimate
from gapdoctor.observe.case import Case
from gapdoctor.observe.forward import Forward
from gapdoctor.observe.observations import Settings
from gapdoctor.stats.assignment import best_order, confusion, reorder
from gapdoctor.training.heldout import HeldoutOutputs
from gapdoctor.training.materials import Materials
from gapdoctor.treatment._head import head_of
from gapdoctor.verify import Arm, Comparison, HeldoutRows, Judgement, judge, untested

SCALE = "scale_temperature"
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
class FreeResult:
    """What came of the free corrections."""

    given: Arm
    """The student as it is."""
    patched: Patched
    """With all that were verified, but for the temperature, which every arm has."""
    arm: Arm
    """The same, scored."""
    records: tuple[FixRecord, ...]
    scaled: bool
    """Whether its own temperature was verified as a fix."""
    detectable: float
    """Nats that can be shown of such fixes (`Judgement.minimum_detectable_effect`)."""

    @property
    def names(self) -> tuple[str, ...]:
        """All that were verified."""
        return (*self.patched.names, *((SCALE,) if self.scaled else ()))


def try_free(
    case: Case,
    patient: Patient,
    planned: Sequence[PlannedFix],
    settings: Settings,
    *,
    with_temperature: bool,
    rng: np.random.Generator,
) -> FreeResult:
    """Try the free fixes of a plan, one on top of the other.

    One is kept where the loss on half A falls; all that were kept are judged together on half B,
    and only those that are verified stay in force.

    Parameters
    ----------
    case : Case
        Left as it was.
    patient : Patient
        Of the plan.
    planned : sequence of PlannedFix
        In the plan's order; those that train are passed over.
    settings : Settings
        Device and batch size.
    with_temperature : bool
        False with `--skip scale_temperature`.
    rng : Generator
        Of the intervals.
    """
    bare = Patched(case.student)
    first = bare.outputs(case, settings)
    rows = rows_of(first)

    def arm_of(name: str, outputs: HeldoutOutputs) -> Arm:
        return Arm.of(name, "checkpoint", {0: outputs.logits}, rows,
                      with_temperature=with_temperature)  # fmt: skip

    given = arm_of("given", first)
    tried, late = _stacked(
        case, patient, planned, settings, Scored(bare, first, given), partial(arm_of, "given")
    )
    wanted = [p for p in planned if p.free and p.id == SCALE]
    scaled = [Comparison(p, given, given.without_temperature()) for p in wanted]
    judged = judge([c for c, _ in tried] + (scaled if with_temperature else []), rng)
    judged = _as_deployed(judged, tried, rng)
    verified = set(judged.verified)
    patched = bare
    for comparison, step in tried:
        if comparison.plan.id in verified:
            patched = step.onto(patched)
    arm = given if patched is bare else arm_of("given", patched.outputs(case, settings))
    changes = {c.plan.id: step.changes for c, step in tried if step.changes}
    told = Change("student.output_temperature", case.output_temperature, _scale(case, given))
    records = [
        replace(r, changes=changes.get(r.id, (told,) if r.id == SCALE else r.changes))
        for r in judged.records
    ]
    result = FreeResult(
        given, patched, arm, (*records, *late), scaled=SCALE in verified,
        detectable=judged.minimum_detectable_effect,
    )  # fmt: skip
    return replace(result, records=(*_together(result, rng), *result.records))


def _as_deployed(
    judged: Judgement, tried: Sequence[tuple[Comparison, Step]], rng: np.random.Generator
) -> Judgement:
    """Judge the train pipeline in the place of another once more, by the losses as deployed.

    A temperature of its own can hide a mismatch, but mends nothing of it; that the student is to
    eat what it was trained on needs no other proof than that it loses less. It must not lose more
    where both have a temperature.
    """
    by_id = {c.plan.id: c for c, step in tried if step.train_pipeline}

    def again(record: FixRecord) -> FixRecord:
        comparison, found = by_id.get(record.id), record.difference
        if comparison is None or record.verified or found is None or found.low > 0:
            return record
        bare = replace(
            comparison, fix=comparison.fix.without_temperature(),
            control=comparison.control.without_temperature(),
        )  # fmt: skip
        deployed = judge([bare], rng).records[0]
        if not deployed.verified:
            return record
        return replace(
            deployed, heldout_loss=record.heldout_loss, reason="as deployed: neither student at a "
            "temperature of its own",
        )  # fmt: skip

    return replace(judged, records=tuple(again(record) for record in judged.records))


def _scale(case: Case, given: Arm) -> float:
    return case.output_temperature * given.temperatures[0]


def _together(result: FreeResult, rng: np.random.Generator) -> tuple[FixRecord, ...]:
    """All verified free fixes as one, beside the student as it stands."""
    parts = [r for name in result.names for r in result.records if r.id == name]
    if len(parts) < 2:
        return ()
    joint = PlannedFix(
        "+".join(result.names),
        tuple(dict.fromkeys(cause for r in parts for cause in r.treats)),
        "",
        tuple(change for r in parts for change in r.changes),
        free=True,
    )
    return judge([Comparison(joint, result.arm, result.given.without_temperature())], rng).records


def rows_of(outputs: HeldoutOutputs) -> HeldoutRows:
    """Return the held-out rows that all arms are scored on."""
    groups = None if outputs.groups is None else outputs.groups.astype(object)
    return HeldoutRows(outputs.labels, outputs.choosing, groups)


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


def _stacked(
    case: Case,
    patient: Patient,
    planned: Sequence[PlannedFix],
    settings: Settings,
    given: Scored,
    score: Callable[[HeldoutOutputs], Arm],
) -> tuple[list[tuple[Comparison, Step]], list[FixRecord]]:
    """Lay one free fix on top of the other, as half A says; and tell of those it speaks against."""
    proposals = {fix.name: fix.propose(patient) for fix in all_fixes()}
    kept: list[tuple[Comparison, Step]] = []
    left: list[FixRecord] = []
    before = given
    for plan in planned:
        free = proposals.get(plan.id)
        if not plan.free or not isinstance(free, Free) or plan.id == SCALE:
            continue
        try:
            step = _step(plan, free, case, before, settings)
        except GapDoctorError as error:
            left.append(untested(plan, "checkpoint", "not_applicable", error.message))
            continue
        after = step.onto(before.patched)
        outputs = after.outputs(case, settings)
        arm = score(outputs)
        if arm.loss_on_a < before.arm.loss_on_a or (
            step.train_pipeline and arm.a.before.mean() < before.arm.a.before.mean()
        ):
            kept.append((Comparison(plan, arm, before.arm), step))
            before = Scored(after, outputs, arm)
        else:
            told = "on half A it gives nothing back on top of what stands before it"
            left.append(untested(plan, "checkpoint", "not_verified", told))
    return kept, left


def _step(plan: PlannedFix, free: Free, case: Case, before: Scored, settings: Settings) -> Step:
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
