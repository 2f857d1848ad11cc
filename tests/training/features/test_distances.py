"""Each distance against the formula of its paper, written plainly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gapdoctor.training.features.distances import (
    attention_distance,
    normalised_mse,
    similarity_distance,
)

CHANCE = np.random.default_rng(0)
STUDENT, TEACHER = CHANCE.normal(size=(5, 6, 3)), CHANCE.normal(size=(5, 6, 4))
"""5 rows of 6 positions, of 3 and 4 channels."""


def told(distance: object, one: np.ndarray, other: np.ndarray) -> float:
    assert callable(distance)
    return float(distance(torch.from_numpy(one), torch.from_numpy(other)))


def test_mse_is_that_of_romero_of_normalised_features() -> None:
    """Equation 3 without its ½, as a mean over all channels: ‖teacher − r(student)‖²."""
    other = 5 + 3 * CHANCE.normal(size=STUDENT.shape)
    whole = []
    for mine, theirs in zip(STUDENT.reshape(-1, 3), other.reshape(-1, 3), strict=True):
        # 1e-5 keeps layer normalisation finite (Ba et al. 2016, arXiv 1607.06450, as in torch)
        wanted = (theirs - theirs.mean()) / np.sqrt(theirs.var() + 1e-5)
        whole.append(((mine - wanted) ** 2).mean())
    assert told(normalised_mse, STUDENT, other) == pytest.approx(np.mean(whole), rel=1e-12)
    nothing = told(normalised_mse, 0 * STUDENT, other)
    assert nothing == pytest.approx(1.0, rel=1e-3)


def test_attention_is_that_of_zagoruyko_and_komodakis() -> None:
    """Equation 2: ‖Q_S/‖Q_S‖₂ − Q_T/‖Q_T‖₂‖ with Q = vec(Σ_channels |A|²), squared."""
    rows = []
    for mine, theirs in zip(STUDENT, TEACHER, strict=True):
        q_s, q_t = ((np.abs(a) ** 2).sum(axis=1) for a in (mine, theirs))
        apart = q_s / np.sqrt((q_s**2).sum()) - q_t / np.sqrt((q_t**2).sum())
        rows.append((apart**2).sum())
    assert told(attention_distance, STUDENT, TEACHER) == pytest.approx(np.mean(rows), rel=1e-12)


def test_similarity_is_that_of_tung_and_mori() -> None:
    """Equations 1 to 4: (1/b²)·‖G_S − G_T‖²_F, times b here."""
    grams = []
    for features in (STUDENT, TEACHER):
        flat = features.reshape(5, -1)
        gram = np.array([[sum(a * b) for b in flat] for a in flat])
        grams.append(np.array([row / np.sqrt((row**2).sum()) for row in gram]))
    published = ((grams[0] - grams[1]) ** 2).sum() / 5**2
    assert told(similarity_distance, STUDENT, TEACHER) == pytest.approx(5 * published, rel=1e-12)


@pytest.mark.parametrize("distance", [attention_distance, similarity_distance])
def test_what_is_alike_is_not_far_whatever_its_scale(distance: object) -> None:
    assert told(distance, STUDENT, 7.0 * STUDENT) == pytest.approx(0.0, abs=1e-4)
    other = CHANCE.normal(size=STUDENT.shape)
    assert told(distance, STUDENT, other) > 0.05


@pytest.mark.parametrize("distance", [normalised_mse, attention_distance, similarity_distance])
def test_features_that_are_zero_have_finite_gradients(distance: object) -> None:
    """A layer may be dead at first."""
    assert callable(distance)
    mine = torch.zeros(4, 6, 3, requires_grad=True)
    distance(mine, torch.from_numpy(STUDENT[:4]).float()).backward()
    assert mine.grad is not None
    assert mine.grad.isfinite().all()


@pytest.mark.parametrize("distance", [normalised_mse, attention_distance])
def test_parts_of_a_batch_add_up(distance: object) -> None:
    whole = told(distance, STUDENT, STUDENT[::-1].copy())
    parts = [
        told(distance, STUDENT[s], STUDENT[::-1][s].copy()) for s in (slice(0, 2), slice(2, 5))
    ]
    assert whole == pytest.approx((2 * parts[0] + 3 * parts[1]) / 5)
