"""Is it the training code? Where the declared recipe, trained anew, makes a far better student.

A control runs the recipe that ran, as far as anyone knows. Where it comes out far ahead of the
given student, something else ran: targets of other rows, a teacher in train mode, a loss that was
never added. No arm can beat such a control by undoing it, for the control has undone it already.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gapdoctor.domain.trials import CONTROL, FixRecord, Plan, PlannedFix
from gapdoctor.fixes._base import Patient, changes_between
from gapdoctor.fixes._gains import treated
from gapdoctor.fixes.retrain_as_declared import RetrainAsDeclared
from gapdoctor.treatment._arms import Trained
from gapdoctor.verify import Arm, Comparison, judge

RETRAIN = RetrainAsDeclared.name


def retrained(
    controls: Sequence[Arm],
    given: Arm,
    plan: Plan,
    patient: Patient,
    limit: float,
    trained: Trained,
    rng: np.random.Generator,
) -> FixRecord | None:
    """Return `retrain_as_declared` as verified beside the given student, or None.

    Parameters
    ----------
    controls : sequence of Arm
        Of each start; only one from scratch counts, since one that goes on from the checkpoint may
        be better for having been trained longer.
    given : Arm
        What the user has, under the free corrections in force.
    plan : Plan
        In which `retrain_as_declared` is no arm of its own.
    patient : Patient
        Of the plan.
    limit : float
        h, nats: what a lucky seed may bring.
    trained : Trained
        Where the control's recipe stands.
    rng : Generator
        Of the interval.
    """
    control = next((arm for arm in controls if arm.start == "scratch"), None)
    own = next((f for f in plan.fixes if f.id == RETRAIN), None)
    if control is None or own is None or own.status == "planned" or patient.departures:
        return None
    recipe = trained.find(CONTROL, "scratch", control.seeds[0]).recipe
    planned = PlannedFix(
        RETRAIN, treated(RetrainAsDeclared(), patient), "",
        changes_between(patient.declared, recipe), start="scratch",
    )  # fmt: skip
    beside = given.repeated(control.seeds, "scratch")
    found = judge([Comparison(planned, control, beside)], rng).records[0]
    if not found.verified or found.difference is None or found.difference.high > -limit:
        return None
    return found


def told(found: FixRecord) -> str:
    """Return what that means, in a sentence."""
    assert found.difference is not None
    d = found.difference
    return (
        f"Trained anew by the declared recipe the student loses {-d.value:.3g} nats less than the "
        f"given one [{d.low:.3g}, {d.high:.3g}]: something else ran than is declared. Look at the "
        "training code: which teacher's outputs meet which rows, and what the loss sums up. "
        f"{RETRAIN} is compared with the given student here, since the control is the cure."
    )
