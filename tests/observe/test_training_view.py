"""The pair under training conditions: batch statistics, one augmented view, undivided logits."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor import Case, Preprocess, Recipe, TeacherLogits
from gapdoctor.domain.recipe import Distillation, TaughtBy
from gapdoctor.observe.borrow import own_random_state
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.needs import Need
from gapdoctor.observe.observations import Observations, Settings
from gapdoctor.observe.progress import Progress
from gapdoctor.observe.training_view import TrainingView, on_batch_statistics, training_view
from gapdoctor.pipeline import look

PLAIN = Recipe(augment=())


def looked(case: Case, **more: Any) -> Observations:
    return look(case, Settings(**{"batch_size": 64, **more}), Progress())


def view_of(seen: Observations, **more: Any) -> TrainingView:
    found = training_view(seen, **more)
    assert isinstance(found, TrainingView)
    return found


def normed(**kept: Any) -> nn.Sequential:
    """BatchNorm that has seen nothing: its running statistics are of no use."""
    with own_random_state(0):
        return nn.Sequential(nn.BatchNorm1d(4, **kept), nn.Linear(4, 3)).eval()


def batches(inputs: torch.Tensor, size: int) -> list[torch.Tensor]:
    return list(torch.tensor_split(inputs, -(-len(inputs) // size)))


def test_where_training_was_like_the_passes_made_no_row_is_sent_again(planted: ModuleType) -> None:
    seen = looked(planted.healthy(200, recipe=PLAIN))
    before = seen.scorer.samples()
    view = view_of(seen)
    assert seen.scorer.samples() == before
    assert not view.augmented
    for model, logits in ((Model.STUDENT, view.student), (Model.TEACHER, view.teacher)):
        assert np.array_equal(logits, seen.outputs(model, Split.TRAIN).logits)
    assert np.array_equal(view.labels, seen.rows(Split.TRAIN).labels)
    everywhere = np.arange(200)
    assert np.array_equal(view.features, seen.inputs(Split.TRAIN, everywhere, "train").numpy())


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_logits_are_what_the_head_gives_of_the_features(
    planted: ModuleType, temperature: float
) -> None:
    """A temperature that is divided by at the end was not there in training."""
    view = view_of(looked(planted.healthy(200, recipe=PLAIN, output_temperature=temperature)))
    student = planted.bayes(1.05)
    assert np.allclose(view.head[:, :-1], student.weight.detach().numpy())
    assert np.allclose(view.head[:, -1], student.bias.detach().numpy())
    logits = view.features @ view.head[:, :-1].T + view.head[:, -1]
    assert np.allclose(logits, view.student, atol=1e-4)


def test_a_temperature_in_the_head_is_taken_out_of_it_again(planted: ModuleType) -> None:
    """2 divides floats exactly."""
    plain = view_of(looked(planted.healthy(200, student=planted.bayes(), recipe=PLAIN)))
    halved = {"student": planted.bayes(0.5), "recipe": PLAIN}
    told = view_of(looked(planted.healthy(200, folded_temperature=2.0, **halved)))
    assert np.array_equal(told.student, plain.student)
    assert np.array_equal(told.head, plain.head)
    untold = view_of(looked(planted.healthy(200, **halved)))
    assert np.array_equal(untold.head, plain.head / 2)  # nobody said so: as it is
    both = view_of(looked(planted.healthy(200, folded_temperature=2.0, output_temperature=4.0,
                                          **halved)))  # fmt: skip
    assert np.array_equal(both.student, plain.student)


def test_nothing_folded_in_leaves_every_number_as_it_is(planted: ModuleType) -> None:
    """To the last bit: what was published of other pairs stays true."""
    seen = looked(planted.healthy(200, recipe=PLAIN))
    view = view_of(seen)
    head = seen.scorer.head(Model.STUDENT)
    assert head is not None
    stored = torch.cat([head.weight, head.bias[:, None]], dim=1).detach().double().numpy()
    assert view.head.tobytes() == stored.tobytes()
    assert view.student.tobytes() == seen.outputs(Model.STUDENT, Split.TRAIN).logits.tobytes()


def test_a_head_without_bias_has_zeros_for_it(planted: ModuleType) -> None:
    view = view_of(looked(planted.healthy(100, student=nn.Linear(4, 3, bias=False), recipe=PLAIN)))
    assert view.head.shape == (3, 5)
    assert not view.head[:, -1].any()


def test_both_models_eat_one_augmented_view(planted: ModuleType) -> None:
    seen = looked(planted.healthy(600, student=planted.bayes(), recipe=Recipe(augment="noise")))
    view = view_of(seen)
    assert view.augmented
    assert np.array_equal(view.student, view.teacher)  # the same weights on the same rows
    own = seen.outputs(Model.STUDENT, Split.TRAIN).logits
    assert not np.isclose(view.student[:600], own).all(axis=1).any()
    assert np.corrcoef(view.student[:600].ravel(), own.ravel())[0, 1] > 0.99


def test_augmentation_makes_few_rows_many_views(planted: ModuleType) -> None:
    seen = looked(planted.healthy(600, recipe=Recipe(augment="noise")))
    view = view_of(seen)
    assert len(view.features) == len(view.student) == len(view.teacher) == 2_400
    assert np.array_equal(view.labels, np.tile(seen.rows(Split.TRAIN).labels, 4))
    assert len(np.unique(view.features, axis=0)) == 2_400


def test_many_rows_are_not_all_taken(planted: ModuleType) -> None:
    seen = looked(planted.healthy(4_500, recipe=PLAIN))
    seen.extend(4_500)
    view = view_of(seen)
    arrays = (view.features, view.student, view.teacher, view.labels)
    assert {len(a) for a in arrays} == {4_000}


def test_the_user_s_own_augmentation_is_used(planted: ModuleType) -> None:
    seen = looked(planted.healthy(200, augment=lambda x: x + 1))
    inputs = seen.inputs(Split.TRAIN, np.arange(200), "train").numpy()
    assert np.array_equal(view_of(seen).features[:200], inputs + 1)


@pytest.mark.parametrize("size", [64, 16])
def test_batchnorm_uses_the_statistics_of_the_recipe_s_batches(
    planted: ModuleType, size: int
) -> None:
    student = normed()
    seen = looked(planted.healthy(192, student=student, recipe=Recipe(augment=(), batch_size=size)))
    view = view_of(seen)
    inputs = seen.inputs(Split.TRAIN, np.arange(192), "train")
    with torch.no_grad():
        fed = [normed()[0].train()(x) for x in batches(inputs, size)]
        expected = torch.cat([normed().train()(x) for x in batches(inputs, size)])
    assert np.allclose(view.features, torch.cat(fed).numpy(), atol=1e-5)
    assert np.allclose(view.student, expected.numpy(), atol=1e-5)
    assert view.features[:size].mean(axis=0) == pytest.approx(0, abs=1e-5)
    assert view.features[:size].std(axis=0) == pytest.approx(1, abs=1e-3)
    assert not np.allclose(view.student, seen.outputs(Model.STUDENT, Split.TRAIN).logits, atol=0.1)
    assert np.array_equal(view.teacher, seen.outputs(Model.TEACHER, Split.TRAIN).logits)


def test_batch_statistics_and_one_view_together(planted: ModuleType) -> None:
    seen = looked(
        planted.healthy(100, student=normed(), recipe=Recipe(augment="noise", batch_size=50))
    )
    view = view_of(seen)
    assert len(view.labels) == 2_000
    assert view.features[:50].mean(axis=0) == pytest.approx(0, abs=1e-5)


def test_the_student_is_given_back_as_it_was(planted: ModuleType) -> None:
    student = normed().train()
    student[0].eval()
    before = {name: value.clone() for name, value in student.state_dict().items()}
    case = planted.healthy(200, student=student, recipe=Recipe(augment="noise"))
    state = torch.get_rng_state()
    view_of(looked(case))
    assert [m.training for m in student.modules()] == [True, False, True]
    assert all(torch.equal(before[n], v) for n, v in student.state_dict().items())
    assert student[0].running_mean is not None
    assert torch.equal(torch.get_rng_state(), state)


def test_it_is_taken_once_and_the_same_for_a_seed(planted: ModuleType) -> None:
    def take() -> tuple[TrainingView, TrainingView]:
        seen = looked(planted.healthy(100, recipe=Recipe(augment="noise")))
        return view_of(seen), view_of(seen)

    (first, again), (other, _) = take(), take()
    assert first is again
    assert np.array_equal(first.features, other.features)


def test_batch_statistics_where_there_are_any() -> None:
    twin = on_batch_statistics(normed())
    assert twin is not None
    assert twin[0].running_mean is None  # type: ignore[index]
    assert on_batch_statistics(nn.Linear(4, 3)) is None
    assert on_batch_statistics(normed(track_running_stats=False)) is None


# -- where it cannot be taken ----------------------------------------------------------------


def broken(sample: torch.Tensor) -> torch.Tensor:
    raise ValueError("no such row")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, "the augmentation is not known"),
        ({"recipe": Recipe(augment="cutmix")}, "'cutmix' cannot be replayed"),
        ({"recipe": PLAIN, "teacher": TeacherLogits(np.eye(100, 3), np.eye(100, 3))},
         Need.TEACHER_MODEL.value),
        ({"recipe": PLAIN, "student": nn.Sequential(nn.Linear(4, 3), nn.Tanh())},
         Need.STUDENT_FEATURES.value),
        ({"recipe": replace(PLAIN, distillation=Distillation.DECOUPLED)}, "loss is decoupled"),
        ({"recipe": replace(PLAIN, taught_by=TaughtBy.ASSISTANT)}, "learned from the assistant"),
        ({"augment": broken}, "recipe.augment: ValueError on a sample of shape 4: no such row"),
    ],
)  # fmt: skip
def test_the_reason_is_told(planted: ModuleType, more: dict[str, Any], reason: str) -> None:
    found = training_view(looked(planted.healthy(100, **more)))
    assert isinstance(found, str)
    assert reason in found


def test_models_that_eat_differently_share_no_view(planted: ModuleType) -> None:
    given = Preprocess(planted.undo, planted.undo, teacher=planted.forgotten)
    for augment, told in (((), False), ("noise", True)):
        seen = looked(planted.mismatched(100, preprocess=given, recipe=Recipe(augment=augment)))
        found = training_view(seen)
        assert isinstance(found, str) == told
        assert not told or "no view that both could share" in str(found)


def test_one_row_has_no_batch_statistics(planted: ModuleType) -> None:
    case = planted.healthy(40, student=normed(), train=planted.rows(1, 1), recipe=PLAIN)
    assert "one train row" in str(training_view(looked(case)))


def test_an_unknown_augmentation_may_be_taken_for_none(planted: ModuleType) -> None:
    seen = looked(planted.healthy(100))
    assert isinstance(training_view(seen), str)
    assert not view_of(seen, assume_none=True).augmented
    assert isinstance(training_view(seen), str)  # who does not assume is still told
    named = looked(planted.healthy(100, recipe=Recipe(augment="mixup")))
    assert isinstance(training_view(named, assume_none=True), str)
