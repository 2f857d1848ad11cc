"""The two parts of the clinic, named before anything was tuned.

=========  ======  =======  ===========================  ===========================  =========
part       kind    data     students                     teachers                     seeds
=========  ======  =======  ===========================  ===========================  =========
tuning     grey    digits   plain_cnn, plain_mlp         plain_cnn, plain_mlp         100 - 199
tuning     colour  emblems  plain_cnn, residual_cnn      plain_cnn, residual_cnn      100 - 199
tuning     table   tables   batchnorm_mlp, residual_mlp  batchnorm_mlp, residual_mlp  100 - 199
reporting  grey    strokes  depthwise_cnn, patch_mixer   depthwise_cnn, patch_mixer   500 - 599
reporting  colour  scenes   depthwise_cnn, groupnorm_cnn depthwise_cnn, groupnorm_cnn 500 - 599
reporting  sound   sounds   time_cnn, attention          time_cnn, attention          500 - 599
=========  ======  =======  ===========================  ===========================  =========

The parts share no data set, no architecture and no seed. Limits and weights are chosen on the
tuning part only; each run on the reporting part is written down in `evaluations.jsonl`.

Each data set has two teachers: `careful` was trained on the train rows with augmentation,
`memorising` without it, until it knows most train labels by heart (where the data set is a
generator, on a larger pool that holds the train rows). A third, `broad`, has also seen the world
that the covariate shift moves to: only there does a shift open a gap between student and teacher.
A teacher has about ten times its student's parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.clinic.training import Plan

SEEDS = {"tuning": 100, "reporting": 500}


@dataclass(frozen=True)
class TeacherPlan:
    """One teacher of a data set."""

    source: str
    name: str
    family: str
    width: int
    rows: int | None
    """First rows of the pool; None: the train rows."""
    plan: Plan
    shifts: tuple[float, ...] = (0.0,)
    """How far the worlds that it has seen were moved."""


@dataclass(frozen=True)
class Cell:
    """One data set with one student architecture."""

    part: str
    source: str
    family: str
    width: int
    narrow: tuple[int, ...]
    """Widths that may be too small, from the widest."""
    teacher: str
    """Which teacher a student has unless said otherwise."""
    plan: Plan
    """The usual recipe."""

    @property
    def name(self) -> str:
        """Data set and architecture."""
        return f"{self.source}/{self.family}"

    @property
    def other_teacher(self) -> str:
        """The other one."""
        return "careful" if self.teacher == "memorising" else "memorising"


def _teacher(
    source: str,
    name: str,
    family: str,
    width: int,
    epochs: int,
    rows: int | None = None,
    shifts: tuple[float, ...] = (0.0,),
) -> TeacherPlan:
    part = next(c.part for c in CELLS if c.source == source)
    plan = Plan(
        epochs=epochs, batch_size=128, lr=3e-3, weight_decay=5e-4, task_weight=1.0,
        augmented=name != "memorising",
        seed=SEEDS[part] + 1 + ("careful", "memorising", "broad").index(name),
    )  # fmt: skip
    return TeacherPlan(source, name, family, width, rows, plan, shifts)


_USUAL = Plan(epochs=24, batch_size=128, lr=6e-3)

CELLS: tuple[Cell, ...] = (
    Cell("tuning", "digits", "plain_cnn", 10, (6, 4, 3, 2, 1), "careful",
         replace(_USUAL, epochs=40, batch_size=64)),
    Cell("tuning", "digits", "plain_mlp", 24, (8, 5, 3, 2, 1), "memorising",
         replace(_USUAL, epochs=40, batch_size=64)),
    Cell("tuning", "emblems", "plain_cnn", 8, (5, 4, 3, 2, 1), "careful", _USUAL),
    Cell("tuning", "emblems", "residual_cnn", 8, (5, 4, 3, 2, 1), "memorising", _USUAL),
    Cell("tuning", "tables", "batchnorm_mlp", 16, (5, 3, 2, 1), "careful",
         replace(_USUAL, batch_size=64)),
    Cell("tuning", "tables", "residual_mlp", 16, (6, 4, 2, 1), "memorising",
         replace(_USUAL, batch_size=64)),
    Cell("reporting", "strokes", "depthwise_cnn", 12, (7, 5, 3, 2, 1), "careful", _USUAL),
    Cell("reporting", "strokes", "patch_mixer", 12, (7, 5, 3, 2, 1), "memorising", _USUAL),
    Cell("reporting", "scenes", "depthwise_cnn", 12, (7, 5, 3, 2, 1), "memorising", _USUAL),
    Cell("reporting", "scenes", "groupnorm_cnn", 8, (5, 4, 3, 2, 1), "careful", _USUAL),
    Cell("reporting", "sounds", "time_cnn", 12, (7, 5, 3, 2, 1), "careful", _USUAL),
    Cell("reporting", "sounds", "attention", 12, (7, 5, 3, 2, 1), "memorising", _USUAL),
)  # fmt: skip

_WORLDS = (0.0, 0.5, 1.0)

TEACHERS: dict[tuple[str, str], TeacherPlan] = {
    (t.source, t.name): t
    for t in (
        _teacher("digits", "careful", "plain_cnn", 24, 16),
        _teacher("digits", "memorising", "plain_mlp", 64, 16),
        _teacher("emblems", "careful", "plain_cnn", 28, 16),
        _teacher("emblems", "memorising", "residual_cnn", 26, 8, rows=2800),
        _teacher("tables", "careful", "batchnorm_mlp", 56, 30),
        _teacher("tables", "memorising", "residual_mlp", 56, 16, rows=4000),
        _teacher("strokes", "careful", "depthwise_cnn", 44, 16),
        _teacher("strokes", "memorising", "patch_mixer", 40, 10, rows=6000),
        _teacher("scenes", "careful", "depthwise_cnn", 40, 14),
        _teacher("scenes", "memorising", "groupnorm_cnn", 26, 9, rows=6000),
        _teacher("sounds", "careful", "time_cnn", 44, 20),
        _teacher("sounds", "memorising", "attention", 38, 10, rows=6000),
        _teacher("digits", "broad", "plain_cnn", 24, 12, shifts=_WORLDS),
        _teacher("emblems", "broad", "plain_cnn", 28, 8, shifts=_WORLDS),
        _teacher("tables", "broad", "batchnorm_mlp", 56, 14, shifts=_WORLDS),
        _teacher("strokes", "broad", "depthwise_cnn", 44, 8, shifts=_WORLDS),
        _teacher("scenes", "broad", "depthwise_cnn", 40, 7, shifts=_WORLDS),
        _teacher("sounds", "broad", "time_cnn", 44, 10, shifts=_WORLDS),
    )
}


def cells(part: str, kind: str | None = None) -> list[Cell]:
    """Return the cells of a part, of one kind or data set where named."""
    from tests.clinic.data import SOURCES

    return [
        c
        for c in CELLS
        if c.part == part and kind in (None, c.source, c.name, SOURCES[c.source].kind)
    ]
