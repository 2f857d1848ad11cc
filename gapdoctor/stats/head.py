"""Geometry of the head: gradients in closed form, and the loss weight that a checkpoint tells.

The head is the last linear layer, logits = W·h + b. Its gradients need no backward pass, only its
input features h and the logits of both models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gapdoctor.domain.findings import Floats
from gapdoctor.stats.calibration import log_softmax

FLAT = 1e-6
"""Standard deviation of a feature, relative to the largest of all, up to which it is constant."""
ALONE = 0.25
"""Share of the larger gradient that a residual is at least relative to: 0.4 of it is a gradient ten
times smaller than the other. In an unfinished student one is always smaller, but not by so much."""


@dataclass(frozen=True, slots=True)
class HeadGradients:
    """Gradients of both losses with respect to the head, mean over rows."""

    task: Floats
    """(C, d + 1) of the cross-entropy with the labels; the last column is the bias."""
    distillation: Floats
    """(C, d + 1) of temperature² · KL(teacher ‖ student), both at the temperature."""


@dataclass(frozen=True, slots=True)
class EffectiveWeight:
    """The task weight at which the checkpoint is stationary."""

    task_weight: float
    """â: 1 is the labels alone, 0 the teacher alone."""
    decay: float
    """λ ≥ 0: the weight decay that goes with it."""
    residual: float
    """What stays of the gradient, relative to the terms that should cancel: 0 is stationary, 1 is
    not at all. Above about 0.4 the weight means nothing."""

    @property
    def odds(self) -> float:
        """â / (1 − â); inf at 1."""
        rest = 1.0 - self.task_weight
        return self.task_weight / rest if rest > 0 else np.inf


def head_gradients(
    features: ArrayLike,
    student_logits: ArrayLike,
    teacher_logits: ArrayLike,
    labels: ArrayLike,
    *,
    temperature: float,
    label_smoothing: float = 0.0,
) -> HeadGradients:
    """Return both losses' gradients: (p − y)ᵀh/n and T·(p_S − p_T)ᵀh/n, softmax at T in the second.

    T² · ∂KL/∂z = T² · (p_S − p_T)/T (Hinton et al. 2015, arXiv 1503.02531).

    Parameters
    ----------
    features : array (n, d)
        The head's input; a column of ones is added for the bias.
    student_logits, teacher_logits : array (n, C)
        Of the same rows and the same view of each row.
    labels : integer array (n,)
    temperature : float
        The recipe's.
    label_smoothing : float
        The recipe's: y = (1 − s)·onehot + s/C (Szegedy et al. 2016).
    """
    inputs = np.asarray(features, dtype=np.float64)
    student = np.asarray(student_logits, dtype=np.float64)
    teacher = np.asarray(teacher_logits, dtype=np.float64)
    n, classes = student.shape
    inputs = np.concatenate([inputs, np.ones((n, 1))], axis=1)
    target = np.full((n, classes), label_smoothing / classes)
    target[np.arange(n), np.asarray(labels, dtype=np.int64)] += 1.0 - label_smoothing
    wrong = np.exp(log_softmax(student)) - target
    apart = np.exp(log_softmax(student / temperature)) - np.exp(log_softmax(teacher / temperature))
    return HeadGradients(
        task=wrong.T @ inputs / n, distillation=temperature * (apart.T @ inputs) / n
    )


def cosine(first: ArrayLike, second: ArrayLike) -> float:
    """Return the cosine between two gradients of one shape; NaN where one of them is zero."""
    a, b = np.ravel(np.asarray(first, np.float64)), np.ravel(np.asarray(second, np.float64))
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 0 else np.nan


def dead_share(features: ArrayLike) -> float:
    """Return the share of features (n, d) that are the same on every row: dead units, 0 to 1.

    A unit whose input is below 0 on all rows gets no gradient any more (Lu et al. 2019, arXiv
    1903.06733); judged against the feature that varies most.
    """
    spread = np.asarray(features, dtype=np.float64).std(axis=0)
    return float((spread <= FLAT * spread.max(initial=0.0)).mean()) if spread.size else 0.0


def effective_weight(gradients: HeadGradients, weights: ArrayLike) -> EffectiveWeight:
    """Return the task weight, and the weight decay, under which the head is at rest.

    min over â ∈ [0, 1], λ ≥ 0 of ‖â·g_task + (1 − â)·g_distillation + λ·W‖: at the end of training
    the gradient of the loss in force is zero (Wang & Gong 2018, arXiv 1802.05351). A convex
    quadratic in two numbers, solved exactly: the best λ for given â is linear or 0.

    Parameters
    ----------
    gradients : HeadGradients
        Taken as in training: same augmentation, same mode.
    weights : array (C, d + 1)
        The head, bias in the last column; zeros there where the bias was not decayed.

    Returns
    -------
    EffectiveWeight
        With residual 1 (and weight NaN) where both gradients are zero: nothing can be told.
    """
    task, distillation = gradients.task.ravel(), gradients.distillation.ravel()
    head = np.asarray(weights, dtype=np.float64).ravel()
    if not task.any() and not distillation.any():
        return EffectiveWeight(np.nan, 0.0, 1.0)
    candidates = [_at_rest(task, distillation, head), _at_rest(task, distillation, head * 0.0)]
    candidates += [(a, _decay(a * task + (1 - a) * distillation, head)) for a in (0.0, 1.0)]

    def left_over(candidate: tuple[float, float]) -> float:
        a, decay = candidate
        return float(np.linalg.norm(a * task + (1 - a) * distillation + decay * head))

    a, decay = min((c for c in candidates if 0 <= c[0] <= 1 and c[1] >= 0), key=left_over)
    sizes = [float(np.linalg.norm(part)) for part in (task, distillation, head)]
    cancelling = a * sizes[0] + (1 - a) * sizes[1] + decay * sizes[2]
    # Where one loss stands alone nothing cancels it: at rest its gradient is small beside the
    # other's.
    scale = max(cancelling, ALONE * max(sizes[:2]))
    return EffectiveWeight(float(a), float(decay), left_over((a, decay)) / scale)


def odds_ratio(
    found: EffectiveWeight, task_weight: float, temperature: float, scale_by_t2: bool
) -> float:
    """Return the odds of the weight in force over those of the declared one.

    About 1: as declared. temperature²: the factor T² is missing. C: the divergence was averaged
    over classes too. Their product: both. NaN for a declared weight of 0 or 1.
    """
    if not 0 < task_weight < 1:
        return np.nan
    declared = task_weight / (1.0 - task_weight)
    # The gradient of the distillation loss is taken with T²; a recipe without it weighs less.
    return found.odds / (declared if scale_by_t2 else declared * temperature**2)


def _at_rest(task: Floats, distillation: Floats, head: Floats) -> tuple[float, float]:
    """Unconstrained minimiser (â, λ) of ‖distillation + â·(task − distillation) + λ·head‖."""
    design = np.stack([task - distillation, head], axis=1)
    a, decay = np.linalg.lstsq(design, -distillation, rcond=None)[0]
    return float(a), float(decay)


def _decay(gradient: Floats, head: Floats) -> float:
    """Best λ ≥ 0 for one combined gradient."""
    power = float(head @ head)
    return max(0.0, -float(gradient @ head) / power) if power > 0 else 0.0
