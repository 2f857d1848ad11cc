"""Head refit: one and the same head at rest, on its way, and on features that are dead."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor import Case, Recipe, TeacherLogits
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Finding, Intervention, Side, Skipped
from gapdoctor.observe.needs import Need
from gapdoctor.observe.observations import Observations
from gapdoctor.probes.head_refit import HeadRefit
from gapdoctor.stats.refit import HeadLoss

Look = Callable[..., Observations]
PROBE = HeadRefit()
T = 4.0
KNOWN = Recipe(task_weight=0.3, temperature=T, augment=())
SEEN = 2
"""Of four inputs, those that reach the student's head: it is too small."""


class Small(nn.Module):
    """A linear rule of its first inputs, the others dead."""

    def __init__(self, head: np.ndarray, seen: int = SEEN, width: int = SEEN) -> None:
        super().__init__()
        self.seen, self.width = seen, width
        self.head = nn.Linear(width, len(head))
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor(head[:, :-1]))
            self.head.bias.copy_(torch.tensor(head[:, -1]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = torch.zeros(len(x), self.width)
        kept[:, : self.seen] = x[:, : self.seen]
        logits: torch.Tensor = self.head(kept)
        return logits


@cache
def at_rest(planted: ModuleType) -> np.ndarray:
    """The best head on what the student sees, under the recipe's loss."""
    x, y = planted.rows(1, 1_000)
    with torch.no_grad():
        teacher = planted.bayes()(x).numpy()
    of = HeadLoss(x[:, :SEEN].numpy(), teacher, y.numpy(), 0.3, T)
    head = np.zeros((teacher.shape[1], SEEN + 1))
    for _ in range(3_000):
        head -= 0.1 * of.slope(head, np.arange(len(y)))
    return head


def case(planted: ModuleType, part: float, recipe: Recipe = KNOWN, **more: Any) -> Case:
    """A student `part` of the way to its rest."""
    return Case(**{
        "student": Small(part * at_rest(planted)), "teacher": planted.bayes(),
        "train": planted.rows(1, 1_000), "heldout": planted.rows(2, 1_000), "recipe": recipe,
        **more,
    })  # fmt: skip


def asked(seen: Observations) -> dict[Cause, Claim]:
    found = PROBE.examine(seen)
    assert isinstance(found, Finding), found
    assert {c.side for c in found.claims} <= {Side.FIT_DEFICIT}
    return {c.cause: c for c in found.claims}


@pytest.mark.parametrize(
    ("part", "named", "other", "words"),
    [
        (1.0, Cause.CAPACITY_SHORTFALL, Cause.OPTIMIZATION, "has come to rest"),
        (0.1, Cause.OPTIMIZATION, Cause.CAPACITY_SHORTFALL, "is still on its way"),
    ],
)
def test_how_far_the_head_is_from_rest_tells_capacity_from_optimization(
    planted: ModuleType, looked: Look, part: float, named: Cause, other: Cause, words: str
) -> None:
    claims = asked(looked(case(planted, part)))
    assert claims[named].strength > 0 > claims[other].strength
    for cause, speaks in ((named, "for"), (other, "against")):
        (evidence,) = claims[cause].evidence
        assert (evidence.limit, evidence.unit, evidence.speaks) == (PROBE.neutral, "share", speaks)
        assert words in evidence.statement


def test_what_is_assumed_weighs_less(planted: ModuleType, looked: Look) -> None:
    known, assumed = (
        asked(looked(case(planted, 0.5, recipe)))[Cause.OPTIMIZATION]
        for recipe in (KNOWN, Recipe(temperature=T, augment=()))
    )
    assert known.evidence[0].value == pytest.approx(assumed.evidence[0].value)  # 0.3 is assumed
    assert known.strength > assumed.strength
    assert assumed.evidence[0].limit == PROBE.neutral_assumed


def test_without_t2_the_labels_weigh_more(planted: ModuleType, looked: Look) -> None:
    """1/(1 + 1/T²) of the loss is the labels': a head at rest under the teacher is not at rest."""
    bare = Recipe(task_weight=0.5, temperature=T, augment=(), scale_by_t2=False)
    same = Recipe(task_weight=T**2 / (T**2 + 1), temperature=T, augment=())
    one, other = (
        asked(looked(case(planted, 0.5, recipe)))[Cause.OPTIMIZATION].evidence[0].value
        for recipe in (bare, same)
    )
    assert one == pytest.approx(other)


def test_a_student_that_fits_is_not_asked(planted: ModuleType, looked: Look) -> None:
    assert asked(looked(planted.healthy(recipe=KNOWN))) == {}


def test_nothing_is_said_of_dead_features(planted: ModuleType, looked: Look) -> None:
    head = np.concatenate([np.zeros((3, 5)), 0.1 * at_rest(planted)[:, -1:]], axis=1)
    assert asked(looked(case(planted, 0.0, student=Small(head, seen=1, width=5)))) == {}


def test_too_few_rows_for_the_features_are_skipped(planted: ModuleType, looked: Look) -> None:
    few = case(planted, 0.1, train=planted.rows(1, 7))
    assert "give four times as many rows" in reason(PROBE.examine(looked(few)))


def test_needs(planted: ModuleType, looked: Look) -> None:
    stored = TeacherLogits(np.zeros((1_000, 3)), np.zeros((1_000, 3)))
    seen = looked(case(planted, 0.1, teacher=stored))
    assert seen.missing(PROBE.needs) == Need.TEACHER_MODEL.value
    mixed = Recipe(task_weight=0.3, temperature=T, augment="mixup")
    assert "'mixup'" in reason(PROBE.examine(looked(case(planted, 0.1, mixed))))


def reason(found: Finding | Skipped) -> str:
    assert isinstance(found, Skipped), found
    return found.reason


def test_a_proven_class_order_is_undone_first(planted: ModuleType, looked: Look) -> None:
    """Its classes were moved after training: in the order that was proven it is at rest."""
    moved = np.roll(at_rest(planted), 1, axis=0)
    seen = looked(case(planted, 1.0, student=Small(moved)))
    order = tuple(float(i) for i in (2, 0, 1))
    seen.believe(Intervention("class_order", "moved", (("order", order),)))
    assert asked(seen)[Cause.CAPACITY_SHORTFALL].strength > 0
