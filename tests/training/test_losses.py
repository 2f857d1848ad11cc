"""The losses against their formulas and against torch."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch.nn import functional

from gapdoctor.domain.recipe import Recipe
from gapdoctor.training.losses import composite_loss, distillation_loss, task_loss

LN3 = math.log(3.0)
STUDENT = torch.tensor([[0.0, LN3], [0.0, 0.0]])
"""Probabilities (¼, ¾) and (½, ½)."""
TEACHER = torch.tensor([[LN3, 0.0], [0.0, 0.0]])
"""(¾, ¼) and (½, ½)."""
LABELS = torch.tensor([1, 0])
RecipeOf = Callable[..., Recipe]


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


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_it_equals_torch_with_batchmean_and_t2_multiplies_it(temperature: float) -> None:
    chance = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(7, 5, generator=chance) for _ in range(2))
    plain = functional.kl_div(
        functional.log_softmax(student / temperature, 1),
        functional.softmax(teacher / temperature, 1),
        reduction="batchmean",
    )
    without = distillation_loss(student, teacher, temperature, scale_by_t2=False)
    assert without.item() == pytest.approx(plain.item(), rel=1e-6)
    scaled = distillation_loss(student, teacher, temperature, scale_by_t2=True)
    assert scaled.item() == pytest.approx(temperature**2 * plain.item(), rel=1e-6)


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
