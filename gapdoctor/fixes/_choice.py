"""From where a plan's arms start, how long they train, and which of them a budget reaches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.trials import CONTROL, WITHOUT_TEACHER, Start, TrialSpec
from gapdoctor.errors import GapDoctorError
from gapdoctor.fixes._base import Fix, Patient, Variant
from gapdoctor.fixes._costs import Arm, Bill
from gapdoctor.fixes._lengths import of_length
from gapdoctor.fixes._options import PlanOptions
from gapdoctor.fixes._wording import duration

WORTH = 0.2
"""Confidence from which a cause is treated (starting value: about what every other cause that is
not the one has at most)."""
CONTINUED = 0.5
"""Share of the epochs that arms from the checkpoint train where no budget says less (starting
value)."""
SHORTEST = 0.1
"""Share of the epochs to which arms from the checkpoint are shortened before some are left out:
with less, arms that regularize look worse than they are (starting value; races that prune early
prune those)."""


def treated(fix: Fix, patient: Patient) -> tuple[Cause, ...]:
    """Of the causes found, those that a fix treats, most likely first."""
    found = [c for c in patient.diagnosis.causes if c.id in fix.treats and c.confidence >= WORTH]
    return tuple(c.id for c in found if c.explained.value > 0)


def gain_of(patient: Patient, causes: Iterable[Cause], share: float) -> float | None:
    """Return the most that one of these causes promises, in nats; alternatives are not summed."""
    found = [patient.causes[cause] for cause in causes]
    return max((c.confidence * c.explained.value * share for c in found), default=None)


# -- from where, how long, how many ------------------------------------------------------------


def start_of(
    patient: Patient, variants: Sequence[tuple[Fix, Variant]], options: PlanOptions
) -> tuple[Start, str]:
    """Return from where all arms start, and why; `increase_capacity` starts from scratch anyway.

    Raises
    ------
    GapDoctorError
        When scratch is asked for and the student has no factory.
    """
    if options.start == "scratch" and not patient.has_factory:
        raise GapDoctorError(
            "--start scratch: the student cannot be built anew, nothing names its factory",
            "name [student] model as where:what, or leave --start out",
        )
    if options.start is not None:
        return options.start, options.start_reason or f"as asked for (--start {options.start})"
    if not patient.has_factory:
        return "checkpoint", "the student cannot be built anew: nothing names its factory"
    arms, _ = _arms(patient, variants, "scratch", patient.epochs, options)
    bill = _bill(patient, "scratch", patient.epochs, options)
    least = min((bill.total([arm], 1) for arm in arms), default=0.0)
    if not bill.pays(least):
        return "checkpoint", (
            f"from scratch a control and one fix on {bill.seeds} "
            f"seed{'s' if bill.seeds > 1 else ''} each take {duration(least)}, more than the "
            f"budget of {duration(bill.budget or 0.0)}"
        )
    return "scratch", "as a student is trained"


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


def choose(
    patient: Patient, variants: Sequence[tuple[Fix, Variant]], start: Start, options: PlanOptions
) -> Choice:
    """Return the arms that the budget pays for.

    From the checkpoint they are as long as it leaves all of them, down to a share of the training;
    then some are left out; where not even one fits, they are shorter still.
    """
    lengths = [patient.epochs]
    if start == "checkpoint":
        lengths = list(range(max(1, round(CONTINUED * patient.epochs)), 0, -1))
    for length in lengths:
        arms, alike = _arms(patient, variants, start, length, options)
        bill = _bill(patient, start, length, options)
        kept, finalists = bill.kept(arms)
        if len(kept) == len(arms) or (kept and length <= SHORTEST * patient.epochs):
            break
    late = [arm for arm in arms if arm.fix not in {one.fix for one in kept}]
    return Choice(kept, late, alike, start, length, bill, finalists)


def _bill(patient: Patient, start: Start, length: int, options: PlanOptions) -> Bill:
    starts: tuple[Start, ...] = ("scratch",) if start == "scratch" else (start, "scratch")
    pace = options.pace
    seconds = {s: pace.of(patient, _control(patient, s, length, options)) for s in starts}
    return Bill(seconds, max(1, options.seeds), options.budget if options.measured else None)


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
        gain = gain_of(patient, treats, variant.expected_share)
        found.append(Arm(fix.name, treats, variant, spec, options.pace.of(patient, spec), gain))
    kept: list[Arm] = []
    alike: list[tuple[Arm, str]] = []
    trained = [_control(patient, start, length, options)]
    for arm in sorted(found, key=lambda arm: arm.promise):
        same = [spec.fix for spec in trained if replace(spec, fix=arm.fix) == arm.spec]
        if same:
            alike.append((arm, same[0]))
        else:
            kept.append(arm)
            trained.append(arm.spec)
    return kept, alike


# -- trials ------------------------------------------------------------------------------------


def _control(patient: Patient, start: Start, length: int, options: PlanOptions) -> TrialSpec:
    same = Variant(patient.recipe, "", 0.0)
    return _spec(patient, CONTROL, same, start, length, options.seed)


def _spec(
    patient: Patient, name: str, variant: Variant, start: Start, length: int, seed: int
) -> TrialSpec:
    """Return the first trial of an arm.

    From the checkpoint the whole schedule is run through in `length` epochs, down to 0; an arm of
    its own length keeps its proportion.
    """
    own = variant.start or start
    epochs = variant.epochs or patient.epochs
    recipe = variant.recipe
    if own == "checkpoint":
        epochs = max(1, round(length * epochs / patient.epochs))
        recipe = of_length(recipe, epochs)
    return TrialSpec(
        name, seed, own, recipe, epochs, anneal=own == "checkpoint", larger=variant.larger,
        pieces=variant.pieces,
    )  # fmt: skip


def trials_of(patient: Patient, choice: Choice, options: PlanOptions) -> list[TrialSpec]:
    """Seed by seed, controls first."""
    starts = sorted({arm.spec.start for arm in choice.arms}, key=lambda s: s != choice.start)
    first = [_control(patient, s, choice.length, options) for s in starts]
    first += [arm.spec for arm in choice.arms]
    return [replace(s, seed=s.seed + k) for k in range(choice.bill.seeds) for s in first]


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
    return choice.bill.total(choice.arms, choice.finalists) + more
