"""The losses against modules of torch that compute them another way."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from gapdoctor.training.features.distances import (
    attention_distance,
    normalised_mse,
    similarity_distance,
)
from gapdoctor.training.losses import (
    decoupled_loss,
    distillation_loss,
    standardized_loss,
    task_loss,
)

TEMPERATURES = pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])


def kl(student: torch.Tensor, teacher: torch.Tensor, reduction: str = "batchmean") -> torch.Tensor:
    """KL(teacher ‖ student) of logits; the target as probabilities, torch's default."""
    divergence: torch.Tensor = nn.KLDivLoss(reduction=reduction)(
        student.log_softmax(1), teacher.softmax(1)
    )
    return divergence


# -- logits --------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")  # which is what is compared
@TEMPERATURES
@pytest.mark.parametrize(
    ("reduction", "factor"),
    [("batchmean", 1.0), ("sum", 1 / 7), ("mean", 5.0)],  # 7 rows, 5 classes
)
def test_plain_kl(logits: Any, temperature: float, reduction: str, factor: float) -> None:
    """Torch's own default, `mean`, divides by the classes too; T² is left to the caller."""
    theirs = kl(logits.student / temperature, logits.teacher / temperature, reduction)
    ours = distillation_loss(logits.student, logits.teacher, temperature, scale_by_t2=False)
    assert ours.item() == pytest.approx(factor * theirs.item(), rel=1e-12)
    scaled = distillation_loss(logits.student, logits.teacher, temperature)
    assert scaled.item() == pytest.approx(temperature**2 * factor * theirs.item(), rel=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_a_smoothed_label(logits: Any, smoothing: float) -> None:
    """The divergence from the smoothed labels, and their entropy."""
    labels = nn.functional.one_hot(logits.labels, 5).double()
    soft = (1 - smoothing) * labels + smoothing / 5
    divergence = nn.KLDivLoss(reduction="batchmean")(logits.student.log_softmax(1), soft)
    entropy = torch.special.entr(soft).sum(1).mean()
    ours = task_loss(logits.student, logits.labels, smoothing)
    assert ours.item() == pytest.approx((divergence + entropy).item(), rel=1e-12)
    module = nn.CrossEntropyLoss(label_smoothing=smoothing)
    assert ours.item() == pytest.approx(module(logits.student, logits.labels).item(), rel=1e-12)


@TEMPERATURES
def test_z_scores(logits: Any, temperature: float) -> None:
    """By layer normalisation, whose variance is that of all: √((C − 1)/C) times ours of a sample.

    Ours is 10 times as large, where the authors weigh it by 9 instead of 0.9.
    """
    norm = nn.LayerNorm(5, eps=0.0, elementwise_affine=False)
    student, teacher = ((4 / 5) ** 0.5 * norm(z) / temperature for z in logits[:2])
    theirs = 10 * temperature**2 * kl(student, teacher)
    ours = standardized_loss(logits.student, logits.teacher, temperature)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)


@TEMPERATURES
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 8.0), (1.0, 0.0), (0.0, 1.0)])
def test_decoupled(logits: Any, temperature: float, alpha: float, beta: float) -> None:
    """Two plain divergences: of (target, all others) and of the others, without the target."""
    parts = []
    own = nn.functional.one_hot(logits.labels, 5).bool()
    for z in logits[:2]:
        z = z / temperature
        others = z[~own].reshape(7, 4)
        parts.append((torch.stack([z[own], others.logsumexp(1)], 1), others))
    (target_s, others_s), (target_t, others_t) = parts
    theirs = alpha * kl(target_s, target_t) + beta * kl(others_s, others_t)
    ours = decoupled_loss(
        logits.student, logits.teacher, logits.labels, temperature, alpha=alpha, beta=beta
    )
    assert ours.item() == pytest.approx(temperature**2 * theirs.item(), rel=1e-10)


# -- features ------------------------------------------------------------------------------------


def test_normalised_features(maps: Any) -> None:
    """Instance normalisation over the channels of each position, with torch's usual ε of 1e-5."""
    mine, theirs = maps.student, maps.teacher[:, :4]
    norm = nn.InstanceNorm1d(6)  # of (n, positions, channels)
    wanted = norm(theirs.flatten(2).transpose(1, 2))
    one, other = (x.flatten(2).transpose(1, 2) for x in (mine, theirs))
    ours = normalised_mse(one, other)
    assert ours.item() == pytest.approx(nn.MSELoss()(one, wanted).item(), rel=1e-12)


def test_attention_maps(maps: Any) -> None:
    """‖a − b‖² = 2 − 2·cos(a, b) for maps of length 1."""
    one, other = (nn.LPPool1d(2, x.shape[2])(x).squeeze(2) ** 2 for x in maps.rows())
    theirs = (2 - 2 * nn.CosineSimilarity(dim=1)(one, other)).mean()
    assert attention_distance(*maps.rows()).item() == pytest.approx(theirs.item(), rel=1e-12)


def test_similar_rows(maps: Any) -> None:
    """2 − 2·cos between the rows of the two products, each divided by its length."""
    grams = [torch.einsum("achw,bchw->ab", x, x) for x in maps]
    theirs = (2 - 2 * nn.CosineSimilarity(dim=1)(*grams)).mean()
    assert similarity_distance(*maps).item() == pytest.approx(theirs.item(), rel=1e-10)
