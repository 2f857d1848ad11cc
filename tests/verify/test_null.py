"""Fixes that do nothing: how often is one of them verified, and is anything written?"""

import numpy as np

from gapdoctor.domain.trials import PlannedFix
from gapdoctor.verify import Arm, Comparison, HeldoutRows, candidates, choose, judge, rank

FIXES, SEEDS, ROWS, CLASSES = 4, 3, 160, 3


class World:
    """Students of one quality on rows of one hardness; each errs in its own way."""

    def __init__(self, r: np.random.Generator) -> None:
        self.r = r
        self.rows = HeldoutRows(r.integers(0, CLASSES, size=ROWS), np.arange(ROWS) % 2 == 0)
        self.hardness = r.normal(size=(ROWS, CLASSES))

    def student(self) -> np.ndarray:
        logits = self.hardness + self.r.normal(0.0, 0.7, size=(ROWS, CLASSES))
        logits[np.arange(ROWS), self.rows.labels] += 1.5
        return logits

    def arm(self, name: str, start: str, seeds: int) -> Arm:
        return Arm.of(name, start, {s: self.student() for s in range(seeds)}, self.rows)


def one_run(r: np.random.Generator) -> tuple[bool, bool]:
    """Whether any of the fixes was verified, and whether anything was chosen."""
    world = World(r)
    control, given = world.arm("control", "scratch", SEEDS), world.arm("given", "checkpoint", 1)
    names = [f"f{i}" for i in range(FIXES)]
    tried = [
        Comparison(PlannedFix(name, (), ""), world.arm(name, "scratch", SEEDS), control)
        for name in names
    ]
    judged = judge(tried, r, finalists=rank(tried).finalists)
    chosen = choose(candidates(tried, judged.verified, [control]), given, r)
    return bool(judged.verified), chosen.name is not None


def test_nothing_is_verified_or_written_more_often_than_told() -> None:
    r = np.random.default_rng(0)
    verified, written = np.mean([one_run(r) for _ in range(24)], axis=0)

    # One side of 95 % is 2.5 %: of 24 runs more than three would be one in 300.
    assert verified <= 0.13
    assert written <= 0.13
