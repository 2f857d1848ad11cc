"""Free corrections: tried on the student as given, kept by half A, judged on half B."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from gapdoctor.domain.trials import Change, FixRecord, PlannedFix
from gapdoctor.errors import GapDoctorError
from gapdoctor.fixes._base import Free, Patient, all_fixes
from gapdoctor.observe.case import Case
from gapdoctor.observe.observations import Settings
from gapdoctor.training.heldout import HeldoutOutputs
from gapdoctor.treatment._steps import Patched, Scored, Step, ready_step
from gapdoctor.verify import Arm, Comparison, HeldoutRows, Judgement, judge, untested

SCALE = "scale_temperature"


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
            step = ready_step(plan, free, case, before, settings)
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
