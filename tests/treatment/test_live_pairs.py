"""`fix` on live pairs whose fault is known: what heals them is chosen, and handed back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

import gapdoctor
from gapdoctor import Case, Diagnosis, Recipe, diagnose
from gapdoctor.domain.recipe import Optimizer, Schedule
from gapdoctor.engines._base import Watcher
from gapdoctor.probes.class_order import ClassOrder
from gapdoctor.probes.mirror import Mirror
from gapdoctor.probes.temperature import Temperature

RECIPE = Recipe(
    epochs=4, batch_size=32, optimizer=Optimizer.SGD, lr=0.1, weight_decay=0.0,
    schedule=Schedule.CONSTANT, task_weight=1.0, augment=(), dropout=0.0, early_stopping=0,
    temperature=1.0,
)  # fmt: skip


def told(case: Case, *probes: Any) -> Diagnosis:
    return diagnose(case, probes=probes, progress=False)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in model.state_dict().items()}


def status(outcome: Any) -> dict[str, str]:
    return {f.id: f.status for f in outcome.fixes}


def accuracy(model: nn.Module, rows: tuple[torch.Tensor, torch.Tensor]) -> float:
    with torch.no_grad():
        return float((model(rows[0]).argmax(1) == rows[1]).float().mean())


# -- nothing is trained --------------------------------------------------------------------------


def test_a_mismatch_is_healed_by_the_train_pipeline(planted: ModuleType) -> None:
    case = planted.mismatched()
    before = weights(case.student)
    outcome = gapdoctor.fix(case, told(case, Mirror()), only=["match_preprocessing"])
    assert outcome.chosen == "match_preprocessing"
    assert outcome.improvement.high < 0
    assert outcome.trials == ()
    assert outcome.written.checkpoint is None
    assert all(torch.equal(v, before[k]) for k, v in case.student.state_dict().items())


class Carrying(Dataset):
    """A data set that carries its own transform, as torchvision's do."""

    def __init__(self, rows: tuple[torch.Tensor, torch.Tensor], transform: Callable[[Any], Any]):
        self.rows, self.transform = rows, transform
        self.targets = rows[1].tolist()

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, at: int) -> tuple[torch.Tensor, int]:
        sample = self.rows[0][at]
        return (self.transform(sample) if self.transform else sample), self.targets[at]


def test_data_sets_that_carry_their_own_transforms_are_healed_alike(planted: ModuleType) -> None:
    train, held = (planted.raw(planted.rows(seed, 400)) for seed in (1, 2))
    case = Case(
        student=planted.bayes(), teacher=planted.bayes(),
        train=Carrying(train, planted.undo), heldout=Carrying(held, planted.forgotten),
    )  # fmt: skip
    outcome = gapdoctor.fix(case, told(case, Mirror()), only=["match_preprocessing"])
    assert outcome.chosen == "match_preprocessing"


def test_a_scale_alone_is_folded_into_the_head(planted: ModuleType) -> None:
    case = planted.healthy(student=planted.bayes(0.2))
    outcome = gapdoctor.fix(case, told(case, Temperature()), only=["scale_temperature"])
    assert outcome.chosen == "scale_temperature"
    (record,) = [f for f in outcome.fixes if f.id == "scale_temperature"]
    assert record.changes[0].after == pytest.approx(0.2, rel=0.3)
    assert record.loss_before_temperature.value > record.heldout_loss.value
    ratio = float((outcome.student.weight.norm() / case.student.weight.norm()).detach())
    assert ratio == pytest.approx(5, rel=0.3)


def test_an_output_temperature_in_force_counts(planted: ModuleType) -> None:
    case = planted.healthy(student=planted.bayes(0.2), output_temperature=0.2)
    outcome = gapdoctor.fix(case, told(case, Temperature()), only=["reorder_classes"])
    assert outcome.chosen is None
    assert outcome.given.loss_before_temperature.value == pytest.approx(
        outcome.given.heldout_loss.value, abs=0.05
    )


def test_a_class_order_is_folded_into_the_head(planted: ModuleType) -> None:
    order = [1, 2, 0]
    student = planted.bayes()
    student.load_state_dict({k: v[order] for k, v in student.state_dict().items()})
    case = planted.healthy(student=student)
    outcome = gapdoctor.fix(case, told(case, ClassOrder()), only=["reorder_classes"])
    assert outcome.chosen == "reorder_classes"
    rows = planted.rows(9, 500)
    assert accuracy(case.student, rows) < 0.2
    assert accuracy(outcome.student, rows) > 0.8


def test_two_free_fixes_are_chosen_together(planted: ModuleType) -> None:
    order = [1, 2, 0]
    student = planted.bayes(0.2)
    student.load_state_dict({k: v[order] for k, v in student.state_dict().items()})
    case = planted.healthy(student=student)
    outcome = gapdoctor.fix(case, told(case, ClassOrder(), Temperature()),
                            only=["reorder_classes", "scale_temperature"])  # fmt: skip
    assert outcome.chosen == "reorder_classes+scale_temperature"
    (joint,) = [f for f in outcome.fixes if f.id == outcome.chosen]
    assert joint.verified
    assert joint.difference.value == pytest.approx(outcome.improvement.value, abs=1e-6)


def test_a_healthy_pair_is_left_alone(planted: ModuleType) -> None:
    case = planted.healthy()
    outcome = gapdoctor.fix(case, told(case, Mirror(), Temperature(), ClassOrder()))
    assert outcome.chosen is None
    assert outcome.student is None
    assert outcome.trials == ()


# -- something is trained ------------------------------------------------------------------------


@pytest.fixture
def unfinished(planted: ModuleType) -> Case:
    """A student that its recipe leaves nearly untrained."""
    torch.manual_seed(0)
    student = nn.Linear(4, 3)
    return planted.healthy(
        student=student, student_factory=lambda: nn.Linear(4, 3),
        recipe=replace(RECIPE, epochs=1, lr=2e-3),
    )  # fmt: skip


def test_the_best_of_three_seeds_is_handed_back(planted: ModuleType, unfinished: Case) -> None:
    before = torch.random.get_rng_state()
    outcome = gapdoctor.fix(
        unfinished, told(unfinished, Mirror()), only=["lower_learning_rate", "train_longer"]
    )
    assert torch.equal(before, torch.random.get_rng_state())
    done = {(t.fix, t.seed): t for t in outcome.trials}
    assert {t.status for t in outcome.trials} == {"done"}
    assert len(outcome.controls) == 1
    assert outcome.chosen is not None
    assert accuracy(outcome.student, planted.rows(9, 500)) > accuracy(
        unfinished.student, planted.rows(9, 500)
    )
    assert outcome.cost.trained_samples == sum(t.trained_samples for t in done.values())
    assert outcome.histories["control-scratch-0"]


def test_a_recipe_that_does_not_make_the_student_goes_on_from_the_checkpoint(
    planted: ModuleType, tmp_path: Any
) -> None:
    # Built anew and trained at this rate, it stays far behind the one that is given.
    case = planted.healthy(
        student=planted.bayes(), student_factory=lambda: nn.Linear(4, 3),
        recipe=replace(RECIPE, lr=1e-6),
    )  # fmt: skip
    outcome = gapdoctor.fix(case, told(case, Mirror()), only=["add_weight_decay"], seeds=1,
                            folder=tmp_path / "out")  # fmt: skip
    assert outcome.plan.start == "checkpoint"
    assert any("Trials start from the checkpoint" in note for note in outcome.notes)
    assert {(c.start) for c in outcome.controls} == {"scratch", "checkpoint"}
    again = gapdoctor.fix(case, told(case, Mirror()), only=["add_weight_decay"], seeds=1,
                          folder=tmp_path / "out")  # fmt: skip
    assert again.trials == outcome.trials
    assert (again.fixes, again.chosen) == (outcome.fixes, outcome.chosen)


class Trainings(Watcher):
    """Counts what is begun."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def started(self, trial: str, steps: int) -> None:
        self.begun.append(trial)


def test_what_the_users_trainer_never_reads_is_not_tried(planted: ModuleType) -> None:
    def train(student: nn.Module, teacher: nn.Module, data: Any, recipe: Recipe) -> nn.Module:
        assert recipe.lr is not None
        with torch.no_grad():
            next(student.parameters()).mul_(1.0 + recipe.lr)
        return student

    case = planted.healthy(student=planted.bayes(0.5), recipe=RECIPE, trainer=train,
                           student_factory=lambda: planted.bayes(0.5))  # fmt: skip
    counted = Trainings()
    outcome = gapdoctor.fix(case, told(case, Mirror()), only=["add_weight_decay", "add_dropout"],
                            seeds=1, watcher=counted)  # fmt: skip
    assert counted.begun == ["control-scratch-0"]
    assert status(outcome)["add_weight_decay"] == "not_applicable"
    (record,) = [f for f in outcome.fixes if f.id == "add_weight_decay"]
    assert record.reason == "recipe.trainer never reads weight_decay"


# -- how it is asked -----------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["ray", "ray:auto", "cloud"])
def test_another_engine_is_refused(planted: ModuleType, engine: str) -> None:
    case = planted.healthy()
    with pytest.raises(gapdoctor.GapDoctorError, match=engine):
        gapdoctor.fix(case, told(case, Mirror()), engine=engine)


@pytest.mark.parametrize(
    "asked", [{"budget": "soon"}, {"budget": -1}, {"seeds": 0}, {"only": ["sleep"]}]
)
def test_odd_wishes_are_told(planted: ModuleType, asked: dict[str, Any]) -> None:
    case = planted.healthy()
    with pytest.raises(gapdoctor.GapDoctorError):
        gapdoctor.plan(case, told(case, Mirror()), **asked)


def test_a_plan_trains_nothing_and_is_the_same_twice(unfinished: Case) -> None:
    found = told(unfinished, Mirror())
    before = weights(unfinished.student)
    plan = gapdoctor.plan(unfinished, found, only=["train_longer"], budget="1h")
    assert np.isfinite(plan.expected_seconds)
    assert plan.hash == gapdoctor.plan(unfinished, found, only=["train_longer"], budget=3600).hash
    assert all(torch.equal(v, before[k]) for k, v in unfinished.student.state_dict().items())
