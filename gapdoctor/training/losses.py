"""The loss of a recipe: task loss and distillation loss, and how they are put together."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional

from gapdoctor.domain.recipe import Recipe


class Terms(NamedTuple):
    """The loss of a batch with its two parts, scalars in nats (of the batch's mean row)."""

    total: torch.Tensor
    task: torch.Tensor
    distillation: torch.Tensor | None
    """None where no teacher takes part. With the factor temperature², where that is applied."""


def task_loss(
    logits: torch.Tensor, targets: torch.Tensor, label_smoothing: float = 0.0
) -> torch.Tensor:
    """Return the mean cross-entropy with the labels.

    With smoothing s the target is (1 − s)·onehot + s/C (Szegedy et al. 2016, arXiv 1512.00567).

    Parameters
    ----------
    logits : tensor (n, C)
    targets : tensor (n,) or (n, C)
        Class indices, or a share for each class (mixup).
    label_smoothing : float
        s, from 0 to 1.
    """
    return functional.cross_entropy(logits, targets, label_smoothing=label_smoothing)


def distillation_loss(
    student_logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    temperature: float,
    scale_by_t2: bool = True,
) -> torch.Tensor:
    """Return KL(teacher ‖ student), both at the temperature: sum over classes, mean over rows.

    With `scale_by_t2` times temperature², since gradients of soft targets shrink by 1/T²
    (Hinton et al. 2015, arXiv 1503.02531, section 2).

    Parameters
    ----------
    student_logits, teacher_logits : tensor (n, C)
        Of the same rows and the same view of each.

    Raises
    ------
    ValueError
        When the shapes differ: torch would spread one over the other without a word.
    """
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(
            f"logits of the same rows and classes, not {tuple(student_logits.shape)} "
            f"and {tuple(teacher_logits.shape)}"
        )
    divergence = functional.kl_div(
        functional.log_softmax(student_logits / temperature, dim=1),
        functional.log_softmax(teacher_logits / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return divergence * temperature**2 if scale_by_t2 else divergence


def composite_loss(
    student_logits: torch.Tensor,
    targets: torch.Tensor,
    teacher_logits: torch.Tensor | None,
    recipe: Recipe,
) -> Terms:
    """Return task_weight · task loss + (1 − task_weight) · distillation loss.

    Parameters
    ----------
    student_logits : tensor (n, C)
    targets : tensor (n,) or (n, C)
        As `task_loss` takes them.
    teacher_logits : tensor (n, C) or None
        None: the task loss alone, whatever the weight.
    recipe : Recipe
        Completed (`gapdoctor.training.defaults`): weight, temperature and smoothing are known.
    """
    assert recipe.task_weight is not None
    assert recipe.temperature is not None
    task = task_loss(student_logits, targets, recipe.label_smoothing or 0.0)
    if teacher_logits is None:
        return Terms(task, task, None)
    distillation = distillation_loss(
        student_logits, teacher_logits, recipe.temperature, bool(recipe.scale_by_t2)
    )
    weight = recipe.task_weight
    return Terms(weight * task + (1 - weight) * distillation, task, distillation)
