"""Fixes that learn from the teacher's layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor import Recipe, TeacherLogits
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Evidence
from gapdoctor.domain.recipe import FeatureLoss
from gapdoctor.domain.trials import Change
from gapdoctor.errors import ConfigError, GapDoctorError
from gapdoctor.fixes._base import Patient, changes_of, patient_of
from gapdoctor.fixes._costs import Pace
from gapdoctor.fixes._lengths import of_length
from gapdoctor.fixes._planning import make_plan
from tests.fixes.conftest import Causes, Fixes, Patients, is_variant, why_not

PAIRS = (("1", "layer1"), ("4", "layer2"), ("6", "layer3"))
NAMES = pytest.mark.parametrize("name", ["distill_features", "distill_hints"])


# -- what is proposed --------------------------------------------------------------------------


def test_distill_features_adds_similarity_at_all_pairs(fixes: Fixes, patient: Patients) -> None:
    told = patient(layer_pairs=PAIRS)
    found = is_variant(fixes["distill_features"].propose(told))
    assert changes_of(told, found) == (
        Change("recipe.feature_loss", None, "similarity"),
        Change("recipe.feature_weight", None, found.recipe.feature_weight),
        Change("recipe.feature_layers", None, [list(pair) for pair in PAIRS]),
    )
    assert "`1` from the teacher's `layer1`, `4` from" in found.summary


def test_distill_hints_begins_with_the_middle_pair(fixes: Fixes, patient: Patients) -> None:
    told = patient(layer_pairs=PAIRS)
    found = is_variant(fixes["distill_hints"].propose(told))
    assert {c.key: c.after for c in changes_of(told, found)} == {
        "recipe.feature_loss": "mse",
        "recipe.feature_weight": found.recipe.feature_weight,
        "recipe.feature_layers": [["4", "layer2"]],
        "recipe.hint_epochs": 2,
    }
    assert found.summary.startswith("For the first 2 of 20 epochs")
    two = is_variant(fixes["distill_hints"].propose(patient(layer_pairs=PAIRS, epochs=2)))
    assert two.recipe.hint_epochs == 1
    short = patient(layer_pairs=PAIRS, epochs=1)
    assert "no room" in why_not(fixes["distill_hints"].propose(short))


def test_a_weight_that_is_given_is_kept(fixes: Fixes, patient: Patients) -> None:
    told = patient(layer_pairs=PAIRS, recipe={"feature_weight": 3.0})
    assert is_variant(fixes["distill_features"].propose(told)).recipe.feature_weight == 3.0


@NAMES
def test_why_it_is_not_proposed(fixes: Fixes, patient: Patients, name: str) -> None:
    told = patient(layer_pairs="the teacher is a file of logits, which has no layers")
    assert why_not(fixes[name].propose(told)) == told.layer_pairs
    already = patient(layer_pairs=PAIRS, recipe={"feature_loss": FeatureLoss.MSE})
    assert "already (mse)" in why_not(fixes[name].propose(already))
    assert "are paired" in why_not(fixes[name].propose(patient(layer_pairs=())))


def test_hints_do_not_mend_stale_statistics(
    fixes: Fixes, patient: Patients, cause: Causes, fact: Callable[..., Evidence]
) -> None:
    told = patient(cause(Cause.OPTIMIZATION, fact("batchnorm")), layer_pairs=PAIRS)
    assert "recalibrate_batchnorm" in why_not(fixes["distill_hints"].propose(told))


def test_they_stand_last_in_the_plan(sick: Callable[..., Patient]) -> None:
    plan = make_plan(sick(layer_pairs=PAIRS))
    trained = [fix.id for fix in plan.fixes if fix.status == "planned" and not fix.free]
    trained.remove("cross_validate")  # expects nothing back itself
    assert trained[-2:] == ["distill_features", "distill_hints"]


def test_the_teacher_is_asked_at_each_step(sick: Callable[..., Patient]) -> None:
    told = sick(layer_pairs=PAIRS)
    trials = {trial.fix: trial for trial in make_plan(told).trials if trial.seed == 0}
    pace = Pace(1.0, 0.5, 0.0)
    assert pace.of(told, trials["control"]) == 400.0
    assert pace.of(told, trials["distill_features"]) == 600.0


def test_a_shorter_training_has_fewer_hints_and_keeps_an_epoch_for_the_rest() -> None:
    recipe = Recipe(epochs=20, hint_epochs=4)
    assert of_length(recipe, 10).hint_epochs == 2
    assert of_length(recipe, 40).hint_epochs == 8
    assert of_length(recipe, 2).hint_epochs == 1
    assert of_length(recipe, 1).hint_epochs == 0
    assert of_length(replace(recipe, hint_epochs=None), 10).hint_epochs is None


# -- what a patient knows ----------------------------------------------------------------------


def deep(*widths: int) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for one, other in zip((4, *widths), widths, strict=False):
        layers += [nn.Linear(one, other), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 3))


def test_layers_are_paired_on_the_pair_itself(planted: ModuleType) -> None:
    case = planted.healthy(200, student=deep(8, 8), teacher=deep(16, 16, 16))
    found = patient_of(case, planted.asked(case))
    assert not isinstance(found.layer_pairs, str)
    assert [tuple(map(int, pair)) for pair in found.layer_pairs]
    assert found.recipe.feature_layers is None
    assert "feature_layers" not in found.assumed


def test_why_a_pair_has_no_layers(planted: ModuleType) -> None:
    case = planted.healthy(200)  # two linear models
    found = patient_of(case, planted.asked(case))
    assert "the student has no layer between inputs and logits" in str(found.layer_pairs)
    logits = TeacherLogits(*(np.eye(3)[np.arange(200) % 3] * 5 for _ in range(2)))
    stored = planted.healthy(200, student=deep(8), teacher=logits)
    found = patient_of(stored, planted.asked(stored))
    assert found.layer_pairs == "the teacher is a file of logits, which has no layers"


def test_layers_that_are_named_are_taken_and_checked(planted: ModuleType) -> None:
    def case(*pairs: tuple[str, str], **more: object) -> object:
        recipe = Recipe(feature_layers=pairs or None, **more)  # type: ignore[arg-type]
        return planted.healthy(200, student=deep(8, 8), teacher=deep(16, 16), recipe=recipe)

    told = case(("2", "0"))
    diagnosis = planted.asked(told)
    assert patient_of(told, diagnosis).layer_pairs == (("2", "0"),)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="the student has no layer '9'"):
        patient_of(case(("9", "0")), diagnosis)  # type: ignore[arg-type]


def test_a_recipe_that_learns_features_of_unnamed_layers(planted: ModuleType) -> None:
    recipe = Recipe(feature_loss=FeatureLoss.SIMILARITY)
    case = planted.healthy(200, student=deep(8, 8), teacher=deep(16, 16), recipe=recipe)
    found = patient_of(case, planted.asked(case))
    assert found.recipe.feature_layers == found.layer_pairs
    assert {"feature_layers", "feature_weight"} <= set(found.assumed)
    flat = planted.healthy(200, recipe=recipe)
    with pytest.raises(GapDoctorError, match=r"recipe\.feature_loss: the student has no layer"):
        patient_of(flat, planted.asked(flat))
