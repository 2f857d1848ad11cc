"""A patient from a real pair and its diagnosis."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor import Case, Preprocess, Recipe, TeacherLogits
from gapdoctor.corrections._base import Kind
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.recipe import TaughtBy
from gapdoctor.errors import GapDoctorError, UserCodeError
from gapdoctor.fixes._base import Patient, patient_of, varied
from gapdoctor.fixes._planning import make_plan
from gapdoctor.training.views import views_of


def examined(planted: ModuleType, case: Case) -> Patient:
    return patient_of(case, planted.asked(case))


def test_a_pair_of_which_nothing_is_known(planted: ModuleType) -> None:
    found = examined(planted, planted.healthy(200))
    assert (found.shape, found.kind, found.floating) == ((4,), Kind.COLUMNS, True)
    assert (found.train_rows, found.own_trainer) == (200, False)
    assert (found.student_parameters, found.teacher_parameters) == (15, 15)
    assert (found.has_factory, found.larger) == (False, None)
    assert (found.has_pipelines, found.shares_view, found.has_head) == (False, True, True)
    assert (found.has_batchnorm, found.dropouts) == (False, ())
    assert found.recipe == found.declared
    assert found.epochs == 100
    assert {"epochs", "lr", "augment", "early_stopping", "task_weight"} <= set(found.assumed)
    assert found.recipe.augment == ()


def test_the_recipe_that_is_given_is_not_assumed(planted: ModuleType) -> None:
    recipe = Recipe(epochs=12, lr=0.02, augment=("noise",))
    found = examined(planted, planted.healthy(200, recipe=recipe))
    assert (found.epochs, found.recipe.lr) == (12, 0.02)
    assert not {"epochs", "lr", "augment"} & set(found.assumed)


def test_epochs_are_read_off_the_curves(planted: ModuleType) -> None:
    case = planted.healthy(200, history=planted.curves(lambda e: 0.3 + 0.7**e, 25))
    found = examined(planted, case)
    assert found.epochs == 25
    assert "epochs" not in found.assumed


def test_pipelines_factories_and_an_augmentation_of_ones_own(planted: ModuleType) -> None:
    case = planted.mismatched(
        200, student_factory=planted.bayes,
        larger_factory=lambda: nn.Sequential(nn.Linear(4, 21, bias=False), nn.Linear(21, 3)),
        augment=lambda x: x,
    )  # fmt: skip
    found = examined(planted, case)
    assert (found.has_factory, found.larger) == (True, 150)
    assert (found.has_pipelines, found.pipelines_differ) == (True, True)
    assert found.augmentation == ("own",)
    assert [e.probe for e in found.says(Cause.PREPROCESSING_MISMATCH, "mirror")][:1] == ["mirror"]


def test_what_the_student_is_made_of(planted: ModuleType) -> None:
    student = nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 3)
    ).eval()
    found = examined(planted, planted.healthy(200, student=student))
    assert (found.has_batchnorm, found.dropouts, found.has_head) == (True, (0.4,), True)
    headless = examined(planted, planted.overfitted(200))
    assert headless.has_head is False


def test_a_larger_student_that_cannot_be_built(planted: ModuleType) -> None:
    def broken() -> Any:
        raise UserCodeError("student.larger: no such argument")

    found = examined(planted, planted.healthy(200, larger_factory=broken))
    assert found.larger == "student.larger: no such argument"


@pytest.mark.parametrize(
    ("inputs", "outputs", "why"), [(8, 3, "4"), (4, 6, "it gives 6 logits, not 3")]
)
def test_a_larger_student_for_other_inputs_or_classes(
    planted: ModuleType, inputs: int, outputs: int, why: str
) -> None:
    case = planted.healthy(200, larger_factory=lambda: nn.Linear(inputs, outputs))
    found = examined(planted, case)
    assert not isinstance(found.larger, int)
    assert why in str(found.larger)


def test_a_teacher_that_is_a_file_of_logits_and_one_with_a_pipeline(planted: ModuleType) -> None:
    rows = [planted.rows(seed, 200)[0] for seed in (1, 2)]
    stored = TeacherLogits(*(planted.bayes()(x).detach().numpy().astype(float) for x in rows))
    found = examined(planted, planted.healthy(200, teacher=stored))
    assert found.teacher_parameters is None
    own = planted.mismatched(
        200, preprocess=Preprocess(planted.undo, planted.undo, teacher=lambda x: planted.undo(x))
    )
    assert examined(planted, own).shares_view is False


def test_looking_leaves_the_pair_as_it_was(planted: ModuleType) -> None:
    case = planted.healthy(200)
    diagnosis = planted.asked(case)
    case.student.train()
    state = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    patient_of(case, diagnosis)
    assert case.student.training
    assert torch.equal(torch.get_rng_state(), state[0])
    assert np.random.get_state()[1].tolist() == state[1]  # noqa: NPY002
    assert not case.student._forward_hooks


@pytest.mark.parametrize(
    ("planting", "fix", "kind"),
    [("mismatched", "match_preprocessing", True), ("overfitted", "add_weight_decay", False)],
)
def test_from_a_pair_to_its_plan(planting: str, fix: str, kind: bool, planted: ModuleType) -> None:
    case = getattr(planted, planting)(
        400, student_factory=planted.bayes, recipe=Recipe(epochs=10, lr=0.01, batch_size=40)
    )
    plan = make_plan(examined(planted, case))
    first = next(f for f in plan.fixes if f.free is kind)
    planned = {f.id: f.status for f in plan.fixes}
    assert planned[fix] == "planned"
    assert first.status == "planned"
    assert bool(plan.trials) is not kind
    assert make_plan(examined(planted, planted.healthy(400))).trials == ()


def test_an_augmentation_of_ones_own_that_no_name_stands_for_is_all_there_is(
    planted: ModuleType,
) -> None:
    """What a fix adds has to come to it: a list of names alone would change nothing."""
    recipe = Recipe(epochs=12, augment=("crop",))
    case = planted.healthy(200, recipe=recipe, augment=lambda x: x)
    found = examined(planted, case)
    assert found.augmentation == ("own",)
    views = views_of(case, varied(found.recipe, augment=("own", "mixup")))
    assert not isinstance(views, str)
    assert views.mixup > 0


def test_an_assistant_has_to_be_there_where_the_recipe_learns_from_it(planted: ModuleType) -> None:
    by_assistant = Recipe(epochs=12, taught_by=TaughtBy.ASSISTANT, task_weight=0.9)
    case = planted.healthy(200, recipe=by_assistant)
    with pytest.raises(GapDoctorError, match="there is no assistant") as error:
        examined(planted, case)
    assert 'taught_by = "teacher"' in error.value.hint
    found = examined(planted, replace(case, assistant=planted.bayes()))
    assert found.assistant_parameters == 15
    assert found.departures == ()
    with pytest.raises(GapDoctorError, match=r"assistant: str is not an nn\.Module"):
        examined(planted, planted.healthy(200, assistant="big.pth"))
    assert examined(planted, planted.healthy(200)).assistant_parameters is None
