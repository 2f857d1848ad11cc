"""The task loss, plain KL and their sum against the formulas of their papers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gapdoctor.domain.recipe import Recipe
from gapdoctor.training.losses import (
    Terms,
    composite_loss,
    distillation_loss,
    task_loss,
    with_features,
)

Floats = NDArray[np.float64]
LN3 = math.log(3.0)
STUDENT = torch.tensor([[0.0, LN3], [0.0, 0.0]])
"""Probabilities (¼, ¾) and (½, ½)."""
TEACHER = torch.tensor([[LN3, 0.0], [0.0, 0.0]])
"""(¾, ¼) and (½, ½)."""
LABELS = torch.tensor([1, 0])
RecipeOf = Callable[..., Recipe]
_CHANCE = np.random.default_rng(0)
MANY, TAUGHT = 3 * _CHANCE.normal(size=(7, 5)), 3 * _CHANCE.normal(size=(7, 5))
"""Logits of 7 rows in 5 classes, of a student and of a teacher."""
CLASS = _CHANCE.integers(5, size=7)
TEMPERATURES = pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])


# -- each paper's formula, row by row ------------------------------------------------------------


def softened(logits: Floats, temperature: float = 1.0) -> Floats:
    """Hinton et al. 2015, equation 1."""
    e = np.exp(logits / temperature)
    return np.asarray(e / e.sum())


def test_the_task_loss_of_a_smoothed_label_is_that_of_szegedy() -> None:
    """Section 7: −Σ q'(k)·log p(k) with q'(k) = (1 − ε)·[k = y] + ε/K."""
    for s in (0.0, 0.1, 0.5, 1.0):
        rows = []
        for logits, label in zip(MANY, CLASS, strict=True):
            q = [(1 - s) * (k == label) + s / 5 for k in range(5)]
            rows.append(-sum(q * np.log(softened(logits))))
        found = task_loss(torch.from_numpy(MANY), torch.from_numpy(CLASS), s)
        assert found.item() == pytest.approx(np.mean(rows), rel=1e-12)


@TEMPERATURES
def test_the_distillation_loss_is_that_of_hinton(temperature: float) -> None:
    """The cross-entropy with the soft targets, less their entropy: Σ p_T · log(p_T / p_S)."""
    rows = []
    for student, teacher in zip(MANY, TAUGHT, strict=True):
        p_s, p_t = softened(student, temperature), softened(teacher, temperature)
        rows.append(-sum(p_t * np.log(p_s)) + sum(p_t * np.log(p_t)))
    student, teacher = torch.from_numpy(MANY), torch.from_numpy(TAUGHT)
    plain = distillation_loss(student, teacher, temperature, scale_by_t2=False)
    assert plain.item() == pytest.approx(np.mean(rows), rel=1e-12)
    scaled = distillation_loss(student, teacher, temperature)
    assert scaled.item() == pytest.approx(temperature**2 * np.mean(rows), rel=1e-12)


@TEMPERATURES
def test_its_gradient_is_that_of_hinton(temperature: float) -> None:
    """Equation 2, with T²: T · (q_i − p_i), of the mean row."""
    student = torch.from_numpy(MANY).requires_grad_(True)
    loss = distillation_loss(student, torch.from_numpy(TAUGHT), temperature)
    (found,) = torch.autograd.grad(loss, student)
    for row, (mine, theirs) in enumerate(zip(MANY, TAUGHT, strict=True)):
        apart = softened(mine, temperature) - softened(theirs, temperature)
        assert found[row].numpy() == pytest.approx(temperature * apart / 7, rel=1e-9)


@pytest.mark.parametrize(("alone", "total"), [(False, 1.0 + 3.0 * 0.5), (True, 3.0 * 0.5)])
def test_features_are_a_weighted_term_or_the_whole_loss(alone: bool, total: float) -> None:
    terms = Terms(torch.tensor(1.0), torch.tensor(0.25), torch.tensor(2.0))
    found = with_features(terms, torch.tensor(0.5), 3.0, alone=alone)
    assert found.total.item() == total
    assert (found.task, found.distillation) == (terms.task, terms.distillation)


# -- by hand -------------------------------------------------------------------------------------


def test_task_loss_is_the_mean_surprise() -> None:
    assert task_loss(STUDENT, LABELS).item() == pytest.approx((-math.log(0.75) + math.log(2)) / 2)


def test_smoothing_moves_a_share_of_the_target_to_all_classes() -> None:
    s = 0.2
    row = -(1 - s / 2) * math.log(0.75) - s / 2 * math.log(0.25)
    assert task_loss(STUDENT[:1], LABELS[:1], s).item() == pytest.approx(row)


def test_soft_targets_mix_the_losses_of_the_classes() -> None:
    shares = torch.tensor([[0.3, 0.7]])
    expected = -0.3 * math.log(0.25) - 0.7 * math.log(0.75)
    assert task_loss(STUDENT[:1], shares).item() == pytest.approx(expected)


def test_distillation_loss_is_the_divergence_a_row() -> None:
    one_row = 0.75 * math.log(3) - 0.25 * math.log(3)  # KL((¾, ¼) ‖ (¼, ¾))
    assert distillation_loss(STUDENT, TEACHER, 1.0).item() == pytest.approx(one_row / 2)


def test_a_student_that_equals_its_teacher_loses_nothing() -> None:
    assert distillation_loss(TEACHER, TEACHER, 4.0).item() == pytest.approx(0.0, abs=1e-7)


def test_with_t2_the_gradient_at_a_high_temperature_is_that_of_matching_logits() -> None:
    """Hinton et al. 2015, section 2.1: T² · ∂KL/∂z -> (z_S − z_T) / C for centred logits."""
    student = torch.tensor([[1.0, -1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    teacher = torch.tensor([[0.5, 0.5, -1.0]], dtype=torch.float64)
    (gradient,) = torch.autograd.grad(distillation_loss(student, teacher, 1000.0), student)
    assert torch.allclose(gradient, (student - teacher).detach() / 3, atol=1e-3)


def test_logits_of_other_shape_are_refused_rather_than_spread() -> None:
    with pytest.raises(ValueError, match=r"not \(2, 2\) and \(2, 1\)"):
        distillation_loss(STUDENT, TEACHER[:, :1], 1.0)


def test_the_composite_weighs_the_task_loss(plain: RecipeOf) -> None:
    recipe = plain(task_weight=0.3, temperature=2.0, scale_by_t2=True)
    total, task, distillation = composite_loss(STUDENT, LABELS, TEACHER, recipe)
    assert task.item() == pytest.approx(task_loss(STUDENT, LABELS).item())
    assert distillation is not None
    assert distillation.item() == pytest.approx(distillation_loss(STUDENT, TEACHER, 2.0).item())
    assert total.item() == pytest.approx(0.3 * task.item() + 0.7 * distillation.item())


def test_without_a_teacher_it_is_the_task_loss(plain: RecipeOf) -> None:
    found = composite_loss(STUDENT, LABELS, None, plain(task_weight=0.3, label_smoothing=0.1))
    assert found.total.item() == pytest.approx(task_loss(STUDENT, LABELS, 0.1).item())
    assert found.distillation is None
