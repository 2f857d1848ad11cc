"""The decoupled and the standardized loss against the formulas of their papers."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from gapdoctor.domain.recipe import Distillation, Recipe
from gapdoctor.training.defaults import completed
from gapdoctor.training.loop import Length, fit
from gapdoctor.training.losses import (
    STANDARDIZED,
    composite_loss,
    decoupled_loss,
    decoupled_parts,
    distillation_loss,
    standardized_loss,
    task_loss,
)
from gapdoctor.training.rows import rows_of_tensors
from gapdoctor.training.views import Views

Floats = NDArray[np.float64]
Loss = Callable[..., torch.Tensor]
ROWS, CLASSES = 7, 5
_chance = torch.Generator().manual_seed(0)
STUDENT, TEACHER = (
    3 * torch.randn(ROWS, CLASSES, generator=_chance, dtype=torch.float64) for _ in range(2)
)
LABELS = torch.randint(CLASSES, (ROWS,), generator=_chance)
DECOUPLED = partial(decoupled_loss, targets=LABELS)
EACH = pytest.mark.parametrize("loss", [DECOUPLED, standardized_loss], ids=["dkd", "z-scores"])
TEMPERATURES = pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])


def gradient(loss: Loss, student: torch.Tensor, *args: Any, **more: Any) -> torch.Tensor:
    """Of the student's logits."""
    watched = student.clone().requires_grad_(True)
    (found,) = torch.autograd.grad(loss(watched, *args, **more), watched)
    return found


# -- each paper's formula, row by row ------------------------------------------------------------


def dkd(z_s: Floats, z_t: Floats, label: int, temperature: float, a: float, b: float) -> float:
    """Zhao et al. 2022, section 3, in probabilities."""
    e_s, e_t = np.exp(z_s / temperature), np.exp(z_t / temperature)
    p_s, p_t = e_s[label] / e_s.sum(), e_t[label] / e_t.sum()
    binary = p_t * math.log(p_t / p_s) + (1 - p_t) * math.log((1 - p_t) / (1 - p_s))
    others = [i for i in range(len(z_s)) if i != label]
    hat_s, hat_t = e_s[others] / e_s[others].sum(), e_t[others] / e_t[others].sum()
    among = float(np.sum(hat_t * np.log(hat_t / hat_s)))
    return float(temperature**2 * (a * binary + b * among))


def of_z_scores(z_s: Floats, z_t: Floats, temperature: float) -> float:
    """Sun et al. 2024, with their λ_KD of 9 where plain KD has 0.9."""
    q = []
    for z in (z_s, z_t):
        spread = math.sqrt(((z - z.mean()) ** 2).sum() / (len(z) - 1))
        e = np.exp((z - z.mean()) / spread / temperature)
        q.append(e / e.sum())
    return 9 / 0.9 * temperature**2 * float(np.sum(q[1] * np.log(q[1] / q[0])))


@TEMPERATURES
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 8.0), (0.5, 2.0), (0.0, 1.0)])
def test_the_decoupled_loss_is_that_of_the_paper(
    temperature: float, alpha: float, beta: float
) -> None:
    rows = zip(STUDENT.numpy(), TEACHER.numpy(), LABELS.tolist(), strict=True)
    expected = np.mean([dkd(s, t, label, temperature, alpha, beta) for s, t, label in rows])
    found = decoupled_loss(STUDENT, TEACHER, LABELS, temperature, alpha=alpha, beta=beta)
    assert found.item() == pytest.approx(expected, rel=1e-12)
    without = decoupled_loss(STUDENT, TEACHER, LABELS, temperature, False, alpha=alpha, beta=beta)
    assert without.item() == pytest.approx(expected / temperature**2, rel=1e-12)


@TEMPERATURES
def test_the_standardized_loss_is_that_of_the_paper(temperature: float) -> None:
    rows = zip(STUDENT.numpy(), TEACHER.numpy(), strict=True)
    expected = np.mean([of_z_scores(s, t, temperature) for s, t in rows])
    found = standardized_loss(STUDENT, TEACHER, temperature)
    assert found.item() == pytest.approx(expected, rel=1e-12)
    without = standardized_loss(STUDENT, TEACHER, temperature, scale_by_t2=False)
    assert without.item() == pytest.approx(expected / temperature**2, rel=1e-12)


def test_the_parts_of_a_row_by_hand() -> None:
    """(½, ¼, ¼) and (½, ⅓, ⅙): as sure of the first class, but not of one mind on the others."""
    teacher, student = (
        torch.tensor([p]).log() for p in ([1 / 2, 1 / 4, 1 / 4], [1 / 2, 1 / 3, 1 / 6])
    )
    target, others = decoupled_parts(student, teacher, torch.tensor([0]), 1.0)
    assert target.item() == pytest.approx(0.0, abs=1e-7)
    assert others.item() == pytest.approx(math.log(9 / 8) / 2, rel=1e-6)


def test_z_scores_of_a_row_by_hand() -> None:
    """(0, 2, 4) has z-scores (−1, 0, 1), (4, 2, 0) those the other way round."""
    e = math.e
    kl = (e - 1 / e) * 2 / (e + 1 + 1 / e)
    found = standardized_loss(torch.tensor([[0.0, 2.0, 4.0]]), torch.tensor([[4.0, 2.0, 0.0]]), 1.0)
    assert found.item() == pytest.approx(STANDARDIZED * kl, rel=1e-6)


# -- identities ----------------------------------------------------------------------------------


@TEMPERATURES
def test_kl_is_the_target_part_and_the_others_by_the_teachers_doubt(temperature: float) -> None:
    """Zhao et al. 2022, section 3; the gradients agree too."""

    def coupled(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        target, others = decoupled_parts(student, teacher, LABELS, temperature)
        sure = (teacher / temperature).softmax(1)[torch.arange(ROWS), LABELS]
        return (target + (1 - sure) * others).mean()

    kl = partial(distillation_loss, temperature=temperature, scale_by_t2=False)
    assert torch.allclose(coupled(STUDENT, TEACHER), kl(STUDENT, TEACHER), rtol=1e-12)
    assert torch.allclose(
        gradient(coupled, STUDENT, TEACHER), gradient(kl, STUDENT, TEACHER), rtol=1e-9, atol=1e-14
    )


@EACH
def test_the_gradient_is_that_of_the_loss(loss: Loss) -> None:
    watched = STUDENT.clone().requires_grad_(True)
    assert torch.autograd.gradcheck(lambda z: loss(z, TEACHER, temperature=2.0), (watched,))


@EACH
@TEMPERATURES
def test_a_student_that_equals_its_teacher_has_nothing_to_learn(
    loss: Loss, temperature: float
) -> None:
    assert loss(TEACHER, TEACHER, temperature=temperature).item() == pytest.approx(0.0, abs=1e-13)
    found = gradient(loss, TEACHER, TEACHER, temperature=temperature)
    assert torch.allclose(found, torch.zeros_like(found), atol=1e-13)


def test_the_standardized_loss_sees_neither_scale_nor_offset_of_a_row() -> None:
    scales = torch.logspace(-1, 2, ROWS, dtype=torch.float64)[:, None]
    offsets = torch.linspace(-50, 50, ROWS, dtype=torch.float64)[:, None]
    plain = standardized_loss(STUDENT, TEACHER, 2.0)
    for student, teacher in (
        (scales * STUDENT + offsets, TEACHER),
        (STUDENT, scales * TEACHER + offsets),
    ):
        assert torch.allclose(standardized_loss(student, teacher, 2.0), plain, rtol=1e-9)
    assert not torch.allclose(distillation_loss(scales * STUDENT, TEACHER, 2.0), plain)
    learned = standardized_loss(scales * TEACHER + offsets, TEACHER, 2.0)
    assert learned.item() == pytest.approx(0.0, abs=1e-12)
    pull = gradient(standardized_loss, STUDENT, TEACHER, temperature=2.0)
    nothing = torch.zeros(ROWS, dtype=torch.float64)
    assert torch.allclose(pull.sum(1), nothing, atol=1e-12)  # none along an offset
    assert torch.allclose((pull * STUDENT).sum(1), nothing, atol=1e-12)  # none along the scale


def test_what_a_sure_teacher_says_of_the_others_is_heard_by_the_decoupled_loss_alone() -> None:
    teacher = torch.tensor([[40.0, 2.0, 0.0]])
    student = torch.tensor([[40.0, 0.0, 2.0]])
    label = torch.tensor([0])
    _, others = decoupled_parts(student, teacher, label, 1.0)
    assert others.item() == pytest.approx(2 * (math.e**2 - 1) / (math.e**2 + 1), rel=1e-6)
    assert distillation_loss(student, teacher, 1.0).item() < 1e-12
    heard = gradient(decoupled_loss, student, teacher, label, 1.0)
    assert heard[0, 2] > 1.0


# -- soft targets, few classes, numbers out of bounds --------------------------------------------


def test_the_target_class_of_mixed_labels_is_the_one_of_the_largest_share() -> None:
    shares = torch.full((ROWS, CLASSES), 0.0)
    other = (LABELS + 1) % CLASSES
    shares[torch.arange(ROWS), LABELS] = 0.7
    shares[torch.arange(ROWS), other] = 0.3
    whole = decoupled_loss(STUDENT, TEACHER, LABELS, 2.0)
    assert torch.equal(decoupled_loss(STUDENT, TEACHER, shares, 2.0), whole)
    halves = torch.where(shares > 0, 0.5, 0.0)
    first = decoupled_loss(STUDENT, TEACHER, torch.minimum(LABELS, other), 2.0)
    assert torch.equal(decoupled_loss(STUDENT, TEACHER, halves, 2.0), first)


def test_of_two_classes_nothing_is_left_among_the_others() -> None:
    student, teacher = STUDENT[:, :2], TEACHER[:, :2]
    target, others = decoupled_parts(student, teacher, LABELS % 2, 2.0)
    assert torch.equal(others, torch.zeros_like(others))
    assert torch.allclose(target.mean(), distillation_loss(student, teacher, 2.0, False))


@EACH
@pytest.mark.parametrize("size", [0.0, 1e-6, 1e4], ids=["zeros", "tiny", "huge"])
def test_loss_and_gradient_stay_finite(loss: Loss, size: float) -> None:
    student, teacher = (size * z.float() for z in (STUDENT, TEACHER))
    assert loss(student, TEACHER.float(), temperature=1.0).isfinite()
    assert loss(STUDENT.float(), teacher, temperature=1.0).isfinite()
    found = gradient(loss, student, TEACHER.float(), temperature=1.0)
    assert found.isfinite().all()
    assert found.abs().max() < 1e4


@EACH
def test_logits_of_other_shape_are_refused_rather_than_spread(loss: Loss) -> None:
    with pytest.raises(ValueError, match=r"not \(7, 5\) and \(7, 1\)"):
        loss(STUDENT, TEACHER[:, :1], temperature=1.0)


# -- in a recipe ---------------------------------------------------------------------------------


@pytest.mark.parametrize("scale_by_t2", [True, False])
@pytest.mark.parametrize(
    ("named", "loss"),
    [
        ({}, distillation_loss),
        ({"distillation": Distillation.KL}, distillation_loss),
        ({"distillation": Distillation.STANDARDIZED}, standardized_loss),
        ({"distillation": Distillation.DECOUPLED}, DECOUPLED),
        (
            {"distillation": Distillation.DECOUPLED, "dkd_alpha": 0.5, "dkd_beta": 2.0},
            partial(DECOUPLED, alpha=0.5, beta=2.0),
        ),
    ],
)
def test_the_composite_takes_the_loss_that_the_recipe_names(
    plain: Callable[..., Recipe], named: dict[str, Any], loss: Loss, scale_by_t2: bool
) -> None:
    recipe = completed(plain(task_weight=0.3, scale_by_t2=scale_by_t2, **named)).recipe
    total, task, distillation = composite_loss(STUDENT, LABELS, TEACHER, recipe)
    assert distillation is not None
    expected = loss(STUDENT, TEACHER, temperature=2.0, scale_by_t2=scale_by_t2)
    assert distillation.item() == pytest.approx(expected.item(), rel=1e-12)
    assert task.item() == pytest.approx(task_loss(STUDENT, LABELS).item())
    assert total.item() == pytest.approx(0.3 * task.item() + 0.7 * distillation.item())


@pytest.mark.parametrize("mixup", [0.0, 1.0])
@pytest.mark.parametrize("named", Distillation)
def test_a_training_by_it_brings_the_student_to_its_teacher(
    data: tuple[torch.Tensor, torch.Tensor],
    plain: Callable[..., Recipe],
    linear: Callable[..., nn.Linear],
    named: Distillation,
    mixup: float,
) -> None:
    recipe = completed(plain(epochs=40, lr=0.02, task_weight=0.0, distillation=named)).recipe
    rows = rows_of_tensors(*data)
    found = fit(linear(seed=2), linear(), rows, recipe, Length(epochs=40), views=Views(None, mixup))
    first, *_, last = (row.distillation_loss for row in found.history)
    assert first is not None
    assert last is not None
    assert last < first / 20


@pytest.mark.parametrize("named", Distillation)
def test_by_it_a_student_that_is_its_teacher_stays(
    data: tuple[torch.Tensor, torch.Tensor],
    plain: Callable[..., Recipe],
    linear: Callable[..., nn.Linear],
    named: Distillation,
) -> None:
    recipe = completed(plain(task_weight=0.0, distillation=named)).recipe
    found = fit(linear(), linear(), rows_of_tensors(*data), recipe, views=Views(None, mixup=1.0))
    for name, value in found.student.state_dict().items():
        assert torch.allclose(value, linear().state_dict()[name], atol=1e-5)
