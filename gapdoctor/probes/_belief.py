"""When a correction is believed: what it must give both models, on rows that did not choose it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdoctor.corrections._base import Candidate, Transform
from gapdoctor.domain.findings import Floats, Interval, Intervention, Returned
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.observations import Observations
from gapdoctor.observe.outputs import Outputs
from gapdoctor.stats.calibration import cross_entropy, fit_temperature
from gapdoctor.stats.intervals import mean_interval
from gapdoctor.stats.split import limit_h

MOST_FALL = 0.02
"""Share of rows by which accuracy may fall where its interval reaches down to 0."""


@dataclass(frozen=True)
class Believed:
    """What a correction returned, and what that rests on."""

    student: Interval
    teacher: Interval
    returned: Returned
    limit: float
    """h, the teacher judged without the fault."""
    costs: tuple[float, float] = (0.0, 0.0)
    """What held-out rows cost student and teacher more than train rows, nats."""


def undone(
    seen: Observations,
    candidate: Candidate,
    intervention: Intervention,
    accuracy_fall: float,
    *,
    mends: bool,
) -> Believed | None:
    """Undo it on all held-out rows and judge it by half B; None where it is not believed.

    The teacher gets loss back, one of the models more than h; both gains stay when each model gets
    its own temperature before and after; no accuracy falls by more than `accuracy_fall`, as far as
    the rows can tell. Where it
    `mends` inputs that were clearly different, the inputs tell that something was done to them: a
    darker picture may cost no more than a temperature would give back, and then the gains must not
    turn into losses.
    """
    held = seen.rows(Split.HELDOUT)
    seen.offer(candidate.text, transform=candidate.undo)
    before = {m: seen.current(m, Split.HELDOUT) for m in Model}
    after = {m: seen.under(m, Split.HELDOUT, intervention) for m in Model}
    b = held.reporting
    groups = None if held.groups is None else held.groups[b]

    def interval(rows: Floats) -> Interval:
        return mean_interval(rows, seen.rng("corrections"), groups=groups)

    rows = {m: (before[m].loss - after[m].loss)[b] for m in Model}
    back = {m: interval(rows[m]) for m in Model}
    limit = limit_h(float(after[Model.TEACHER].loss[held.in_gap].mean()))
    if back[Model.TEACHER].low <= 0 or max(i.low for i in back.values()) <= limit:
        return None
    for m in Model:
        calm = interval(_calm(before[m], held.labels, b) - _calm(after[m], held.labels, b))
        right = before[m].correct[b].astype(np.float64) - after[m].correct[b]
        fall = interval(right)
        falls = fall.value > (accuracy_fall if fall.low > 0 else MOST_FALL)
        if (calm.high if mends else calm.low) <= 0 or falls:
            return None
    returned = Returned(rows[Model.STUDENT], rows[Model.TEACHER])
    return Believed(back[Model.STUDENT], back[Model.TEACHER], returned, limit)


def done_to_train(
    seen: Observations,
    do: Transform,
    some: NDArray[np.int64],
    fits: Callable[[float, float], bool],
) -> Believed | None:
    """Do to train rows what cannot be undone; None where it does not cost what held-out rows cost.

    Parameters
    ----------
    seen : Observations
        The pair.
    do : callable
        Model-ready train batch -> what it would look like.
    some : array (n,)
        Positions of train rows.
    fits : callable
        (what it costs a model, what held-out rows cost it more than train rows), both in nats ->
        whether one may be the reason for the other.
    """
    train, in_gap = seen.rows(Split.TRAIN), seen.rows(Split.HELDOUT).in_gap
    rises: dict[Model, Floats] = {}
    costs: dict[Model, float] = {}
    for model, pipeline in ((Model.STUDENT, "train"), (Model.TEACHER, "teacher")):
        done = do(seen.inputs(Split.TRAIN, some, pipeline))
        usual = seen.outputs(model, Split.TRAIN).loss
        rises[model] = seen.score(model, done, train.labels[some]).loss - usual[some]
        heldout = seen.outputs(model, Split.HELDOUT).loss[in_gap]
        costs[model] = float(heldout.mean() - usual.mean())
    student, teacher = (mean_interval(rises[m], seen.rng("corrections")) for m in Model)
    fit = all(fits(float(rises[m].mean()), costs[m]) for m in Model)
    limit = limit_h(
        float(seen.current(Model.TEACHER, Split.HELDOUT).loss[in_gap].mean()), teacher.value
    )
    if not fit or teacher.low <= 0 or student.low <= limit:
        return None
    returned = Returned(rises[Model.STUDENT], rises[Model.TEACHER], "train")
    told = (costs[Model.STUDENT], costs[Model.TEACHER])
    return Believed(student, teacher, returned, limit, told)


def _calm(outputs: Outputs, labels: NDArray[np.int64], b: NDArray[np.bool_]) -> Floats:
    """Loss of half B at the temperature fitted on half A."""
    tau = fit_temperature(outputs.logits[~b], labels[~b])
    return cross_entropy(outputs.logits[b] / tau, labels[b])
