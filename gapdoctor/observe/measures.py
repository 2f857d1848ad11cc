"""The canonical numbers of a pair: metrics, fidelity, the exact split, the tables of a report."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gapdoctor.domain.diagnosis import Fidelity, Gap, Metrics
from gapdoctor.domain.findings import Side, Table
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.observations import Observations
from gapdoctor.observe.outputs import Outputs
from gapdoctor.stats.calibration import calibration_interval, kl, log_softmax, reliability
from gapdoctor.stats.intervals import accuracy_interval, mean_interval
from gapdoctor.stats.split import SplitResult, exact_split, limit_h

Floats = NDArray[np.float64]

LOSS_BIN_EDGES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, float("inf"))
"""Nats; about two a decade, since losses of one model span five of them."""
REJECTED_CONFIDENCE = 0.9
"""A teacher that is this sure of another class rejects a train label."""
REJECTED_SHARE = 0.02
"""Share of rejected train rows above which D, E and memorisation are taken over the rest."""


def enough(seen: Observations) -> bool:
    """Tell whether the excess is known well enough for its size.

    True when its interval is narrower than max(0.05 nats, 10 % of |excess|) and does not contain
    the limit h.
    """
    gap = measure_gap(seen)
    width = gap.excess.high - gap.excess.low
    narrow = width < max(0.05, 0.1 * abs(gap.excess.value))
    return narrow and not gap.excess.low <= gap.limit <= gap.excess.high


def rejected_train_rows(seen: Observations) -> NDArray[np.bool_]:
    """Return the train rows of which the teacher is sure that they are of another class, (n,)."""
    teacher = seen.outputs(Model.TEACHER, Split.TRAIN)
    confident = _confidence(teacher.logits) > REJECTED_CONFIDENCE
    return np.asarray(~teacher.correct & confident)


def accepted_train_rows(seen: Observations) -> NDArray[np.bool_]:
    """Return the train rows that D, E and memorisation are taken over.

    All of them, unless the teacher confidently rejects more than 2 % of the labels: then the
    rest.
    """
    rejected = rejected_train_rows(seen)
    share = float(rejected.mean())
    return ~rejected if REJECTED_SHARE < share < 1.0 else np.ones_like(rejected)


def asks_for_gradients(seen: Observations) -> bool:
    """Tell whether D, E or the student's distance from its teacher on train rows exceeds h."""
    gap = measure_gap(seen)
    student, teacher = (seen.outputs(m, Split.TRAIN).logits for m in Model)
    distance = float(kl(teacher, student).mean())
    return max(gap.fit_deficit.value, gap.excess_gap.value, distance) > gap.limit


def measure_gap(seen: Observations, returned_to_teacher: float = 0.0) -> Gap:
    """Return the exact split of the excess, with bootstrap intervals.

    Parameters
    ----------
    seen : Observations
        After looking.
    returned_to_teacher : float
        Nats that interventions give back to the teacher; lowers the limit h.
    """
    name = f"gap {returned_to_teacher}"  # most probes ask, and three bootstraps stand behind it
    return seen.once(name, lambda: _gap(seen, returned_to_teacher))


def _gap(seen: Observations, returned_to_teacher: float) -> Gap:
    held = seen.rows(Split.HELDOUT)
    student = seen.outputs(Model.STUDENT, Split.HELDOUT).loss[held.in_gap]
    teacher = seen.outputs(Model.TEACHER, Split.HELDOUT).loss[held.in_gap]
    keep = accepted_train_rows(seen)
    split = exact_split(
        seen.outputs(Model.STUDENT, Split.TRAIN).loss,
        seen.outputs(Model.TEACHER, Split.TRAIN).loss,
        student,
        teacher,
        seen.rng("exact split"),
        groups=None if held.groups is None else held.groups[held.in_gap],
        train_keep=None if keep.all() else keep,
    )
    return Gap(
        split.excess,
        split.fit_deficit,
        split.excess_gap,
        split.student_generalization,
        split.teacher_generalization,
        split.noise_floor,
        limit_h(float(teacher.mean()), returned_to_teacher),
    )


def limit_now(seen: Observations) -> float:
    """Return h with what was proven undone: the teacher is judged without a fault it met, too."""
    mask = seen.rows(Split.HELDOUT).in_gap
    return limit_h(float(seen.current(Model.TEACHER, Split.HELDOUT).loss[mask].mean()))


def measure_left(seen: Observations) -> SplitResult:
    """Return the exact split on top of what was proven so far: what is left to explain."""
    name = f"left on {len(seen.stack.interventions)} interventions"
    return seen.once(name, lambda: _left(seen))


def _left(seen: Observations) -> SplitResult:
    held = seen.rows(Split.HELDOUT)
    keep = accepted_train_rows(seen)
    student, teacher = (seen.current(m, Split.HELDOUT).loss[held.in_gap] for m in Model)
    return exact_split(
        seen.current(Model.STUDENT, Split.TRAIN).loss,
        seen.current(Model.TEACHER, Split.TRAIN).loss,
        student,
        teacher,
        seen.rng("exact split"),
        groups=None if held.groups is None else held.groups[held.in_gap],
        train_keep=None if keep.all() else keep,
    )


def larger_side(seen: Observations) -> Side:
    """Return the side on which more is left to explain."""
    left = measure_left(seen)
    return Side.EXCESS_GAP if left.excess_gap.value >= left.fit_deficit.value else Side.FIT_DEFICIT


def measure_metrics(seen: Observations) -> tuple[Metrics, ...]:
    """Return loss, accuracy and calibration error of both models on both splits."""
    return tuple(
        _metrics(seen, model, split)
        for model in (Model.TEACHER, Model.STUDENT)
        for split in (Split.TRAIN, Split.HELDOUT)
    )


def _metrics(seen: Observations, model: Model, split: Split) -> Metrics:
    rows, outputs = seen.rows(split), seen.outputs(model, split)
    mask = rows.in_gap
    groups = None if rows.groups is None else rows.groups[mask]
    rng = seen.rng(f"metrics {model} {split}")
    confidence = _confidence(outputs.logits[mask])
    correct = outputs.correct[mask]
    return Metrics(
        model.value,
        split.value,
        int(mask.sum()),
        mean_interval(outputs.loss[mask], rng, groups=groups),
        accuracy_interval(correct, rng, groups=groups),
        calibration_interval(confidence, correct, rng, groups=groups),
    )


def measure_fidelity(seen: Observations, split: Split) -> Fidelity:
    """Return agreement and KL(teacher ‖ student) on a split (Stanton et al. 2021, 2106.05945)."""
    rows = seen.rows(split)
    mask = rows.in_gap
    groups = None if rows.groups is None else rows.groups[mask]
    student = seen.outputs(Model.STUDENT, split).logits[mask]
    teacher = seen.outputs(Model.TEACHER, split).logits[mask]
    rng = seen.rng(f"fidelity {split}")
    return Fidelity(
        accuracy_interval(student.argmax(1) == teacher.argmax(1), rng, groups=groups),
        mean_interval(kl(teacher, student), rng, groups=groups),
    )


def report_tables(seen: Observations) -> dict[str, Table]:
    """Return the tables that describe the pair: reliability, classes, losses."""
    return {
        "reliability": _reliability_table(seen),
        "per_class": _class_table(seen),
        "loss_histogram": _loss_table(seen),
    }


def _confidence(logits: NDArray[np.float32]) -> Floats:
    """The probability of the predicted class, (n,)."""
    confidence: Floats = np.exp(log_softmax(logits).max(axis=1))
    return confidence


def _each(seen: Observations) -> list[tuple[str, str, Outputs, NDArray[np.bool_]]]:
    return [
        (model.value, split.value, seen.outputs(model, split), seen.rows(split).in_gap)
        for model in (Model.TEACHER, Model.STUDENT)
        for split in (Split.TRAIN, Split.HELDOUT)
    ]


def _reliability_table(seen: Observations) -> Table:
    rows = []
    for model, split, outputs, mask in _each(seen):
        confidence = _confidence(outputs.logits[mask])
        rows += [
            (model, split, b.low, b.high, b.count, b.confidence, b.accuracy)
            for b in reliability(confidence, outputs.correct[mask], bins=10)
            if b.count
        ]
    columns = ("model", "split", "bin_low", "bin_high", "rows", "confidence", "accuracy")
    return Table(columns, tuple(rows))


def _class_table(seen: Observations) -> Table:
    held = seen.rows(Split.HELDOUT)
    mask = held.in_gap
    student = seen.outputs(Model.STUDENT, Split.HELDOUT)
    teacher = seen.outputs(Model.TEACHER, Split.HELDOUT)
    rows: list[tuple[str | int | float | None, ...]] = []
    for number, name in enumerate(seen.classes):
        of = mask & (held.labels == number)
        n = int(of.sum())
        values = [
            float(array[of].mean()) if n else None
            for array in (teacher.loss, student.loss, teacher.correct, student.correct)
        ]
        rows.append((name, n, *values))
    return Table(
        ("class", "rows", "teacher_loss", "student_loss", "teacher_accuracy", "student_accuracy"),
        tuple(rows),
    )


def _loss_table(seen: Observations) -> Table:
    rows = []
    for model, split, outputs, mask in _each(seen):
        counts, _ = np.histogram(outputs.loss[mask], bins=np.array(LOSS_BIN_EDGES))
        for low, high, count in zip(
            LOSS_BIN_EDGES[:-1], LOSS_BIN_EDGES[1:], counts.tolist(), strict=True
        ):
            rows.append((model, split, low, None if np.isinf(high) else high, count))
    return Table(("model", "split", "bin_low", "bin_high", "rows"), tuple(rows))
