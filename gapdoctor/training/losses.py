"""The loss of a recipe: task loss and distillation loss, and how they are put together."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional

from gapdoctor.domain.recipe import Distillation, Recipe

STANDARDIZED = 10.0
"""What the standardized loss weighs beside plain KL: published with weights of 0.1 and 9 where
plain distillation has 0.1 and 0.9 (Sun et al. 2024, arXiv 2403.01427). Dividing by the spread of
the logits makes its gradients that much smaller, so both train at one learning rate."""
STILL = 0.01
"""Spread of a row's logits below which it is scaled up no further: an untrained head may give
zeros alone, and gradients grow by the inverse (starting value)."""


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
    _check_shapes(student_logits, teacher_logits)
    divergence = functional.kl_div(
        functional.log_softmax(student_logits / temperature, dim=1),
        functional.log_softmax(teacher_logits / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return divergence * temperature**2 if scale_by_t2 else divergence


def standardized_loss(
    student_logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    temperature: float,
    scale_by_t2: bool = True,
) -> torch.Tensor:
    """Return `STANDARDIZED` times the distillation loss of each row's z-scores.

    The mean of a row's logits is taken off, and the rest divided by its standard deviation (that of
    a sample, as in the authors' code), for student and teacher alike: the student copies the order
    and the proportions of the logits, not their scale (Sun et al. 2024, arXiv 2403.01427).
    A temperature of 2 is usual. The scale is left to the labels; a student may end far too sure.

    Parameters
    ----------
    student_logits, teacher_logits : tensor (n, C)
        Of two classes the z-scores are always the same: then this teaches only which is larger.

    Raises
    ------
    ValueError
        When the shapes differ.
    """
    _check_shapes(student_logits, teacher_logits)
    student, teacher = _standardized(student_logits), _standardized(teacher_logits)
    return STANDARDIZED * distillation_loss(student, teacher, temperature, scale_by_t2)


def decoupled_loss(
    student_logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    targets: torch.Tensor,
    temperature: float,
    scale_by_t2: bool = True,
    *,
    alpha: float = 1.0,
    beta: float = 8.0,
) -> torch.Tensor:
    """Return α·TCKD + β·NCKD, the mean of the rows; with `scale_by_t2` times temperature².

    Plain KL weighs what the teacher says of the other classes by its doubt about the label, so
    that a sure teacher says little; here β weighs it (Zhao et al. 2022, arXiv 2203.08679).

    Parameters
    ----------
    student_logits, teacher_logits : tensor (n, C)
    targets : tensor (n,) or (n, C)
        As `decoupled_parts` takes them.
    alpha, beta : float
        Of the target class and of the others. On CIFAR-100 α is 1 and β from 2 to 8, at
        temperature 4; on ImageNet β is 0.5 to 2, at temperature 1 (the authors' settings).

    Raises
    ------
    ValueError
        When the shapes differ.
    """
    target, others = decoupled_parts(student_logits, teacher_logits, targets, temperature)
    loss = (alpha * target + beta * others).mean()
    return loss * temperature**2 if scale_by_t2 else loss


def decoupled_parts(
    student_logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    targets: torch.Tensor,
    temperature: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return TCKD and NCKD of each row: KL = TCKD + (1 − p_t) · NCKD.

    TCKD is the divergence of (target class, all others), NCKD that among the others; p_t is the
    teacher's probability of the target class at the temperature (Zhao et al. 2022, arXiv
    2203.08679, section 3).

    Parameters
    ----------
    student_logits, teacher_logits : tensor (n, C)
        Of two classes NCKD is 0: there is nothing among the others.
    targets : tensor (n,) or (n, C)
        Class indices, or a share for each class (mixup): then the target class is the one of the
        largest share, the first of equal ones.

    Returns
    -------
    tuple of tensor (n,)
        In nats, without the factor temperature².

    Raises
    ------
    ValueError
        When the shapes differ.
    """
    _check_shapes(student_logits, teacher_logits)
    label = targets if targets.ndim == 1 else targets.argmax(1)
    own = functional.one_hot(label, student_logits.shape[1]).bool()
    student, teacher = (_split_by(own, z / temperature) for z in (student_logits, teacher_logits))
    target, others = (
        functional.kl_div(said, taught, reduction="none", log_target=True).sum(1)
        for said, taught in zip(student, teacher, strict=True)
    )
    return target, others


def _split_by(own: torch.Tensor, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return log-probabilities of (target, all others) (n, 2), and those among the others (n, C).

    In logarithms throughout: 1 − p loses all digits where p is nearly 1. The target class among the
    others is set to 0 on both sides, which adds nothing to their divergence.
    """
    whole = functional.log_softmax(logits, dim=1)
    target = whole.masked_fill(~own, 0.0).sum(1)
    rest = whole.masked_fill(own, -torch.inf).logsumexp(1)
    among = functional.log_softmax(logits.masked_fill(own, -torch.inf), dim=1)
    return torch.stack([target, rest], dim=1), among.masked_fill(own, 0.0)


def _standardized(logits: torch.Tensor) -> torch.Tensor:
    spread = logits.var(1, keepdim=True).clamp_min(STILL**2).sqrt()
    return (logits - logits.mean(1, keepdim=True)) / spread


def _check_shapes(student_logits: torch.Tensor, teacher_logits: torch.Tensor) -> None:
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(
            f"logits of the same rows and classes, not {tuple(student_logits.shape)} "
            f"and {tuple(teacher_logits.shape)}"
        )


def composite_loss(
    student_logits: torch.Tensor,
    targets: torch.Tensor,
    teacher_logits: torch.Tensor | None,
    recipe: Recipe,
) -> Terms:
    """Return task_weight · task loss + (1 − task_weight) · the recipe's distillation loss.

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
    distillation = _named_loss(student_logits, teacher_logits, targets, recipe)
    weight = recipe.task_weight
    return Terms(weight * task + (1 - weight) * distillation, task, distillation)


def with_features(terms: Terms, distance: torch.Tensor, weight: float, *, alone: bool) -> Terms:
    """Return the loss with feature_weight · distance; `alone`: that is all of it.

    Parameters
    ----------
    terms : Terms
        Of `composite_loss`; told as they are, whatever is trained on.
    distance : tensor ()
        From `gapdoctor.training.features`.
    weight : float
        A completed recipe's `feature_weight`.
    alone : bool
        The first stage of hints (Romero et al. 2015, arXiv 1412.6550, section 2.3).
    """
    total = weight * distance if alone else terms.total + weight * distance
    return terms._replace(total=total)


def _named_loss(
    student_logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    targets: torch.Tensor,
    recipe: Recipe,
) -> torch.Tensor:
    assert recipe.temperature is not None
    how = (recipe.temperature, bool(recipe.scale_by_t2))
    if recipe.distillation == Distillation.STANDARDIZED:
        return standardized_loss(student_logits, teacher_logits, *how)
    if recipe.distillation == Distillation.DECOUPLED:
        assert recipe.dkd_alpha is not None
        assert recipe.dkd_beta is not None
        return decoupled_loss(
            student_logits, teacher_logits, targets, *how,
            alpha=recipe.dkd_alpha, beta=recipe.dkd_beta,
        )  # fmt: skip
    return distillation_loss(student_logits, teacher_logits, *how)
