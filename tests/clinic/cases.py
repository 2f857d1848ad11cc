"""Planted pairs as live cases, with the truth about each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tests.clinic import inference_faults, training_faults
from tests.clinic.data import SOURCES
from tests.clinic.entries import Entry
from tests.clinic.handing import Known, case_of
from tests.clinic.inference_faults import InferenceFault
from tests.clinic.models import cell_of
from tests.clinic.parts import CELLS
from tests.clinic.scene import scene_of
from tests.clinic.store import key_of
from tests.clinic.training_faults import TrainingFault
from tests.clinic.versions import clinic_hash

if TYPE_CHECKING:
    from gapdoctor.observe.case import Case

NONE: frozenset[str] = frozenset()
INFERENCE: dict[str, InferenceFault] = {f.name: f for f in inference_faults.FAULTS}
TRAINING: dict[str, TrainingFault] = {f.name: f for f in training_faults.FAULTS}


@dataclass(frozen=True)
class Slot:
    """An entry with its place among the others, which decides what is handed over."""

    entry: Entry
    number: int
    """Entries of the same cell before it."""
    before: int
    """Those of the same fault among them."""


@dataclass(frozen=True, eq=False)
class Planted:
    """One pair with its truth. The case is made when it is asked for."""

    name: str
    part: str
    kind: str
    arch: str
    fault: str
    severity: str
    variant: str
    cluster: str
    """Pairs of one student are one cluster."""
    truth: frozenset[str]
    """Acceptable causes: what a diagnosis can know, equivalent ones together. Empty: sound."""
    make: Callable[[], Case] = field(repr=False)
    second: frozenset[str] = NONE
    """The same for the second of two faults."""
    also: frozenset[str] = NONE
    """Causes that are there too, as a consequence: right to name, not to name first."""
    corrections: frozenset[str] = NONE
    """Acceptable corrections; empty where none has a name."""
    damage: float = 0.0
    excess: float = 0.0
    slot: Slot | None = None
    """What it is made of, as plain data: enough to make it again in another process."""

    @property
    def key(self) -> str:
        """Tells this pair, as this code of the clinic makes it, from every other."""
        return key_of(self.slot, data=f"{self.variant} {clinic_hash()}".encode())

    @property
    def case(self) -> Case:
        """The live pair, made anew each time."""
        return self.make()


HEALTHY: dict[str, Known] = {
    "full": Known(pipelines=True, recipe=True, history=True),
    "harmless difference": Known(pipelines=True, recipe=False, history=False, harmless=True),
    "ready": Known(pipelines=False, recipe=True, history=False),
    "few rows at hand": Known(pipelines=False, recipe=False, history=True, rows=500),
}
STRUCK: dict[str, Known] = {
    "pipelines": Known(pipelines=True, recipe=True, history=True),
    "ready": Known(pipelines=False, recipe=False, history=False),
}
TRAINED: dict[str, Known] = {
    "full": Known(pipelines=True, recipe=True, history=True),
    "bare": Known(pipelines=False, recipe=False, history=False),
}
DECLARED: dict[str, Known] = {
    "full": Known(pipelines=True, recipe=True, history=True),
    "recipe only": Known(pipelines=False, recipe=True, history=False),
}
"""Variants of faults that lie between what is declared and what ran."""


def planted_of(entries: Sequence[Entry]) -> list[Planted]:
    """Return all variants of what was planted, in a fixed order."""
    found: list[Planted] = []
    for cell in dict.fromkeys(entry.cell for entry in entries):
        mine = [entry for entry in entries if entry.cell == cell]
        for number, entry in enumerate(mine):
            before = sum(e.fault == entry.fault for e in mine[:number])
            found += variants_of(Slot(entry, number, before))
    return found


def variants_of(slot: Slot) -> list[Planted]:
    """Return the pairs that one entry gives."""
    return [replace(one, slot=slot) for one in _variants(slot.entry, slot.number, slot.before)]


def _variants(entry: Entry, number: int, before: int) -> list[Planted]:
    if entry.fault == "healthy":
        return [_healthy(entry, variant) for variant in HEALTHY]
    if entry.fault in TRAINING:
        choices = tuple(DECLARED if entry.fault in _NEED_RECIPE else TRAINED)
        turn = before + before // 2 + CELLS.index(cell_of(entry.cell))  # seeds alternate too
        return [_trained(entry, choices[turn % 2], before)]
    if "+" in entry.fault:
        return [_double(entry, variant) for variant in STRUCK]
    return _struck(entry, number)


_NEED_RECIPE = frozenset({"missing_t2", "mean_over_classes"})


# -- one of each sort --------------------------------------------------------------------------


def _healthy(entry: Entry, variant: str) -> Planted:
    def make() -> Case:
        return case_of(scene_of(entry.spec), HEALTHY[variant], entry.spec.plan)

    return _planted(entry, variant, NONE, make)


def _struck(entry: Entry, number: int) -> list[Planted]:
    fault = INFERENCE[entry.fault]
    if fault.acts != "pipeline":
        variant = tuple(STRUCK)[number % 2]
        return [_struck_once(entry, fault, variant, STRUCK[variant])]
    known = dict(STRUCK)
    known["pipelines"] = Known(
        pipelines=True,
        recipe=number % 2 == 0,
        history=number % 3 == 0,
        one_by_one=number % 4 == 0,
    )
    return [_struck_once(entry, fault, variant, known[variant]) for variant in known]


def _struck_once(entry: Entry, fault: InferenceFault, variant: str, known: Known) -> Planted:
    def make() -> Case:
        return case_of(fault.apply(scene_of(entry.spec), entry.knob), known, entry.spec.plan)

    truth = fault.truth | _unless_told(fault, known)
    return _planted(entry, variant, truth, make, corrections=fault.corrections)


def _unless_told(fault: InferenceFault, known: Known) -> frozenset[str]:
    """Lost detail without pipelines: nobody can tell a lossy step from a worse camera."""
    return inference_faults.SHIFT if fault.loses and not known.pipelines else NONE


def _trained(entry: Entry, variant: str, number: int) -> Planted:
    fault = TRAINING[entry.fault]
    known = (DECLARED | TRAINED)[variant]
    truth = _trained_truth(entry, fault)
    if not known.recipe:
        truth = truth | fault.unknown_recipe

    def make() -> Case:
        declared = fault.declared(entry.spec.plan, entry.training_knob)
        return case_of(scene_of(entry.spec), known, declared)

    return _planted(entry, f"{variant} {number}", truth, make, also=fault.also - truth)


def _trained_truth(entry: Entry, fault: TrainingFault) -> frozenset[str]:
    """Of wrong labels, what became of them decides: learned by heart, or merely taught."""
    if entry.memorised is None or not fault.by_labels:
        return fault.truth
    by_heart = training_faults.OVERFITTING | training_faults.REGULARIZATION
    if entry.memorised >= 0.6:
        return by_heart
    return training_faults.IMBALANCE | (by_heart if entry.memorised > 0.4 else NONE)


def _double(entry: Entry, variant: str) -> Planted:
    first, second = entry.fault.split("+")
    trained, struck = TRAINING[first], INFERENCE[second]
    known = STRUCK[variant] if variant == "pipelines" else replace(STRUCK["ready"], recipe=True)

    def make() -> Case:
        scene = struck.apply(scene_of(entry.spec), entry.knob)
        return case_of(scene, known, trained.declared(entry.spec.plan, entry.training_knob))

    return _planted(
        entry, variant, struck.truth, make,
        second=trained.truth, also=trained.also, corrections=struck.corrections,
    )  # fmt: skip


def _planted(
    entry: Entry, variant: str, truth: frozenset[str], make: Callable[[], Case], **more: Any
) -> Planted:
    cell = cell_of(entry.cell)
    name = f"{entry.cell}/{entry.fault}/{entry.severity}/{variant}"
    excess = entry.excess if variant == "pipelines" else entry.shared_excess
    return Planted(
        name, cell.part, SOURCES[cell.source].kind, cell.family, entry.fault, entry.severity,
        variant, key_of(entry.spec), truth, make, damage=entry.damage, excess=excess, **more,
    )  # fmt: skip
