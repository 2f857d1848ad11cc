"""The two parts of the clinic have nothing in common, and each has what it needs."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from tests.clinic import planting
from tests.clinic.data import SOURCES
from tests.clinic.models import untrained, usual
from tests.clinic.networks import FAMILIES, build, parameters
from tests.clinic.parts import CELLS, SEEDS, TEACHERS, Cell


def test_the_parts_share_no_data_no_architecture_and_no_seed() -> None:
    tuning, reporting = ([c for c in CELLS if c.part == part] for part in SEEDS)
    assert not {c.source for c in tuning} & {c.source for c in reporting}
    assert not {c.family for c in tuning} & {c.family for c in reporting}
    seeds = {
        part: {t.plan.seed for t in TEACHERS.values() if _part_of(t.source) == part}
        | {s.plan.seed for c in CELLS if c.part == part for s in planting.healthy_specs(c).values()}
        for part in SEEDS
    }
    assert not seeds["tuning"] & seeds["reporting"]
    assert all(SEEDS[part] <= seed < SEEDS[part] + 100 for part in SEEDS for seed in seeds[part])


def _part_of(source: str) -> str:
    return next(c.part for c in CELLS if c.source == source)


def test_each_part_has_three_kinds_of_two_architectures() -> None:
    for part in SEEDS:
        kinds = [SOURCES[c.source].kind for c in CELLS if c.part == part]
        assert len(set(kinds)) == 3
        assert all(kinds.count(kind) == 2 for kind in kinds)


@pytest.mark.parametrize("cell", CELLS, ids=lambda c: c.name)
def test_a_student_ends_in_a_linear_head_and_is_a_tenth_of_its_teacher(cell: Cell) -> None:
    source, plan = SOURCES[cell.source], TEACHERS[cell.source, cell.teacher]
    student = untrained(usual(cell, 0))
    assert list(student.modules())[-1].__class__ is nn.Linear
    rows = source.pipeline(source.train(3).raw)
    assert student.eval()(rows).shape == (3, len(source.classes))
    teacher = build(plan.family, source.shape, len(source.classes), plan.width, 0)
    assert 4 < parameters(teacher) / parameters(student) < 20


def test_every_family_is_used() -> None:
    assert {c.family for c in CELLS} == set(FAMILIES)


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_rows_are_the_same_each_time_and_apart_from_held_out(name: str) -> None:
    source = SOURCES[name]
    first, again = (source.draw("heldout", 60, 0.0, None) for _ in range(2))
    assert np.array_equal(first.raw, again.raw)
    assert np.array_equal(first.labels, again.labels)
    pool = source.draw("pool", 60, 0.0, None)
    assert not (pool.raw[:, None] == first.raw[None]).reshape(60, 60, -1).all(axis=2).any()
    moved = source.draw("heldout", 60, 1.0, None)
    assert np.array_equal(moved.labels, first.labels)
    assert not np.array_equal(moved.raw, first.raw)
    tail = source.draw("heldout", 200, 0.0, tuple(2.0**-c for c in range(len(source.classes))))
    assert np.bincount(tail.labels).argmax() == 0
