"""An assistant in the teacher's place: what it says is what the student is held to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor.domain.recipe import Recipe, TaughtBy
from gapdoctor.domain.trials import CONTROL, TrialSpec
from gapdoctor.errors import GapDoctorError
from gapdoctor.observe.case import Preprocess, TeacherLogits
from gapdoctor.training.materials import Materials
from gapdoctor.training.noted import has_effect
from gapdoctor.training.students import read_trained
from gapdoctor.training.trial import run_trial

Pair = Callable[..., Any]
SpecOf = Callable[..., TrialSpec]
Linear = Callable[..., nn.Linear]
BY_ASSISTANT = {"taught_by": TaughtBy.ASSISTANT, "task_weight": 0.0}


def student_of(case: Any, wanted: TrialSpec, folder: Path) -> nn.Module:
    found = run_trial(wanted, case, folder)
    assert found.status == "done"
    return read_trained(wanted, case, folder / "student.pt")


def apart(one: nn.Module, other: nn.Module, inputs: torch.Tensor) -> float:
    """Mean KL between what two models say, nats."""
    with torch.no_grad():
        said, wanted = (model.eval()(inputs).log_softmax(1) for model in (one, other))
    return float(nn.functional.kl_div(said, wanted, reduction="batchmean", log_target=True))


@pytest.mark.parametrize("augment", [(), ("noise", "mixup")])
def test_the_student_matches_the_assistant(
    pair: Pair, spec: SpecOf, linear: Linear, tmp_path: Path, augment: tuple[str, ...]
) -> None:
    """Its own kind of model, so that what it is held to can be reached."""
    build = lambda: linear(0.0)  # noqa: E731
    assistant = linear(seed=5)
    case = pair(student=build(), student_factory=build, assistant=assistant)
    before = {k: v.clone() for k, v in assistant.state_dict().items()}
    long = {"epochs": 60, "lr": 0.05, "augment": augment}
    student = student_of(case, spec(**long, **BY_ASSISTANT), tmp_path / "a")
    inputs = case.heldout[0]
    assert apart(student, assistant, inputs) < 0.01
    assert apart(student, case.teacher, inputs) > 0.5
    other = student_of(case, spec(**long, task_weight=0.0), tmp_path / "t")
    assert apart(other, case.teacher, inputs) < 0.1
    assert all(torch.equal(v, before[k]) for k, v in assistant.state_dict().items())


def test_what_is_distilled_is_what_the_assistant_says(
    pair: Pair, spec: SpecOf, linear: Linear, tmp_path: Path
) -> None:
    """An assistant with the teacher's weights makes the very same student."""
    case = pair(assistant=linear())
    twin = replace(case, teacher=case.assistant)
    student_of(case, spec(**BY_ASSISTANT), tmp_path / "a")
    student_of(twin, spec(task_weight=0.0), tmp_path / "t")
    one, other = (torch.load(tmp_path / name / "student.pt") for name in "at")
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_it_eats_what_the_student_eats(pair: Pair, linear: Linear) -> None:
    """Also where the teacher has a pipeline of its own, and in augmented views."""
    own = Preprocess(train=lambda x: x, inference=lambda x: x, teacher=lambda x: 100 * x)
    case = pair(assistant=linear(), preprocess=own)
    materials = Materials(case)
    taught = materials.outputs_for(Recipe(**BY_ASSISTANT))  # type: ignore[arg-type]
    assert taught is not None
    batch = taught.rows.batch(np.arange(5))
    with taught.lent(), torch.no_grad():
        said = taught.of_rows(batch, 5)
        assert torch.equal(said, case.assistant(case.train[0][:5]))
    assert batch.teacher_inputs is None
    theirs = materials.teacher.rows.batch(np.arange(5)).teacher_inputs
    assert theirs is not None
    assert torch.allclose(theirs, 100 * case.train[0][:5])


def test_it_teaches_new_views_where_the_teacher_cannot(
    pair: Pair, spec: SpecOf, linear: Linear, tmp_path: Path
) -> None:
    stored = TeacherLogits(np.zeros((60, 3)), np.zeros((60, 3)))
    case = pair(assistant=linear(), teacher=stored)
    student_of(case, spec(augment=("noise",), **BY_ASSISTANT), tmp_path / "a")
    with pytest.raises(GapDoctorError, match="know nothing of augmented rows"):
        run_trial(spec(augment=("noise",)), case, tmp_path / "t")


def test_without_a_teacher_there_is_no_assistant_either(pair: Pair, spec: SpecOf) -> None:
    materials = Materials(pair())
    assert materials.outputs_for(Recipe(taught_by=TaughtBy.ASSISTANT, task_weight=1.0)) is None
    assert materials.outputs_for(Recipe(task_weight=0.5)) is materials.teacher


@pytest.mark.parametrize(
    ("assistant", "message"),
    [(None, r"recipe\.taught_by: there is no assistant"), ("b.pth", "assistant: str is not an nn")],
)
def test_an_assistant_that_is_not_there_is_one_line(
    pair: Pair, spec: SpecOf, tmp_path: Path, assistant: Any, message: str
) -> None:
    with pytest.raises(GapDoctorError, match=message) as told:
        run_trial(spec(**BY_ASSISTANT), pair(assistant=assistant), tmp_path)
    assert "[assistant]" in told.value.hint


def test_an_assistant_of_other_classes_is_one_line(
    pair: Pair, spec: SpecOf, linear: Linear, tmp_path: Path
) -> None:
    with pytest.raises(GapDoctorError, match="classes"):
        run_trial(spec(**BY_ASSISTANT), pair(assistant=linear(classes=5)), tmp_path)


def test_a_trainer_of_the_users_gets_it_as_its_teacher(
    pair: Pair, spec: SpecOf, linear: Linear, tmp_path: Path
) -> None:
    given: list[nn.Module] = []

    def train(student: nn.Module, teacher: nn.Module, rows: Any, recipe: Recipe) -> nn.Module:
        given.append(teacher)
        return student

    case = pair(assistant=linear(), trainer=train)
    run_trial(spec(**BY_ASSISTANT), case, tmp_path / "a")
    run_trial(spec(), case, tmp_path / "t")
    assert given == [case.assistant, case.teacher]


def test_it_has_an_effect_whatever_the_trainer_reads(spec: SpecOf) -> None:
    control = spec(CONTROL)
    taught = spec("distill_from_assistant", taught_by=TaughtBy.ASSISTANT)
    assert has_effect(taught, control, ())
    assert not has_effect(spec("average_weights", average="ema"), control, ("lr",))
    assert has_effect(spec("average_weights", average="ema"), control, ("average",))
