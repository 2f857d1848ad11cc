"""The stack: what believed interventions do to the rows of either model on either split."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from gapdoctor.domain.findings import Intervention
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.observations import Observations, Settings
from gapdoctor.observe.progress import Progress
from gapdoctor.observe.stack import Stack, View, own_pipeline
from gapdoctor.pipeline import look
from gapdoctor.stats.calibration import cross_entropy

S, T, TRAIN, HELDOUT = Model.STUDENT, Model.TEACHER, Split.TRAIN, Split.HELDOUT
EVERYWHERE = [(m, s) for m in Model for s in Split]


def stacked(*interventions: Intervention) -> Stack:
    stack = Stack()
    for intervention in interventions:
        stack.push(intervention)
    return stack


def correction(name: str, shared: bool = True) -> Intervention:
    return Intervention("correction", name, touches_teacher=shared)


def order(*classes: float, shared: bool) -> Intervention:
    return Intervention("class_order", "", (("order", classes),), shared)


def temperature(tau: float) -> Intervention:
    return Intervention("temperature", "", (("temperature", tau),))


def viewed(stack: Stack, model: Model, split: Split) -> View:
    return stack.view(model, split, own_pipeline(model, split), "train")


def test_an_empty_stack_changes_nothing() -> None:
    stack = Stack()
    for model, split in EVERYWHERE:
        assert viewed(stack, model, split) == View(own_pipeline(model, split))
        assert stack.class_order(model, split) is None
        assert stack.temperature(model) == 1.0
    assert stack.corrections() == []


def test_each_model_has_a_pipeline_of_its_own_on_either_split() -> None:
    found = [own_pipeline(*key) for key in EVERYWHERE]
    assert found == ["train", "inference", "teacher", "heldout_teacher"]


# -- class order -------------------------------------------------------------------------------


def test_an_order_of_the_student_alone_is_its_own_on_every_split() -> None:
    stack = stacked(order(1, 2, 0, shared=False))
    for split in Split:
        found = stack.class_order(S, split)
        assert found is not None
        assert found.dtype == np.int64
        assert found.tolist() == [1, 2, 0]
        assert stack.class_order(T, split) is None


def test_a_shared_order_is_one_of_the_heldout_labels() -> None:
    stack = stacked(order(1, 2, 0, shared=True))
    for model in Model:
        found = stack.class_order(model, HELDOUT)
        assert found is not None
        assert found.tolist() == [1, 2, 0]
        assert stack.class_order(model, TRAIN) is None


def test_the_latest_order_that_concerns_a_model_counts() -> None:
    stack = stacked(order(1, 0, 2, shared=True), order(2, 1, 0, shared=False), temperature(2))
    found = {key: stack.class_order(*key) for key in EVERYWHERE}
    told = {key: None if f is None else f.tolist() for key, f in found.items()}
    assert told == {
        (S, TRAIN): [2, 1, 0],
        (S, HELDOUT): [2, 1, 0],
        (T, TRAIN): None,
        (T, HELDOUT): [1, 0, 2],
    }


# -- temperature -------------------------------------------------------------------------------


def test_temperatures_multiply_and_are_the_students() -> None:
    stack = stacked(temperature(2.0), correction("flip"), temperature(1.5))
    assert stack.temperature(S) == pytest.approx(3.0)
    assert stack.temperature(T) == 1.0


# -- with_ -------------------------------------------------------------------------------------


def test_one_more_leaves_the_stack_alone() -> None:
    stack = stacked(correction("flip"))
    more = stack.with_(temperature(2.0))
    assert [i.kind for i in more.interventions] == ["correction", "temperature"]
    assert [i.kind for i in stack.interventions] == ["correction"]
    more.push(temperature(3.0))
    assert len(stack.interventions) == 1


def test_one_more_knows_the_transforms_that_are_offered_later() -> None:
    stack = stacked(correction("double"))
    more = stack.with_(correction("add"))
    stack.transforms |= {"double": lambda x: 2 * x, "add": lambda x: x + 1}
    (found,) = more.apply([torch.tensor([3.0])], viewed(more, S, HELDOUT))
    assert found.tolist() == [7.0]  # in the order of their proof: 2 · 3 + 1


# -- view --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [True, False])
def test_a_correction_reaches_heldout_rows_and_the_teacher_where_it_eats_them_too(
    shared: bool,
) -> None:
    stack = stacked(correction("flip", shared))
    assert stack.corrections() == ["flip"]
    found = {key: viewed(stack, *key).corrections for key in EVERYWHERE}
    assert found == {
        (S, TRAIN): (),
        (S, HELDOUT): ("flip",),
        (T, TRAIN): (),
        (T, HELDOUT): ("flip",) if shared else (),
    }


@pytest.mark.parametrize("shared", [True, False])
def test_the_train_pipeline_replaces_that_of_heldout_rows(shared: bool) -> None:
    stack = stacked(Intervention("pipeline", "train", touches_teacher=shared))
    found = {key: viewed(stack, *key) for key in EVERYWHERE}
    assert found == {
        (S, TRAIN): View("train"),
        (S, HELDOUT): View("train"),
        (T, TRAIN): View("teacher"),
        (T, HELDOUT): View("train" if shared else "heldout_teacher"),
    }


def test_a_pipeline_undoes_the_corrections_before_it_and_not_those_behind() -> None:
    stack = stacked(correction("before"), Intervention("pipeline", "train"), correction("behind"))
    assert viewed(stack, S, HELDOUT) == View("train", ("behind",))
    assert viewed(stack, T, HELDOUT) == View("heldout_teacher", ("before", "behind"))


def test_statistics_are_the_students_on_every_split() -> None:
    stack = stacked(Intervention("batchnorm", "fresh"), correction("flip"))
    assert viewed(stack, S, TRAIN) == View("train", (), "fresh")
    assert viewed(stack, S, HELDOUT) == View("inference", ("flip",), "fresh")
    assert viewed(stack, T, HELDOUT).variant == ""


def test_batches_pass_unchanged_where_nothing_was_corrected() -> None:
    batches = [torch.ones(2), torch.zeros(1)]
    assert list(Stack().apply(batches, View("train"))) == batches


# -- what observations make of it --------------------------------------------------------------


@pytest.fixture
def seen(planted: ModuleType) -> Observations:
    return look(planted.healthy(200), Settings(batch_size=64), Progress())


def losses(seen: Observations, model: Model, split: Split, change: Any) -> np.ndarray[Any, Any]:
    logits = seen.outputs(model, split).logits.astype(np.float64)
    return cross_entropy(change(logits), seen.rows(split).labels)


def test_a_temperature_divides_the_students_logits(seen: Observations) -> None:
    cooled = seen.under(S, HELDOUT, temperature(2.0))
    assert np.allclose(cooled.loss, losses(seen, S, HELDOUT, lambda z: z / 2), atol=1e-5)
    assert seen.current(S, HELDOUT) is seen.outputs(S, HELDOUT)  # nothing was believed
    seen.believe(temperature(2.0))
    assert np.array_equal(seen.current(S, HELDOUT).loss, cooled.loss)
    assert seen.current(T, HELDOUT) is seen.outputs(T, HELDOUT)


def test_an_order_moves_the_columns_to_the_classes_that_they_mean(seen: Observations) -> None:
    seen.believe(order(1, 2, 0, shared=False))
    for split in Split:
        moved = losses(seen, S, split, lambda z: z[:, [2, 0, 1]])
        assert np.allclose(seen.current(S, split).loss, moved, atol=1e-5)
        assert seen.current(T, split) is seen.outputs(T, split)


def test_a_correction_changes_what_the_models_eat(seen: Observations) -> None:
    seen.offer("nothing", transform=torch.zeros_like)
    seen.believe(correction("nothing"))
    for model in Model:
        assert np.ptp(seen.current(model, HELDOUT).logits, axis=0).max() == 0
        assert seen.current(model, TRAIN) is seen.outputs(model, TRAIN)
