"""Gradient geometry: students set where both losses agree, and where they hold each other.

Two classes; the student sees a constant alone, so that it is one number: the difference `z` of its
logits. ¾ of the rows are of the first class, and the teacher, which sees which, is sure by `SURE`.
The task loss pulls `z` to log 3, the distillation loss to `Z_TEACHER`; on one side of both they
agree wholly, in between they oppose each other wholly.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor import Case, Recipe, TeacherLogits
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Finding, Side, Skipped
from gapdoctor.observe.needs import Need
from gapdoctor.observe.observations import Observations
from gapdoctor.probes.gradient_geometry import GradientGeometry

Look = Callable[..., Observations]
PROBE = GradientGeometry()
T, SURE = 4.0, 4.0
KNOWN = Recipe(task_weight=0.5, temperature=T, augment=())


def sigmoid(z: float) -> float:
    return float(1 / (1 + np.exp(-z)))


M = 0.75 * sigmoid(SURE / T) + 0.25 * sigmoid(-SURE / T)
Z_TASK, Z_TEACHER = float(np.log(3)), T * float(np.log(M / (1 - M)))
BETWEEN, BEFORE = (Z_TASK + Z_TEACHER) / 2, 0.0


class Constant(nn.Module):
    """Gives every row the logits (z, 0), from a constant that its head is fed."""

    def __init__(self, z: float, bias: bool = True) -> None:
        super().__init__()
        self.head = nn.Linear(1, 2, bias=bias)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[z], [0.0]]))
            if bias:
                self.head.bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(x[:, :1])
        return logits


def rows(n: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """The constant, and +1 or −1 for the class."""
    labels = (torch.arange(n) % 4 == 0).long()
    return torch.stack([torch.ones(n), 1.0 - 2.0 * labels], dim=1), labels


def case(planted: ModuleType, student: nn.Module, recipe: Recipe = KNOWN, **more: Any) -> Case:
    teacher = planted.linear([[0.0, SURE], [0.0, 0.0]], np.zeros(2))
    return Case(**{"student": student, "teacher": teacher, "train": rows(), "heldout": rows(),
                   "recipe": recipe, **more})  # fmt: skip


def asked(seen: Observations) -> dict[Cause, Claim]:
    found = PROBE.examine(seen)
    assert isinstance(found, Finding), found
    assert {c.topic for c in found.claims} <= {"gradients"}
    assert {c.side for c in found.claims} <= {Side.FIT_DEFICIT}
    return {c.cause: c for c in found.claims}


def test_the_two_losses_pull_to_different_places() -> None:
    assert pytest.approx(1.10, abs=0.01) == Z_TASK
    assert pytest.approx(1.88, abs=0.01) == Z_TEACHER


@pytest.mark.parametrize(
    ("z", "cosine", "named", "other", "words"),
    [
        (BETWEEN, -1.0, Cause.CAPACITY_SHORTFALL, Cause.OPTIMIZATION,
         "hold each other in a compromise (cosine -1.00)"),
        (BEFORE, 1.0, Cause.OPTIMIZATION, Cause.CAPACITY_SHORTFALL,
         "still point the same way (cosine 1.00)"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("bias", [True, False])
def test_the_sign_of_the_cosine_tells_capacity_from_optimization(
    planted: ModuleType, looked: Look, bias: bool, z: float, cosine: float, named: Cause,
    other: Cause, words: str,
) -> None:  # fmt: skip
    claims = asked(looked(case(planted, Constant(z, bias))))
    assert set(claims) == {named, other}
    assert claims[named].strength > 0 > claims[other].strength
    for cause, speaks in ((named, "for"), (other, "against")):
        (evidence,) = claims[cause].evidence
        assert evidence.value == pytest.approx(cosine, abs=1e-6)
        assert evidence.limit is not None
        assert (evidence.unit, evidence.speaks) == ("cosine", speaks)
        assert words in evidence.statement
        assert claims[cause].returned is None


def test_what_is_assumed_weighs_less(planted: ModuleType, looked: Look) -> None:
    strengths = []
    for recipe in (KNOWN, Recipe(temperature=T, augment=()), Recipe()):
        claims = asked(looked(case(planted, Constant(BETWEEN), recipe)))
        strengths.append(claims[Cause.CAPACITY_SHORTFALL].strength)
    assert strengths[0] > strengths[1] == strengths[2] > 0


def test_the_recipe_s_temperature_is_taken(planted: ModuleType, looked: Look) -> None:
    """At T = 1 the teacher pulls to logit(0.741) = 1.05, below the labels' log 3."""
    z = 1.5  # between both at T = 4, above both at T = 1
    cosines = []
    for temperature in (T, 1.0):
        recipe = Recipe(task_weight=0.5, temperature=temperature, augment=())
        claims = asked(looked(case(planted, Constant(z), recipe)))
        cosines.append(claims[Cause.OPTIMIZATION].evidence[0].value)
    assert cosines == pytest.approx([-1.0, 1.0], abs=1e-6)


def test_smoothed_labels_are_known(planted: ModuleType, looked: Look) -> None:
    """Smoothing by 0.4 takes the labels' pull down to log(0.65/0.35) = 0.62."""
    z, smooth = 0.9, Recipe(task_weight=0.5, temperature=T, augment=(), label_smoothing=0.4)
    for recipe, cosine in ((KNOWN, 1.0), (smooth, -1.0)):
        claims = asked(looked(case(planted, Constant(z), recipe)))
        assert claims[Cause.OPTIMIZATION].evidence[0].value == pytest.approx(cosine, abs=1e-6)


def test_a_student_that_fits_is_not_asked(planted: ModuleType, looked: Look) -> None:
    assert asked(looked(planted.healthy(recipe=KNOWN))) == {}
    assert asked(looked(planted.overfitted(recipe=KNOWN))) == {}


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_one_loss_alone_has_no_angle(planted: ModuleType, looked: Look, weight: float) -> None:
    recipe = Recipe(task_weight=weight, temperature=T, augment=())
    found = PROBE.examine(looked(case(planted, Constant(BETWEEN), recipe)))
    assert found == Skipped("gradient_geometry", "only one of the two losses was used")


def test_needs_and_reasons_to_skip(planted: ModuleType, looked: Look) -> None:
    stored = TeacherLogits(np.zeros((400, 2)), np.zeros((400, 2)))
    seen = looked(case(planted, Constant(BETWEEN), teacher=stored))
    assert seen.missing(PROBE.needs) == Need.TEACHER_MODEL.value
    headless = looked(case(planted, nn.Sequential(Constant(BETWEEN), nn.Tanh())))
    assert headless.missing(PROBE.needs) == Need.STUDENT_FEATURES.value
    recipe = Recipe(task_weight=0.5, temperature=T, augment="mixup")
    found = PROBE.examine(looked(case(planted, Constant(BETWEEN), recipe)))
    assert isinstance(found, Skipped)
    assert "'mixup' cannot be replayed" in found.reason


def fed_nothing(planted: ModuleType) -> nn.Module:
    """Its last layer gets zeros and has no bias: no loss moves it."""
    dead = planted.linear(np.zeros((1, 2)), np.zeros(1))
    return nn.Sequential(dead, nn.Linear(1, 2, bias=False))


def test_a_head_that_nothing_moves_has_no_angle(planted: ModuleType, looked: Look) -> None:
    found = PROBE.examine(looked(case(planted, fed_nothing(planted))))
    assert found == Skipped("gradient_geometry", "one of the two gradients is zero")


class Normed(nn.Module):
    """BatchNorm in front of the head, with running statistics that are long out of date."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1)
        self.head = Constant(BETWEEN).head
        with torch.no_grad():
            self.norm.bias.fill_(1.0)  # on batch statistics a constant comes out as 1
            self.norm.get_buffer("running_mean").fill_(11.0)  # on running ones as −9

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.norm(x[:, :1]))
        return logits


def test_it_is_taken_on_batch_statistics(planted: ModuleType, looked: Look) -> None:
    """In eval mode this student is far on one side of both losses, where they would agree."""
    claims = asked(looked(case(planted, Normed())))
    assert claims[Cause.CAPACITY_SHORTFALL].evidence[0].value == pytest.approx(-1, abs=1e-3)
