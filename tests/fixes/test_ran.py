"""What ran by the evidence of a diagnosis, where another recipe is declared."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.domain.findings import Table
from gapdoctor.domain.recipe import Distillation, Optimizer, Recipe, Schedule
from gapdoctor.fixes._lengths import end_of_rate, of_length
from gapdoctor.fixes._ran import epochs_logged, keeps_best, what_ran
from gapdoctor.training.defaults import completed
from tests.fixes.conftest import Causes, Facts

Diagnoses = Callable[..., Diagnosis]

DECLARED = completed(
    Recipe(
        epochs=20, batch_size=50, optimizer=Optimizer.SGD, lr=0.1, weight_decay=1e-3,
        schedule=Schedule.COSINE, task_weight=0.3, temperature=8.0, early_stopping=0,
    )
).recipe  # fmt: skip


@pytest.fixture
def in_force(diagnosis: Diagnoses, cause: Causes, fact: Facts) -> Callable[..., Diagnosis]:
    """A diagnosis whose gradients tell another loss (10 classes)."""

    def make(value: float, unit: str = "odds ratio", confidence: float = 0.9) -> Diagnosis:
        said = fact("effective_weight", value=value, unit=unit)
        return diagnosis(cause(Cause.LOSS_IMBALANCE, said, confidence=confidence))

    return make


def test_what_is_declared_ran_where_nothing_says_otherwise(
    diagnosis: Diagnoses, in_force: Callable[..., Diagnosis]
) -> None:
    for told in (diagnosis(), in_force(64.0, confidence=0.3), in_force(1.0, "times")):
        ran = what_ran(DECLARED, told)
        assert (ran.recipe, ran.epochs, ran.departures) == (DECLARED, 20, ())


@pytest.mark.parametrize("ratio", [64.0, 50.0, 100.0])
def test_a_ratio_of_t2_is_a_missing_t2(ratio: float, in_force: Callable[..., Diagnosis]) -> None:
    ran = what_ran(DECLARED, in_force(ratio))
    assert ran.recipe == replace(DECLARED, scale_by_t2=False)
    assert "T² was missing" in ran.departures[0]


def test_a_mean_over_classes_trains_as_a_recipe_of_another_weight_does(
    in_force: Callable[..., Diagnosis],
) -> None:
    """0.3·CE + 0.7·KD/10 = s·(w·CE + (1 − w)·KD): the rate takes up s, the decay gives way."""
    ran = what_ran(DECLARED, in_force(10.0)).recipe
    scale = 0.3 + 0.7 / 10
    assert ran.task_weight == pytest.approx(0.3 / scale, rel=1e-5)
    assert ran.lr == pytest.approx(0.1 * scale, rel=1e-5)
    assert ran.weight_decay == pytest.approx(1e-3 / scale, rel=1e-5)
    adam = replace(DECLARED, optimizer=Optimizer.ADAMW)
    ran = what_ran(adam, in_force(10.0)).recipe
    assert (ran.lr, ran.weight_decay) == (0.1, 1e-3)


@pytest.mark.parametrize("named", [Distillation.DECOUPLED, Distillation.STANDARDIZED])
def test_a_weight_solved_for_under_plain_kl_says_nothing_of_another_loss(
    named: Distillation, in_force: Callable[..., Diagnosis]
) -> None:
    other = completed(replace(DECLARED, distillation=named)).recipe
    for told in (in_force(64.0), in_force(0.6, "task weight")):
        assert what_ran(other, told).recipe == other
        assert what_ran(other, told).departures == ()
    assert what_ran(replace(DECLARED, distillation=None), in_force(64.0)).departures


def test_both_bugs_at_once(in_force: Callable[..., Diagnosis]) -> None:
    ran = what_ran(DECLARED, in_force(640.0))
    assert ran.recipe.scale_by_t2 is False
    assert ran.recipe.task_weight == pytest.approx(3.0 / 3.7, rel=1e-5)
    assert len(ran.departures) == 2


def test_an_unknown_ratio_is_a_weight(in_force: Callable[..., Diagnosis]) -> None:
    assert what_ran(DECLARED, in_force(1e6)).recipe.task_weight == pytest.approx(1.0, abs=1e-5)
    assert what_ran(DECLARED, in_force(math.inf)).recipe.task_weight == 1.0
    assert what_ran(DECLARED, in_force(0.0)).recipe.task_weight == 0.0
    without = replace(DECLARED, scale_by_t2=False, temperature=2.0)
    found = what_ran(without, in_force(30.0)).recipe
    assert found.scale_by_t2 is True
    odds = 30.0 * 4.0 * 0.3 / 0.7
    assert found.task_weight == pytest.approx(odds / (1 + odds), rel=1e-5)


def test_a_weight_in_force_is_taken_where_one_loss_alone_is_declared(
    in_force: Callable[..., Diagnosis],
) -> None:
    alone = replace(DECLARED, task_weight=0.0)
    ran = what_ran(alone, in_force(0.6, "task weight"))
    assert ran.recipe == replace(alone, task_weight=0.6)


@pytest.mark.parametrize(("epochs", "first", "ran"), [(20, 1, 20), (18, 0, 20), (7, 1, 7)])
def test_a_training_that_was_cut_off(
    epochs: int, first: int, ran: int, diagnosis: Diagnoses, log: Callable[..., Table]
) -> None:
    found = what_ran(DECLARED, diagnosis(history=log(epochs, first=first)))
    assert found.epochs == ran
    assert bool(found.departures) is (ran < 20)
    assert found.recipe.epochs == 20  # its schedule spans what was planned
    stopped = replace(DECLARED, early_stopping=3)
    assert what_ran(stopped, diagnosis(history=log(epochs, first=first))).epochs == 20


def test_epochs_are_counted_from_0_or_1(diagnosis: Diagnoses, log: Callable[..., Table]) -> None:
    assert epochs_logged(diagnosis()) is None
    assert epochs_logged(diagnosis(history=log(12))) == 12
    assert epochs_logged(diagnosis(history=log(12, first=0))) == 12
    sparse = Table(("epoch", "heldout_loss"), ((5, 1.0), (10, 0.9), (15, 0.8)))
    assert epochs_logged(diagnosis(history=sparse)) == 15


def test_a_best_epoch_that_was_kept_is_kept_again(diagnosis: Diagnoses) -> None:
    chosen = diagnosis(warnings=("heldout_chose_the_checkpoint",))
    assert keeps_best(DECLARED, chosen).early_stopping == 20
    assert keeps_best(replace(DECLARED, early_stopping=4), chosen).early_stopping == 4
    assert keeps_best(DECLARED, diagnosis()) == DECLARED


def test_a_schedule_of_another_length_keeps_its_shape() -> None:
    step = completed(
        Recipe(epochs=20, schedule=Schedule.STEP, milestones=(2, 3, 10, 15), warmup_epochs=2)
    ).recipe
    short = of_length(step, 10)
    assert (short.epochs, short.milestones, short.warmup_epochs) == (10, (1, 2, 5, 8), 1)
    assert end_of_rate(step, 20) == end_of_rate(short, 10)
    plateau = completed(Recipe(epochs=20, schedule=Schedule.PLATEAU, patience=10)).recipe
    assert of_length(plateau, 10).patience == 5
    assert end_of_rate(plateau, 20) is None
    assert of_length(step, 20) == step
