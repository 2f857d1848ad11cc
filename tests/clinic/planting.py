"""Which faults hurt, and how much: the search for knobs, and the record of what was planted.

A fault counts as planted only if it hurts: the interval of its damage, student against the same
student without the fault on the same held-out rows, lies above 0, and the damage lies in its
band. (Of shifts, which are harder for everybody, the damage is what they add to the excess.)
Faults of training are planted with two seeds, and both must hurt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from gapdoctor.domain.findings import Interval
from tests.clinic import inference_faults, training_faults
from tests.clinic.data import SOURCES
from tests.clinic.entries import Dropped, Entry
from tests.clinic.inference_faults import SHIFT, InferenceFault, has_batchnorm
from tests.clinic.models import StudentSpec, usual
from tests.clinic.parts import CELLS, SEEDS, Cell
from tests.clinic.scene import (
    Scene,
    difference,
    excess,
    scene_of,
    student_losses,
    teacher_losses,
)
from tests.clinic.training import accuracy_of
from tests.clinic.training_faults import TrainingFault

Band = tuple[float, float]
BANDS: dict[str, Band] = {"mild": (0.1, 0.3), "severe": (0.5, float("inf"))}
"""Nats of held-out loss. `medium` is what lies between, of faults without a finer knob."""
AIMS = {"mild": 0.2, "severe": 0.9}
INNER: dict[str, Band] = {"mild": (0.14, 0.26), "severe": (0.65, float("inf"))}
"""Where a knob is looked for first, so that another seed stays inside the band."""
MAIN = 0.6
"""Share of the excess that a fault of training must make up, to count as its reason; the rest is
overfitting, so that faults which are overfitting themselves need not."""
SLACK = 0.04
"""Nats of excess up to which a student counts as close to its teacher, hence healthy."""


Tried = tuple[Any, Interval]
"""A knob, and what it does."""


# -- healthy -----------------------------------------------------------------------------------

RECIPES: dict[str, dict[str, Any]] = {
    "usual": {},
    "usual again": {},
    "sgd": {"optimizer": "sgd", "lr": 0.05, "weight_decay": 5e-4, "task_weight": 0.5,
            "temperature": 2.0},
    "distilled only": {"optimizer": "adamw", "weight_decay": 1e-2, "task_weight": 0.0,
                       "temperature": 8.0},
    "mostly labels": {"task_weight": 0.7, "temperature": 1.0},
    "not augmented": {"augmented": False, "task_weight": 0.1, "temperature": 3.0,
                      "weight_decay": 5e-4},
    "other teacher": {},
    "small": {"task_weight": 0.1, "temperature": 4.0, "batch_size": 32},
    "noisy": {"task_weight": 0.1, "temperature": 4.0},
}  # fmt: skip


def healthy_specs(cell: Cell) -> dict[str, StudentSpec]:
    """Return the students that may be healthy, by recipe, each with a seed of its own."""
    found = {}
    for number, (name, plan) in enumerate(RECIPES.items()):
        spec = usual(cell, SEEDS[cell.part] + 10 + number).changed(plan)
        if name == "other teacher":
            spec = replace(spec, teacher=cell.other_teacher)
        if name == "small":
            spec = replace(spec, rows=round(0.6 * SOURCES[cell.source].train_rows))
        if name == "noisy":
            spec = replace(spec, wrong_labels=0.05)
        found[name] = spec
    return found


def plant_healthy(cell: Cell) -> tuple[list[Entry], list[Dropped]]:
    """Train the students and keep those that are close to their teacher."""
    kept, dropped = [], []
    for name, spec in healthy_specs(cell).items():
        gap = excess(scene_of(spec))
        if gap <= SLACK:
            kept.append(Entry(cell.name, "healthy", name, spec, excess=gap, shared_excess=gap))
        else:
            reason = f"{gap:.3f} nats behind its teacher"
            dropped.append(Dropped(cell.name, "healthy", name, reason))
    return kept, dropped


# -- at inference ------------------------------------------------------------------------------


def plant_inference(
    cell: Cell, fault: InferenceFault, students: Sequence[StudentSpec]
) -> tuple[list[Entry], list[Dropped]]:
    """Strike sound students; another one a severity, so that few cases share a student."""
    if SOURCES[cell.source].kind not in fault.kinds:
        return [], []
    turn = [f.name for f in inference_faults.FAULTS].index(fault.name)
    kept: list[Entry] = []
    for number, severity in enumerate(BANDS):
        spec = students[(2 * turn + number) % len(students)]
        scene = scene_of(fault.base(spec) if fault.base else spec)
        if fault.name == "stale_batchnorm" and not has_batchnorm(scene.student):
            return [], []
        tried = _tried(scene, fault)
        taken = {(e.severity, e.knob) for e in kept}
        left = [t for t in tried if (_severity(t[1]), t[0]) not in taken]
        choose = _nearest if fault.ordered else _in_turn(CELLS.index(cell) + number)
        found = choose(tried, severity) or choose(left, "medium")
        if found is not None:
            after = fault.apply(scene, found[0])
            kept.append(_entry(scene.spec, fault.name, after, found[1], knob=found[0]))
    missing = [s for s in BANDS if s not in {e.severity for e in kept}]
    reason = "no knob does this damage"
    return kept, [Dropped(cell.name, fault.name, s, reason) for s in missing]


def _tried(scene: Scene, fault: InferenceFault) -> list[Tried]:
    """Return what each knob does to the student."""

    def losses(one: Scene) -> np.ndarray:
        if fault.truth == SHIFT:  # a moved world is harder for everybody: the gap is what counts
            return np.asarray(student_losses(one) - teacher_losses(one))
        return student_losses(one)

    before = losses(scene)
    found = []
    for knob in fault.knobs:
        after = losses(fault.apply(scene, knob))
        if fault.truth != SHIFT or after.mean() >= BANDS["mild"][0]:  # else it leaves no gap
            found.append((knob, difference(after, before)))
    return found


def _entry(spec: StudentSpec, fault: str, after: Scene, damage: Interval, **knobs: Any) -> Entry:
    return Entry(
        spec.cell, fault, _severity(damage), spec,
        damage=damage.value, damage_low=damage.low, damage_high=damage.high,
        excess=excess(after), shared_excess=excess(after, as_deployed=True), **knobs,
    )  # fmt: skip


def _severity(damage: Interval) -> str:
    if damage.low <= 0 or damage.value < BANDS["mild"][0]:
        return ""
    if damage.value <= BANDS["mild"][1]:
        return "mild"
    return "severe" if damage.value > BANDS["severe"][0] else "medium"


def _nearest(tried: Sequence[Tried], severity: str) -> Tried | None:
    """The one nearest to what is aimed at."""
    inside = [found for found in tried if _severity(found[1]) == severity]
    aim = AIMS.get(severity, 0.4)
    return min(inside, key=lambda found: abs(found[1].value - aim), default=None)


def _in_turn(turn: int) -> Callable[[Sequence[Tried], str], Tried | None]:
    """Another one for each cell: they are different bugs."""

    def choose(tried: Sequence[Tried], severity: str) -> Tried | None:
        inside = [found for found in tried if _severity(found[1]) == severity]
        return inside[turn % len(inside)] if inside else None

    return choose


# -- in training -------------------------------------------------------------------------------


def plant_training(cell: Cell, fault: TrainingFault) -> tuple[list[Entry], list[Dropped]]:
    """Look for knobs with the first seed, then plant with both."""
    turn = [f.name for f in training_faults.FAULTS].index(fault.name)
    seeds = [SEEDS[cell.part] + 40 + 2 * turn + one for one in range(2)]
    measured: dict[tuple[int, int], Entry] = {}
    knobs = fault.knobs(cell)

    def tried(at: int, seed: int) -> Entry:
        if (at, seed) not in measured:
            measured[at, seed] = _trained(cell, fault, knobs[at], seed)
        return measured[at, seed]

    kept: list[Entry] = []
    dropped: list[Dropped] = []
    for severity in BANDS:
        at = _search(len(knobs), severity, lambda n: tried(n, seeds[0]).damage)
        both = [] if at is None else [tried(at, seed) for seed in seeds]
        if len(both) == 2 and all(entry.damage_low > 0 for entry in both):
            kept += [e for e in both if e.severity == severity and e not in kept]
            off = [e for e in both if e.severity != severity]
            dropped += [Dropped(cell.name, fault.name, severity, _why(e)) for e in off]
        else:
            reason = "no knob does this damage" if at is None else "does not hurt with each seed"
            dropped.append(Dropped(cell.name, fault.name, severity, reason))
    return kept, dropped


def _why(entry: Entry) -> str:
    return f"{entry.damage:.2f} of {entry.excess:.2f} nats with seed {entry.spec.plan.seed}"


def _trained(cell: Cell, fault: TrainingFault, knob: Any, seed: int) -> Entry:
    base = usual(cell, seed)
    faulty = scene_of(fault.spec(base, knob))
    reference = scene_of(fault.reference(base, knob))
    damage = difference(student_losses(faulty), student_losses(reference))
    entry = _entry(faulty.spec, fault.name, faulty, damage, training_knob=knob)
    outweighed = entry.damage < MAIN * entry.excess and "overfitting" not in fault.truth
    if outweighed:
        entry = replace(entry, severity="")  # something else is the main reason of this gap
    return replace(entry, memorised=_memorised(faulty))


def _memorised(scene: Scene) -> float | None:
    spec = scene.spec
    if not spec.wrong_labels:
        return None
    right = scene.source.train(spec.rows, spec.priors).labels
    wrong = np.flatnonzero(right != scene.train.labels)
    rows = scene.train.take(wrong)
    return accuracy_of(scene.student, scene.before(rows.raw), torch.from_numpy(rows.labels))


def _search(count: int, severity: str, damage: Callable[[int], float]) -> int | None:
    """Bisect knobs from mild to severe for one well inside the band, else for one inside it."""
    for low, high in (INNER[severity], BANDS[severity]):
        first, last = 0, count - 1
        while first <= last:
            at = (first + last) // 2
            found = damage(at)
            if low <= found <= high:
                return at
            first, last = (at + 1, last) if found < low else (first, at - 1)
    return None


# -- two at once -------------------------------------------------------------------------------

DOUBLES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("few_rows", ("normalize", "units", "gain")),
    ("missing_t2", ("brightness", "unscaled_columns", "log_scale")),
    ("no_regularization", ("flip", "permuted_columns")),
    ("too_few_epochs", ("class_order",)),
    ("narrow", ("rotate", "units", "flip")),
)
"""A fault of training with the first fault at inference that the data know."""


def plant_doubles(cell: Cell, planted: Sequence[Entry]) -> tuple[list[Entry], list[Dropped]]:
    """Strike students of faulty training; each of the two faults must hurt by itself."""
    kept, dropped = [], []
    kind = SOURCES[cell.source].kind
    by_name = {f.name: f for f in inference_faults.FAULTS}
    for first, seconds in DOUBLES:
        fault = next((by_name[s] for s in seconds if kind in by_name[s].kinds), None)
        base = [e for e in planted if e.fault == first and e.knob is None]
        if fault is None or not base:
            continue
        entry = max(base, key=lambda e: (e.severity == "mild", e.damage))
        scene = scene_of(entry.spec)
        name = f"{first}+{fault.name}"
        hurting = [found for found in _tried(scene, fault) if _severity(found[1])]
        if not hurting:
            dropped.append(Dropped(cell.name, name, "double", "does not hurt"))
            continue
        knob, damage = min(hurting, key=lambda found: abs(found[1].value - 0.4))
        both = _entry(scene.spec, name, fault.apply(scene, knob), damage, knob=knob)
        kept.append(replace(both, severity="double", training_knob=entry.training_knob))
    return kept, dropped
