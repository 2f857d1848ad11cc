"""From where a plan's arms start, how long they train, and which of them a budget reaches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.recipe import Average
from gapdoctor.domain.trials import CONTROL, WITHOUT_TEACHER, Start, TrialSpec
from gapdoctor.errors import GapDoctorError
from gapdoctor.fixes._base import Fix, Patient, Variant
from gapdoctor.fixes._costs import FEWEST_FINALISTS, Arm, Bill, all_hopeful, hopeful
from gapdoctor.fixes._gains import gain_of, treated
from gapdoctor.fixes._lengths import of_length
from gapdoctor.fixes._options import PlanOptions
from gapdoctor.fixes._wording import duration

CONTINUED = 0.5
"""Share of the epochs that arms from the checkpoint train where no budget says less (starting
value)."""
SHORTEST = 0.2
"""Share of the epochs to which arms from the checkpoint are shortened before some are left out:
with less, arms that regularize look worse than they are (starting value; races that prune early
prune those)."""
AFRESH = frozenset({Cause.OPTIMIZATION, Cause.CAPACITY_SHORTFALL})
"""Causes that a checkpoint hides: trained on from it, the control's rate comes down to 0 too, which
is half the cure of a wrong rate; and a larger student begins from none. Where the budget does not
pay for whole trainings, these are shortened before the checkpoint is taken."""
PLANNED = 0.85
"""Share of the budget that is planned: the last seed of a comparison that ends too late is lost
(starting value)."""
COMFORTABLE, LEAST_AFRESH = 0.6, 0.35
"""Shares of the epochs to which such trainings are shortened: as long as arms would be left out;
and until one of them is paid for (starting values)."""


# -- from where, how long, how many ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Beginning:
    """From where arms begin, and how long their control may be."""

    start: Start
    reason: str
    lengths: Sequence[int]
    """Epochs of a control, the longest first."""


def start_of(
    patient: Patient, variants: Sequence[tuple[Fix, Variant]], options: PlanOptions
) -> Beginning:
    """Return from where all arms begin, and why; `increase_capacity` begins from scratch anyway.

    Raises
    ------
    GapDoctorError
        When scratch is asked for and the student has no factory.
    """
    whole = [options.length or patient.epochs]
    short = [options.length] if options.length else _continued(patient)
    if options.start == "scratch" and not patient.has_factory:
        raise GapDoctorError(
            "--start scratch: the student cannot be built anew, nothing names its factory",
            "name [student] model as where:what, or leave --start out",
        )
    if options.start is not None:
        told = options.start_reason or f"as asked for (--start {options.start})"
        return Beginning(options.start, told, whole if options.start == "scratch" else short)
    if not patient.has_factory:
        told = "the student cannot be built anew: nothing names its factory"
        return Beginning("checkpoint", told, short)
    return _affordable(patient, variants, options)


def _affordable(
    patient: Patient, variants: Sequence[tuple[Fix, Variant]], options: PlanOptions
) -> Beginning:
    """From scratch where the budget pays for it; shortened where the cause asks for scratch."""
    bill = _bill(patient, "scratch", patient.epochs, options)
    arms, _ = _arms(patient, variants, "scratch", patient.epochs, options)
    few = hopeful(arms)[:FEWEST_FINALISTS]
    least = bill.total(few, len(few))
    if bill.pays(least):
        return Beginning("scratch", "as a student is trained", [patient.epochs])
    told = f"more than the budget of {duration(options.budget or 0.0)}"
    short = _shortened(patient, variants, options)
    if short is not None:
        return Beginning("scratch", (
            f"as a student is trained, but every training is shortened to {short} of "
            f"{patient.epochs} epochs, schedule and all: {_what(few, bill)} take "
            f"{duration(least)}, {told}"
        ), [short])  # fmt: skip
    return Beginning("checkpoint", (
        f"from scratch {_what(few, bill)} take {duration(least)}, {told}"
    ), _continued(patient))  # fmt: skip


def _what(few: Sequence[Arm], bill: Bill) -> str:
    fixes = "one fix" if len(few) == 1 else f"{len(few)} fixes"
    return f"a control and {fixes} on {bill.seeds} seed{'s' if bill.seeds > 1 else ''} each"


def _continued(patient: Patient) -> Sequence[int]:
    return range(max(1, round(CONTINUED * patient.epochs)), 0, -1)


def _shortened(
    patient: Patient, variants: Sequence[tuple[Fix, Variant]], options: PlanOptions
) -> int | None:
    """Return the epochs to which trainings from scratch are cut where the cause asks for scratch.

    None where it does not, or where not even one fix could be tried so.
    """
    arms, _ = _arms(patient, variants, "scratch", patient.epochs, options)
    if not arms or not AFRESH & {*arms[0].treats[:1]}:
        return None
    fewest = max(1, math.ceil(LEAST_AFRESH * patient.epochs))
    for length in range(patient.epochs, fewest - 1, -1):
        arms, _ = _arms(patient, variants, "scratch", length, options)
        kept = _bill(patient, "scratch", length, options).kept(arms).arms
        if all_hopeful(arms, kept) or (kept and length <= COMFORTABLE * patient.epochs):
            return length
    return None


@dataclass(frozen=True, slots=True)
class Choice:
    """What is trained, and how long."""

    arms: list[Arm]
    late: list[Arm]
    """Those that the budget does not reach."""
    alike: list[tuple[Arm, str]]
    """Those that would train as another one does, and which."""
    start: Start
    length: int
    """Epochs of a control of that start."""
    bill: Bill
    finalists: int
    joined: bool
    """Whether two fixes together are reckoned with."""


def choose(
    patient: Patient,
    variants: Sequence[tuple[Fix, Variant]],
    beginning: Beginning,
    options: PlanOptions,
) -> Choice:
    """Return the arms that the budget pays for.

    From the checkpoint they are as long as it leaves all that promise much, down to a share of the
    training; then some are left out; where not even one fits, they are shorter still.
    """
    start = beginning.start
    for length in beginning.lengths:
        arms, alike = _arms(patient, variants, start, length, options)
        bill = _bill(patient, start, length, options)
        kept = bill.kept(arms)
        if all_hopeful(arms, kept.arms) or (kept.arms and length <= SHORTEST * patient.epochs):
            break
    late = [arm for arm in arms if arm.fix not in {one.fix for one in kept.arms}]
    return Choice(kept.arms, late, alike, start, length, bill, kept.finalists, kept.joined)


def _bill(patient: Patient, start: Start, length: int, options: PlanOptions) -> Bill:
    starts: tuple[Start, ...] = ("scratch",) if start == "scratch" else (start, "scratch")
    pace = options.pace
    lengths = {s: length if s == start else patient.epochs for s in starts}
    seconds = {s: pace.of(patient, _control(patient, s, lengths[s], options)) for s in starts}
    return Bill(seconds, max(1, options.seeds), _planned(options))


def _planned(options: PlanOptions) -> float | None:
    if options.budget is None or not options.measured:
        return None
    return PLANNED * options.budget


def _arms(
    patient: Patient,
    variants: Sequence[tuple[Fix, Variant]],
    start: Start,
    length: int,
    options: PlanOptions,
) -> tuple[list[Arm], list[tuple[Arm, str]]]:
    """Return all arms, the most promising first, and those that train as another does.

    That other is the control or an arm before them.
    """
    found: list[Arm] = []
    for fix, variant in variants:
        spec = _spec(patient, fix.name, variant, start, length, options.seed)
        treats = treated(fix, patient)
        gain = gain_of(patient, fix.name, treats, variant.expected_share)
        arm = Arm(fix.name, treats, variant, spec, options.pace.of(patient, spec), gain)
        found.append(_with_folds(patient, arm, options))
    kept: list[Arm] = []
    alike: list[tuple[Arm, str]] = []
    trained = [_control(patient, start, length, options)]
    for arm in sorted(found, key=lambda arm: arm.promise):
        same = [s.fix for s in trained if replace(s, fix=arm.fix) == arm.spec and not arm.folds]
        if same:
            alike.append((arm, same[0]))
        else:
            kept.append(arm)
            trained.append(arm.spec)
    return kept, alike


def _with_folds(patient: Patient, arm: Arm, options: PlanOptions) -> Arm:
    """Return an arm with the folds that tell its length; one that knows it as it is."""
    found = None
    for count in reversed(arm.variant.folds):
        folds = tuple(replace(arm.spec, fold=(k + 1, count)) for k in range(count))
        once = sum(options.pace.of(patient, fold) for fold in folds)
        found = replace(arm, folds=folds, once=once, instead=found)
    return found or arm


# -- trials ------------------------------------------------------------------------------------


def _control(patient: Patient, start: Start, length: int, options: PlanOptions) -> TrialSpec:
    same = Variant(patient.recipe, "", 0.0)
    return _spec(patient, CONTROL, same, start, length, options.seed)


def _spec(
    patient: Patient, name: str, variant: Variant, start: Start, length: int, seed: int
) -> TrialSpec:
    """Return the first trial of an arm.

    From the checkpoint the whole schedule is run through in `length` epochs, down to 0; from
    scratch it is shortened with the training. An arm of its own length keeps its proportion.
    """
    own = variant.start or start
    epochs = variant.epochs or patient.epochs
    recipe = variant.recipe
    share = length / patient.epochs if own == start else 1.0
    if own == "checkpoint":
        epochs = max(1, round(share * epochs))
        recipe = of_length(recipe, epochs)
    elif share != 1.0:  # of a training that was cut off, too, the same share of its schedule
        planned = max(1, round(share * (recipe.epochs or epochs)))
        epochs, recipe = max(1, round(share * epochs)), of_length(recipe, planned)
    return TrialSpec(
        name, seed, own, recipe, epochs, larger=variant.larger,
        # `swa` averages at a rate that stays up
        anneal=own == "checkpoint" and recipe.average != Average.SWA,
    )  # fmt: skip


def trials_of(patient: Patient, choice: Choice, options: PlanOptions) -> list[TrialSpec]:
    """Seed by seed, controls first."""
    starts = sorted({arm.spec.start for arm in choice.arms}, key=lambda s: s != choice.start)
    lengths = {s: choice.length if s == choice.start else patient.epochs for s in starts}
    first = [_control(patient, s, lengths[s], options) for s in starts]
    first += [spec for arm in choice.arms for spec in arm.folds or (arm.spec,)]
    seeds = range(choice.bill.seeds)
    return [replace(s, seed=s.seed + k) for k in seeds for s in first if not (k and s.fold)]


def reserve_of(choice: Choice) -> list[TrialSpec]:
    """Return the first trials of what the budget does not reach, the most expected nats first.

    Only where a control of that start is planned; folds cost too much to be an afterthought.
    """
    starts = {arm.spec.start for arm in choice.arms}
    late = [arm for arm in choice.late if arm.spec.start in starts and not arm.folds]
    return [arm.spec for arm in sorted(late, key=lambda arm: (-(arm.gain or 0.0), arm.fix))]


def without_teacher(patient: Patient, choice: Choice, options: PlanOptions) -> list[TrialSpec]:
    """Return the trial that tells whether distillation helps at all, where the budget allows.

    On one seed, against the control of the same seed.
    """
    asked = WITHOUT_TEACHER not in options.skip and not options.only
    if not asked or patient.recipe.task_weight == 1:
        return []
    if choice.start not in {arm.spec.start for arm in choice.arms}:
        return []  # there is no control to compare it with
    control = _control(patient, choice.start, choice.length, options)
    alone = replace(control, fix=WITHOUT_TEACHER, recipe=replace(control.recipe, task_weight=1.0))
    return [alone] if choice.bill.pays(seconds_of(patient, choice, [alone], options)) else []


def seconds_of(
    patient: Patient, choice: Choice, aside: Iterable[TrialSpec], options: PlanOptions
) -> float:
    """Return the seconds of all trials that will be run."""
    more = sum(options.pace.of(patient, spec) for spec in aside)
    return choice.bill.total(choice.arms, choice.finalists, joined=choice.joined) + more
