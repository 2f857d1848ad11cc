"""Class order: do the logits mean other classes than the labels?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import (
    Claim,
    Evidence,
    Finding,
    Floats,
    Interval,
    Intervention,
    Returned,
    Skipped,
    Warning_,
)
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.measures import limit_now
from gapdoctor.observe.observations import Observations
from gapdoctor.probes._base import Probe
from gapdoctor.stats.assignment import OrderReading, read_order, reorder
from gapdoctor.stats.calibration import cross_entropy
from gapdoctor.stats.intervals import mean_interval


@dataclass(frozen=True)
class Reading:
    """The order that fits a model on half A, and what it does on half B."""

    order: OrderReading
    back: Floats
    """(n_B,) nats a row that the order returns."""
    gained: Interval
    """Its mean."""
    rise: float
    """Rise of the accuracy, share of rows."""
    recovered: float
    """Accuracy on rows of the classes that move, under the order."""

    @property
    def how(self) -> str:
        """The order in words."""
        if self.order.offset:
            return f"an offset by {self.order.offset:+d}"
        return f"another order of {self.order.moved} classes"


@dataclass(frozen=True)
class ClassOrder(Probe):
    """Are the classes of the held-out labels numbered otherwise than those of the logits?

    Class folders sorted as text ('1', '10', '2'), a background class more or less, another order
    of names: each leaves the features fine and nearly every label wrong. The order that fits the
    confusion of half A best (identity, an offset by one, or the best one-to-one order by the
    Hungarian method, Kuhn 1955) is scored on half B. Confusions that are merely frequent change no
    order: half B has to get more than h back, accuracy has to rise, and the classes that move have
    to be right nearly as often as on train rows.

    Read for the student and for the teacher: where only the teacher's classes are numbered
    otherwise it is no control, and the ranking is void.
    """

    name: ClassVar[str] = "class_order"
    order: ClassVar[int] = 40

    least: int = 50
    """Rows of either half below which no order is read."""
    accuracy_rise: float = 0.05
    """Share of half B that must be right in addition under the new order."""
    recovered: float = 0.6
    """Times the student's train accuracy: what the moved classes must reach under it."""
    strength: float = 6.0
    """Log-odds of an order that half B gets its loss back by."""

    def examine(self, seen: Observations) -> Finding | Skipped:
        """Read the order of the student, and whether the teacher has it too."""
        held = seen.rows(Split.HELDOUT)
        few = min(int(held.choosing.sum()), int(held.reporting.sum()))
        if few < self.least:
            return Skipped(
                self.name, f"{few} held-out rows in one of the halves; an order is read from "
                f"{self.least} on: give more held-out rows",
            )  # fmt: skip
        student, teacher = (self._read(seen, model) for model in Model)
        if student is not None:
            return self._finding(seen, student)
        return Finding(self.name, warnings=() if teacher is None else (_no_control(teacher),))

    def _read(self, seen: Observations, model: Model) -> Reading | None:
        """Return the order that a model's classes are in, or None where they are in place."""
        held, outputs = seen.rows(Split.HELDOUT), seen.current(model, Split.HELDOUT)
        a, b = held.choosing, held.reporting
        if outputs.correct[b].mean() > 1 - self.accuracy_rise:
            return None
        predicted = outputs.logits.argmax(axis=1)
        found = read_order(
            predicted[a], held.labels[a], predicted[b], held.labels[b], len(seen.classes)
        )
        if found.moved == 0:
            return None
        back = outputs.loss[b] - cross_entropy(
            reorder(outputs.logits[b], found.order), held.labels[b]
        )
        groups = None if held.groups is None else held.groups[b]
        gained = mean_interval(back, seen.rng(self.name), groups=groups)
        moved = found.order != np.arange(len(found.order))
        after = found.after[moved[held.labels[b]]]
        reading = Reading(
            found, back, gained, float((found.after - found.before).mean()),
            float(after.mean()) if len(after) else 0.0,
        )  # fmt: skip
        return reading if self._is_order(seen, model, reading) else None

    def _is_order(self, seen: Observations, model: Model, reading: Reading) -> bool:
        on_train = float(seen.outputs(model, Split.TRAIN).correct.mean())
        return (
            reading.gained.low > limit_now(seen)
            and reading.rise >= self.accuracy_rise
            and reading.recovered >= self.recovered * on_train
        )

    def _finding(self, seen: Observations, student: Reading) -> Finding:
        limit = limit_now(seen)
        back, gained = student.back, student.gained
        to_teacher, shared = self._shared(seen, student.order.order)
        agree = [
            float(
                (_predicted(seen, Model.STUDENT, order) == _predicted(seen, Model.TEACHER)).mean()
            )
            for order in (None, student.order.order)
        ]
        evidence = Evidence(
            self.name,
            f"With {student.how}, chosen on half A, half B gets {gained.value:.3g} nats back "
            f"({gained.low:.3g} to {gained.high:.3g}) and accuracy rises by {student.rise:.1%}; "
            f"agreement with the teacher as it stands goes from {agree[0]:.1%} to {agree[1]:.1%}.",
            gained.value, limit, "nats", "for",
        )  # fmt: skip
        who = "Both models'" if shared else "The student's"
        claim = Claim(
            Cause.PREPROCESSING_MISMATCH, self.strength, "class order", (evidence,),
            returned=Returned(back, to_teacher if shared else np.zeros_like(back)),
            intervention=Intervention(
                "class_order", student.how,
                (("order", tuple(float(i) for i in student.order.order)),), shared,
            ),
            summary=f"{who} classes are numbered otherwise than the held-out labels: "
            f"{student.how}.",
        )  # fmt: skip
        warning = Warning_(
            "class_order", f"{who} logits and the held-out labels number the classes "
            f"differently ({student.how}); see reorder_classes.",
        )  # fmt: skip
        return Finding(self.name, (claim,), (warning,))

    def _shared(self, seen: Observations, order: NDArray[np.int64]) -> tuple[Floats, bool]:
        """What the student's order returns to the teacher, and whether it suffers alike."""
        held, outputs = seen.rows(Split.HELDOUT), seen.current(Model.TEACHER, Split.HELDOUT)
        b = held.reporting
        back = outputs.loss[b] - cross_entropy(reorder(outputs.logits[b], order), held.labels[b])
        groups = None if held.groups is None else held.groups[b]
        return back, mean_interval(back, seen.rng(self.name), groups=groups).low > 0


def _predicted(
    seen: Observations, model: Model, order: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Predicted classes on half B, (n_B,)."""
    held = seen.rows(Split.HELDOUT)
    found = seen.current(model, Split.HELDOUT).logits[held.reporting].argmax(axis=1)
    return np.asarray(found if order is None else order[found], dtype=np.int64)


def _no_control(teacher: Reading) -> Warning_:
    return Warning_(
        "teacher_class_order",
        f"The teacher's logits number the classes otherwise than the held-out labels "
        f"({teacher.how}), the student's do not: it is no control until its classes are put in "
        "order.",
        voids=True,
    )
