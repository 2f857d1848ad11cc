"""The plan of a run: which fixes, in which order, from where, how long, on how many seeds.

Made once and of plain data: the same inputs give the same plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, replace

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.trials import Change, ClinicCount, Plan, PlannedFix, Start
from gapdoctor.fixes._base import (
    Fix,
    Free,
    NotApplicable,
    Patient,
    Proposal,
    Variant,
    all_fixes,
    changes_of,
)
from gapdoctor.fixes._choice import (
    Choice,
    choose,
    reserve_of,
    seconds_of,
    start_of,
    trials_of,
    without_teacher,
)
from gapdoctor.fixes._clinic import measured
from gapdoctor.fixes._costs import Arm
from gapdoctor.fixes._gains import gain_of, treated
from gapdoctor.fixes._names import check_names
from gapdoctor.fixes._options import PlanOptions
from gapdoctor.fixes._together import needing
from gapdoctor.fixes._wording import duration, notes_of

__all__ = ["PlanOptions", "make_plan"]

EPOCHS = "recipe.epochs"
FREE_FIRST = ("match_preprocessing", "recalibrate_batchnorm", "reorder_classes")
"""The order in which the diagnosis undid them; temperature last."""


def make_plan(patient: Patient, options: PlanOptions | None = None) -> Plan:
    """Return which fixes are tried, in which order, and their trials.

    Free corrections stand first; then trainings, the most expected nats a second first. Trials are
    interleaved by seed, controls before the rest, so that a budget that ends too soon leaves whole
    comparisons; the arm without a teacher is the last.

    Parameters
    ----------
    patient : Patient
        From `patient_of`.
    options : PlanOptions, optional
        What is asked for.

    Raises
    ------
    GapDoctorError
        When `only` or `skip` names no fix, or the student cannot begin from scratch as asked.
    """
    options = options or PlanOptions()
    fixes = all_fixes()
    check_names(options.only, options.skip, [fix.name for fix in fixes])
    proposals = [(fix, _considered(fix, patient, options)) for fix in fixes]
    variants = [(f, p) for f, p in proposals if isinstance(p, Variant)]
    beginning = start_of(patient, variants, options)
    proposals = [(fix, _from(beginning.start, found)) for fix, found in proposals]
    variants = [(f, p) for f, p in proposals if isinstance(p, Variant)]
    choice = choose(patient, variants, beginning, options)
    aside = without_teacher(patient, choice, options)
    return Plan(
        hash=options.hash,
        seed=options.seed,
        start=beginning.start,
        start_reason=beginning.reason,
        budget=options.budget,
        recipe=patient.recipe,
        assumed=patient.assumed,
        fixes=(
            *_free(patient, proposals),
            *(_planned(patient, arm, choice, options) for arm in choice.arms),
            *(_not_reached(_planned(patient, arm, choice, options), arm) for arm in choice.late),
            *_alike(choice),
            *_not_applicable(proposals),
        ),
        trials=(*trials_of(patient, choice, options), *aside),
        notes=notes_of(patient),
        finalists=choice.finalists,
        expected_seconds=seconds_of(patient, choice, aside, options) if options.measured else 0.0,
        pace=astuple(options.pace),
        reserve=tuple(reserve_of(choice)),
        together=tuple(
            needing(
                {fix.name: fix.needs for fix in fixes},
                {arm.fix for arm in (*choice.arms, *choice.late)},
            )
        ),
    )


# -- which fixes -------------------------------------------------------------------------------


def _considered(fix: Fix, patient: Patient, options: PlanOptions) -> Proposal:
    """What a fix proposes, unless it is left out or there is nothing for it to treat."""
    if fix.name in options.skip:
        return NotApplicable("left out (--skip)")
    if options.only and fix.name not in options.only:
        return NotApplicable("left out (--only)")
    found = fix.propose(patient)
    if isinstance(found, Variant) and fix.name not in options.only and not treated(fix, patient):
        return NotApplicable(f"none of what it treats was found: {', '.join(fix.treats)}")
    return found


def _from(start: Start, found: Proposal) -> Proposal:
    """What is proposed, where it can be tried beside arms of that start."""
    if isinstance(found, Variant) and found.folds and start == "checkpoint":
        return NotApplicable(
            "trainings begin from the checkpoint, which has seen every train row: no part of them "
            "can be left out"
        )
    return found


def _free(patient: Patient, proposals: Iterable[tuple[Fix, Proposal]]) -> list[PlannedFix]:
    found = []
    for fix, free in proposals:
        if isinstance(free, Free):
            treats = treated(fix, patient)
            gain = gain_of(patient, fix.name, treats, free.expected_share)
            planned = PlannedFix(
                fix.name, treats, free.summary, free.changes, free=True, expected_gain=gain,
                clinic=_seen(fix.name, treats),
            )  # fmt: skip
            found.append(planned)
    place = {name: at for at, name in enumerate(FREE_FIRST)}
    return sorted(found, key=lambda fix: (place.get(fix.id, len(place)), fix.id))


def _planned(patient: Patient, arm: Arm, choice: Choice, options: PlanOptions) -> PlannedFix:
    return PlannedFix(
        arm.fix,
        arm.treats,
        arm.variant.summary,
        _as_long(patient, arm, choice),
        start=arm.variant.start,
        expected_gain=arm.gain,
        expected_seconds=(
            arm.once + arm.seconds * max(1, options.seeds) if options.measured else 0.0
        ),
        clinic=_seen(arm.fix, arm.treats),
    )


def _as_long(patient: Patient, arm: Arm, choice: Choice) -> tuple[Change, ...]:
    """What is changed; where trainings are shortened, epochs are those that are trained."""
    changes = changes_of(patient, arm.variant)
    control = choice.length if arm.spec.start == choice.start else patient.epochs
    if arm.folds or control == patient.epochs:
        return changes
    rest = tuple(change for change in changes if change.key != EPOCHS)
    if arm.spec.epochs == control:
        return rest
    return (Change(EPOCHS, control, arm.spec.epochs), *rest)


def _seen(fix: str, treats: Sequence[Cause]) -> ClinicCount | None:
    """What the clinic counted of a fix, for the likeliest cause of which it counted anything."""
    found = (measured(fix, cause) for cause in treats)
    return next((one.count for one in found if one is not None), None)


def _not_reached(planned: PlannedFix, arm: Arm) -> PlannedFix:
    reason = (
        f"the budget does not reach it: one training takes {duration(arm.seconds)}, all its seeds "
        f"{duration(planned.expected_seconds)}"
    )
    return replace(planned, status="not_reached", reason=reason)


def _alike(choice: Choice) -> list[PlannedFix]:
    return [
        PlannedFix(
            arm.fix, arm.treats, arm.variant.summary, status="not_applicable",
            reason=f"here it is the same training as {other}",
        )
        for arm, other in choice.alike
    ]  # fmt: skip


def _not_applicable(proposals: Iterable[tuple[Fix, Proposal]]) -> list[PlannedFix]:
    return [
        PlannedFix(fix.name, (), "", status="not_applicable", reason=found.reason)
        for fix, found in proposals
        if isinstance(found, NotApplicable)
    ]
