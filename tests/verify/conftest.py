"""Students whose quality is known: each gives its label so many logits more than the rest."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.trials import PlannedFix
from gapdoctor.verify import Arm, Comparison, HeldoutRows

CLASSES = 4
MakeArm = Callable[..., Arm]
MakeComparison = Callable[..., Comparison]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def rows_of(n: int = 800, groups: int | None = None) -> HeldoutRows:
    r = np.random.default_rng(1)
    labels = r.integers(0, CLASSES, size=n)
    if groups is None:
        return HeldoutRows(labels, np.arange(n) % 2 == 0)
    ids = np.arange(n) % groups
    return HeldoutRows(labels, ids % 2 == 0, ids.astype(object))


@pytest.fixture
def rows() -> HeldoutRows:
    return rows_of()


def logits_of(rows: HeldoutRows, quality: float, seed: int, scale: float = 1.0) -> np.ndarray:
    """(n, C): the rows are as hard for all students; a seed adds a little of its own."""
    n = len(rows.labels)
    hardness = np.random.default_rng(2).normal(0.0, 1.0, size=(n, CLASSES))
    own = np.random.default_rng([3, seed]).normal(0.0, 0.3, size=(n, CLASSES))
    logits = hardness + own
    logits[np.arange(n), rows.labels] += quality
    return (scale * logits).astype(np.float32)


@pytest.fixture
def make_arm(rows: HeldoutRows) -> MakeArm:
    def make(
        name: str,
        quality: float | Sequence[float] = 2.0,
        *,
        seeds: Sequence[int] = (0, 1, 2),
        start: str = "scratch",
        scale: float = 1.0,
        over: HeldoutRows = rows,
        **options: object,
    ) -> Arm:
        each = [quality] * len(seeds) if isinstance(quality, int | float) else quality
        logits = {s: logits_of(over, q, s, scale) for s, q in zip(seeds, each, strict=True)}
        return Arm.of(name, start, logits, over, **options)

    return make


@pytest.fixture
def make_comparison(make_arm: MakeArm) -> MakeComparison:
    def make(
        name: str,
        quality: float | Sequence[float],
        *,
        control: Arm | None = None,
        free: bool = False,
        **options: object,
    ) -> Comparison:
        plan = PlannedFix(name, (Cause.OVERFITTING,), f"{name}.", free=free)
        if free:
            options = {"seeds": (0,), "start": "checkpoint", **options}
        arm = make_arm(name, quality, **options)
        beside = control or make_arm("control", start=arm.start, seeds=arm.seeds, over=arm.rows)
        return Comparison(plan, arm, beside)

    return make
