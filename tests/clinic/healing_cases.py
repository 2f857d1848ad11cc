"""What `fix` is tried on: a planted fault with all that a user can hand over, what it is measured
on, and the same student without the fault.

Three sets of rows: half A of the held-out rows chooses, half B verifies, and a third set, which the
case never holds, tells what the written student is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from torch import nn

from tests.clinic.cases import INFERENCE, TRAINING
from tests.clinic.data import SOURCES, Priors, Source
from tests.clinic.entries import Entry
from tests.clinic.handing import Known, case_of
from tests.clinic.inference_faults import SHIFT, InferenceFault
from tests.clinic.models import (
    StudentSpec,
    cell_of,
    heldout,
    labels,
    ready,
    student_of,
    teacher_of,
    train_rows,
    untrained,
    usual,
)
from tests.clinic.parts import SEEDS
from tests.clinic.scene import Scene, scene_of
from tests.clinic.sources.drawn import Drawn
from tests.clinic.store import kept, key_of
from tests.clinic.training import Curves, Plan, lesson, train
from tests.clinic.training_faults import TrainingFault

if TYPE_CHECKING:
    from gapdoctor.observe.case import Case

_Rows = Callable[[str, Priors], Drawn]

ALL_KNOWN = Known(pipelines=True, recipe=True, history=True)
REFERENCE_SEEDS = 3
_SPARE_SEED = 70
"""First of the seeds of a part that no student of the clinic has."""
_FINITE = {"digits": 250}
"""Data sets without fresh rows: so many held-out rows are kept from the case."""


def chosen_entries(entries: Sequence[Entry], only: str | None = None) -> list[Entry]:
    """Return one entry a data set, student, fault and severity; the first, in a fixed order.

    Where only the world has moved there is no student without the fault: shifts are left out.
    """
    found: dict[tuple[str, str, str], Entry] = {}
    for entry in entries:
        if entry.fault != "healthy" and only in (None, entry.fault) and not _is_shift(entry):
            found.setdefault((entry.cell, entry.fault, entry.severity), entry)
    return list(found.values())


def name_of(entry: Entry) -> str:
    """Return data, student, fault and severity."""
    return f"{entry.cell}/{entry.fault}/{entry.severity}"


@dataclass(frozen=True)
class HealingCase:
    """One planted fault."""

    entry: Entry

    @property
    def given(self) -> Case:
        """What the user hands over, made anew."""
        return self._case(self._struck(_given_rows))

    @property
    def third(self) -> Case:
        """The same with the untouched rows in place of the held-out ones."""
        return self._case(self._struck(_third_rows))

    @property
    def given_sound(self) -> Case:
        """The rows that are handed over, as they were before the fault struck."""
        return self._case(self._scene(_given_rows))

    @property
    def third_sound(self) -> Case:
        """The untouched rows, as they were before the fault struck."""
        return self._case(self._scene(_third_rows))

    def references(self) -> list[nn.Module]:
        """Return the students without the fault, one a seed, trained where missing.

        Their train rows are the same; where labels are wrong, the same ones are.
        """
        first = reference_spec(self.entry)
        spare = SEEDS[cell_of(first.cell).part] + _SPARE_SEED
        more = [_again(first, spare + one) for one in range(REFERENCE_SEEDS - 1)]
        return [student_of(first).model, *more]

    def _scene(self, rows: _Rows) -> Scene:
        scene = scene_of(self.entry.spec)
        return scene.with_(heldout=rows(scene.source.name, self.entry.spec.priors))

    def _struck(self, rows: _Rows) -> Scene:
        scene, fault = self._scene(rows), inference_fault(self.entry)
        return scene if fault is None else fault.apply(scene, self.entry.knob)

    def _case(self, scene: Scene) -> Case:
        return case_of(scene, ALL_KNOWN, self._declared())

    def _declared(self) -> Plan:
        fault, plan = training_fault(self.entry), self.entry.spec.plan
        return plan if fault is None else fault.declared(plan, self.entry.training_knob)


def training_fault(entry: Entry) -> TrainingFault | None:
    """Return the fault of training, the first of two."""
    return TRAINING.get(entry.fault.partition("+")[0])


def inference_fault(entry: Entry) -> InferenceFault | None:
    """Return the fault at inference, the second of two."""
    return INFERENCE.get(entry.fault.rpartition("+")[2])


def reference_spec(entry: Entry) -> StudentSpec:
    """Return the student of the same seed and data without the fault."""
    fault = training_fault(entry)
    if fault is None:
        return entry.spec
    return fault.reference(usual(cell_of(entry.cell), entry.spec.plan.seed), entry.training_knob)


def _is_shift(entry: Entry) -> bool:
    fault = inference_fault(entry)
    return fault is not None and fault.truth == SHIFT


def _again(first: StudentSpec, seed: int) -> nn.Module:
    """Train once more with another seed on the very same rows."""
    spec = first.changed({"seed": seed})
    if not first.wrong_labels:
        return student_of(spec).model
    source = SOURCES[cell_of(first.cell).source]
    rows = train_rows(first)

    def trained() -> tuple[nn.Module, Curves]:
        augment = source.augment if spec.plan.augmented else None
        taught = lesson(
            ready(source.name, rows), labels(rows), heldout(source.name),
            teacher_of(source.name, spec.teacher), augment,
        )  # fmt: skip
        return train(untrained(spec), taught, spec.plan)

    return kept(key_of(first, spec.plan), untrained(spec), trained)[0]


# -- rows --------------------------------------------------------------------------------------


def _given_rows(source: str, priors: Priors) -> Drawn:
    return heldout_rows(SOURCES[source], priors)[0]


def _third_rows(source: str, priors: Priors) -> Drawn:
    return heldout_rows(SOURCES[source], priors)[1]


@cache
def heldout_rows(source: Source, priors: Priors = None) -> tuple[Drawn, Drawn]:
    """Return the held-out rows that a case is given, and as many that it is not.

    A generator draws more rows than the held-out set has, and those beyond it are the third set:
    their random numbers are drawn in other places of the stream. Of a finite set some are kept
    back.
    """
    rows = source.heldout(priors=priors)
    back = _FINITE.get(source.name)
    if back is not None:
        return _cut(rows, len(rows) - back)
    longer = source.draw("heldout", 2 * len(rows), 0.0, priors)
    return rows, _cut(longer, len(rows))[1]


def _cut(rows: Drawn, at: int) -> tuple[Drawn, Drawn]:
    return rows.first(at), Drawn(rows.raw[at:], rows.labels[at:])
