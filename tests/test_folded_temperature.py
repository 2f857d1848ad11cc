"""A temperature in the student's head: told of it, the training is looked at as it was."""

from __future__ import annotations

import copy
import dataclasses
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from torch import nn

from gapdoctor import Case, Diagnosis, Recipe, diagnose
from gapdoctor.domain.recipe import Optimizer, Schedule
from gapdoctor.loading.fingerprint import fingerprint
from gapdoctor.training.students import before_folding

RECIPE = Recipe(
    epochs=20, batch_size=32, optimizer=Optimizer.SGD, lr=0.1, momentum=0.9, nesterov=False,
    weight_decay=0.0, schedule=Schedule.CONSTANT, task_weight=0.5, temperature=2.0,
    scale_by_t2=True, augment=(), label_smoothing=0.0,
)  # fmt: skip
TOLD = ("gap", "metrics", "verdict", "causes", "unexplained", "warnings", "skipped", "tables")
OF_TRAINING = {"fit", "effective_weight", "gradient_geometry", "head_refit", "continuation"}
"""Probes that look at the student as its training left it."""


class Small(nn.Module):
    """Sees two of four features: it does not fit its train rows."""

    def __init__(self, planted: ModuleType, scale: float) -> None:
        super().__init__()
        whole = planted.bayes(scale)
        self.head = planted.linear(whole.weight[:, :2].detach(), whole.bias.detach())

    def forward(self, x: Any) -> Any:
        return self.head(x[:, :2])


def divided(student: nn.Module, by: float) -> nn.Module:
    """A copy whose head is divided, as `fix` writes it."""
    twin = copy.deepcopy(student)
    for parameter in twin.head.parameters():  # type: ignore[union-attr]
        parameter.data /= by
    return twin


def asked(case: Case) -> Diagnosis:
    return diagnose(case, batch_size=64, train_probes=True, progress=False)


def told(found: Diagnosis) -> dict[str, Any]:
    return {name: getattr(found, name) for name in TOLD}


def said_by(found: Diagnosis) -> dict[str, list[tuple[str, float]]]:
    said: dict[str, list[tuple[str, float]]] = {}
    for cause in found.causes:
        for one in cause.evidence:
            said.setdefault(one.probe, []).append((one.statement, one.value))
    return said | {one.probe: [(one.reason, 0.0)] for one in found.skipped}


@pytest.fixture
def student(planted: ModuleType) -> nn.Module:
    return Small(planted, 0.6)


def test_it_is_as_if_the_temperature_stood_outside(planted: ModuleType, student: nn.Module) -> None:
    """2 divides floats exactly: both are the same to the last digit."""
    more = {"n": 400, "recipe": RECIPE}
    outside = asked(planted.healthy(student=student, output_temperature=2.0, **more))
    halved = divided(student, 2.0)
    inside = asked(planted.healthy(student=halved, folded_temperature=2.0, **more))
    assert told(inside) == told(outside)
    untold = asked(planted.healthy(student=halved, **more))
    assert untold.gap == inside.gap  # what was lost is lost, told or not
    with_it, without = said_by(inside), said_by(untold)
    assert {probe for probe in with_it if with_it[probe] != without.get(probe)} == OF_TRAINING


def test_none_and_one_are_the_same(planted: ModuleType, student: nn.Module) -> None:
    plain, one = (
        asked(planted.healthy(400, student=student, recipe=RECIPE, folded_temperature=given))
        for given in (None, 1.0)
    )
    assert told(plain) == told(one)


def test_a_case_told_of_it_is_another_case(planted: ModuleType) -> None:
    case = planted.healthy(60)
    assert fingerprint(case) == fingerprint(dataclasses.replace(case, folded_temperature=None))
    assert fingerprint(case) != fingerprint(dataclasses.replace(case, folded_temperature=1.5))


# -- the student as its training left it -----------------------------------------------------------


def test_the_head_is_given_back_its_scale(student: nn.Module) -> None:
    halved = divided(student, 2.0)
    found, divisor = before_folding(halved, halved.head, 2.0)  # type: ignore[arg-type]
    assert divisor == 2.0
    assert found is not halved
    for name, value in found.state_dict().items():
        assert np.array_equal(value, student.state_dict()[name])


def test_where_nothing_was_folded_it_is_the_student_itself(student: nn.Module) -> None:
    assert before_folding(student, student.head, None) == (student, 1.0)  # type: ignore[arg-type]
    assert before_folding(student, None, 2.0) == (student, 1.0)
