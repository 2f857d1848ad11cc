"""A temperature folded into the head of a live student: what is handed back, what is begun from."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

import gapdoctor
from gapdoctor import Diagnosis, Recipe, diagnose
from gapdoctor.domain.recipe import Optimizer, Schedule
from gapdoctor.probes.class_order import ClassOrder
from gapdoctor.probes.mirror import Mirror
from gapdoctor.probes.temperature import Temperature

RECIPE = Recipe(
    epochs=1, batch_size=32, optimizer=Optimizer.SGD, lr=0.1, weight_decay=0.0,
    schedule=Schedule.CONSTANT, task_weight=1.0, augment=(), dropout=0.0, early_stopping=0,
    temperature=1.0,
)  # fmt: skip


def told(case: gapdoctor.Case, *probes: Any) -> Diagnosis:
    return diagnose(case, probes=probes, progress=False)


@pytest.mark.parametrize(("before", "behind"), [(None, 1.0), (0.5, 1.0), (0.5, 4.0)])
def test_what_is_in_the_head_is_handed_back(
    planted: ModuleType, before: float | None, behind: float
) -> None:
    student = planted.bayes(0.2 * behind)
    case = planted.healthy(student=student, folded_temperature=before, output_temperature=behind)
    outcome = gapdoctor.fix(case, told(case, Temperature()), only=["scale_temperature"])
    assert outcome.chosen == "scale_temperature"
    ratio = float((student.weight.norm() / outcome.student.weight.norm()).detach())
    assert outcome.folded_temperature == pytest.approx((before or 1.0) * ratio, rel=1e-5)


def test_a_class_order_alone_leaves_it_as_it_was(planted: ModuleType) -> None:
    order = [1, 2, 0]
    student = planted.bayes()
    student.load_state_dict({k: v[order] for k, v in student.state_dict().items()})
    case = planted.healthy(student=student, folded_temperature=1.5)
    outcome = gapdoctor.fix(
        case, told(case, ClassOrder()), only=["reorder_classes"], skip=["scale_temperature"]
    )
    assert outcome.chosen == "reorder_classes"
    assert outcome.folded_temperature == 1.5


def test_a_student_trained_anew_has_none_of_the_old_one(planted: ModuleType) -> None:
    torch.manual_seed(0)
    case = planted.healthy(
        student=nn.Linear(4, 3), student_factory=lambda: nn.Linear(4, 3),
        recipe=replace(RECIPE, lr=2e-3), folded_temperature=1.5,
    )  # fmt: skip
    outcome = gapdoctor.fix(
        case, told(case, Mirror()), only=["lower_learning_rate", "train_longer"],
        skip=["scale_temperature"], start="scratch",
    )  # fmt: skip
    assert outcome.chosen is not None
    assert outcome.folded_temperature is None


def test_a_trainer_is_given_the_head_as_training_left_it(planted: ModuleType) -> None:
    given: list[torch.Tensor] = []

    def train(student: nn.Module, teacher: nn.Module, data: Any, recipe: Recipe) -> nn.Module:
        given.append(next(student.parameters()).detach().clone())
        assert recipe.weight_decay is not None
        return student

    case = planted.healthy(
        student=planted.bayes(0.5), folded_temperature=2.0, recipe=RECIPE, trainer=train,
    )  # fmt: skip
    gapdoctor.fix(case, told(case, Mirror()), only=["add_weight_decay"], seeds=1,
                  start="checkpoint")  # fmt: skip
    assert given
    assert all(torch.equal(one, planted.bayes().weight) for one in given)
    assert torch.equal(case.student.weight, planted.bayes(0.5).weight)
