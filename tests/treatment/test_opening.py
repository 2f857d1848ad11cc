"""How a treatment begins: what the first control costs, and whether it is the cure itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import gapdoctor
from gapdoctor import Case, Preprocess, Recipe, diagnose
from gapdoctor.domain.recipe import Optimizer, Schedule
from gapdoctor.domain.trials import CONTROL
from gapdoctor.engines._base import Conditions, Watcher
from gapdoctor.engines.inline import Inline
from gapdoctor.fixes._costs import Pace
from gapdoctor.fixes._planning import make_plan
from gapdoctor.probes.mirror import Mirror
from gapdoctor.treatment._free import try_free
from gapdoctor.treatment._opening import Opening
from gapdoctor.treatment._pace import measure_pace
from gapdoctor.treatment._trials import Trials
from gapdoctor.treatment.prepare import Asked, prepare

RECIPE = Recipe(
    epochs=4, batch_size=32, optimizer=Optimizer.SGD, lr=0.1, weight_decay=0.0,
    schedule=Schedule.CONSTANT, task_weight=1.0, augment=(), dropout=0.0, early_stopping=0,
    temperature=1.0,
)  # fmt: skip
FIXES = ("add_weight_decay", "lower_learning_rate", "train_longer", "add_dropout")


def badly_trained(planted: ModuleType, **more: Any) -> Case:
    """The recipe makes a sound student; this one came out of other code."""
    torch.manual_seed(3)
    return planted.healthy(
        student=nn.Linear(4, 3), student_factory=lambda: nn.Linear(4, 3), recipe=RECIPE, **more
    )


def opened(case: Case, folder: Path, budget: float, pace: Pace | None = None) -> Any:
    """Begin a treatment that was planned at some pace."""
    found = diagnose(case, probes=[Mirror()], progress=False)
    made = prepare(case, found, Asked(budget=budget, only=FIXES, device="cpu"), None)
    options = replace(made.options, pace=pace or made.options.pace)
    plan = make_plan(made.patient, options)
    free = try_free(case, made.patient, plan.fixes, made.asked.settings,
                    with_temperature=True, rng=np.random.default_rng(0))  # fmt: skip
    trials = Trials(Inline(case), Conditions(folder, made.asked.settings), Watcher(),
                    free.given.rows, scaled=True)  # fmt: skip
    opening = Opening(made.patient, options, trials, free.arm, made.limit)
    return plan, opening.of(plan), opening


def planned(plan: Any) -> set[str]:
    return {f.id for f in plan.fixes if f.status == "planned"}


# -- what it costs -------------------------------------------------------------------------------


def as_if_it_took(folder: Path, seconds: float) -> None:
    """Have the first control's own record say so."""
    done = folder / "control-scratch-0" / "done.json"
    done.write_text(json.dumps({**json.loads(done.read_text()), "seconds": seconds}))


def test_a_plan_is_made_again_by_what_the_first_control_took(
    planted: ModuleType, tmp_path: Path
) -> None:
    case = badly_trained(planted)
    opened(case, tmp_path, 1e9)
    as_if_it_took(tmp_path, 10.0)
    hopeful, really, opening = opened(case, tmp_path, 150.0, Pace(step=1e-6))
    assert planned(hopeful) == {*FIXES}
    assert planned(really) == {*FIXES} - {"train_longer"}, "the dearest is not paid for"
    assert really.budget == 150.0
    steps = 4 * opening.patient.steps
    assert opening.options.pace.step == pytest.approx(10.0 / steps)


def test_a_plan_that_was_right_about_it_stands(planted: ModuleType, tmp_path: Path) -> None:
    case = badly_trained(planted)
    opened(case, tmp_path, 1e9)
    as_if_it_took(tmp_path, 10.0)
    plan, same, _ = opened(case, tmp_path, 150.0, Pace(step=10.5 / 76))
    assert same == plan


def test_the_pace_is_that_of_steps_and_of_scoring(planted: ModuleType) -> None:
    wide = [nn.Linear(4, 2000), nn.ReLU(), nn.Linear(2000, 2000), nn.ReLU(), nn.Linear(2000, 3)]
    case = badly_trained(planted, larger_factory=lambda: nn.Sequential(*wide))
    before = {k: v.clone() for k, v in case.student.state_dict().items()}
    plain = measure_pace(case, RECIPE, Asked(device="cpu").settings, 19)
    assert min(plain.step, plain.view, plain.trial) > 0
    assert plain.larger == 1.0
    assert measure_pace(case, RECIPE, Asked(device="cpu").settings, 19, larger=True).larger > 1.5
    assert all(torch.equal(v, before[k]) for k, v in case.student.state_dict().items())


# -- the control as the cure ---------------------------------------------------------------------


def test_a_control_far_ahead_of_the_given_student_is_the_declared_recipe_retrained(
    planted: ModuleType,
) -> None:
    case = badly_trained(planted)
    found = diagnose(case, probes=[Mirror()], progress=False)
    outcome = gapdoctor.fix(case, found, only=["add_weight_decay"])
    assert outcome.chosen == "retrain_as_declared"
    (record,) = [f for f in outcome.fixes if f.id == outcome.chosen]
    assert (record.status, record.seeds, record.changes) == ("verified", 3, ())
    assert record.difference.high < -found.gap.limit
    assert record.difference.value == pytest.approx(
        outcome.controls[0].heldout_loss.value - outcome.given.heldout_loss.value, abs=1e-6
    )
    assert any("something else ran than is declared" in note for note in outcome.notes)
    assert CONTROL not in {f.id for f in outcome.fixes}


def test_a_student_that_its_recipe_makes_is_no_such_case(planted: ModuleType) -> None:
    case = planted.healthy(student_factory=lambda: nn.Linear(4, 3), recipe=RECIPE)
    found = diagnose(case, probes=[Mirror()], progress=False)
    outcome = gapdoctor.fix(case, found, only=["add_weight_decay"])
    assert outcome.chosen is None
    (record,) = [f for f in outcome.fixes if f.id == "retrain_as_declared"]
    assert record.status == "not_applicable"


# -- a pipeline as deployed ----------------------------------------------------------------------


def test_a_mismatch_that_a_temperature_hides_is_mended_all_the_same(planted: ModuleType) -> None:
    """Inputs of a third of their size make a linear student without biases unsure, no more."""
    weights = planted.bayes().weight.detach().numpy()
    student = planted.linear(weights, np.zeros(3))
    train, held = (planted.raw(planted.rows(seed, 800)) for seed in (1, 2))

    def third(sample: torch.Tensor) -> torch.Tensor:
        return planted.undo(sample) / 3

    case = Case(student=student, teacher=planted.bayes(), train=train, heldout=held,
                preprocess=Preprocess(planted.undo, third))  # fmt: skip
    found = diagnose(case, probes=[Mirror()], progress=False)
    outcome = gapdoctor.fix(case, found, only=["match_preprocessing"])
    (record,) = [f for f in outcome.fixes if f.id == "match_preprocessing"]
    assert record.verified
    assert "as deployed" in record.reason
    assert record.difference.high < 0
    assert outcome.chosen == "match_preprocessing"
