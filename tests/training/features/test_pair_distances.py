"""A pair of layers with maps of different size: pooled, adapted, compared, as the papers say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from gapdoctor.domain.recipe import FeatureLoss, Recipe
from gapdoctor.training.features.adapters import adapter
from gapdoctor.training.features.extra import Features, features_of
from gapdoctor.training.rows import rows_of_tensors
from gapdoctor.training.teacher import TeacherOutputs

Floats = NDArray[np.float64]
RecipeOf = Callable[..., Recipe]
ROWS = 6
CHANCE = np.random.default_rng(0)
MINE, THEIRS = CHANCE.normal(size=(ROWS, 4, 4, 8)), 2 + 3 * CHANCE.normal(size=(ROWS, 8, 2, 4))
"""Maps of a layer of the student and of one of the teacher, with a quarter of the positions."""
POOLED = MINE.reshape(ROWS, 4, 2, 2, 4, 2).mean((3, 5))
"""The student's at the teacher's positions."""


def built(plain: RecipeOf, loss: FeatureLoss) -> Features:
    """Two untrained models with layers of that size."""
    torch.manual_seed(0)
    student = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(128, 3))
    teacher = nn.Sequential(nn.Conv2d(3, 8, 2, stride=2), nn.Flatten(), nn.Linear(64, 3))
    rows = rows_of_tensors(torch.randn(ROWS, 3, 4, 8), torch.zeros(ROWS, dtype=torch.long))
    outputs = TeacherOutputs(teacher, rows, torch.device("cpu"))
    recipe = plain(feature_loss=loss, feature_weight=1.0, feature_layers=(("0", "0"),))
    found = features_of(student, outputs, rows, recipe, torch.device("cpu"))
    assert found is not None
    return found


def told(features: Features) -> float:
    mine, theirs = ({"0": torch.from_numpy(x).float()} for x in (MINE, THEIRS))
    return float(features.distance(mine, theirs).detach())


def test_the_regressor_of_fitnets_is_a_convolution_of_one_by_one() -> None:
    """Romero et al. 2015, section 2.2, with a kernel of one position: W·x + b at each of them."""
    torch.manual_seed(0)
    regressor, convolution = adapter(4, 8), nn.Conv2d(4, 8, 1)
    convolution.load_state_dict(
        {"weight": regressor.weight[:, :, None, None], "bias": regressor.bias}
    )
    maps = torch.from_numpy(MINE).float()
    found = regressor(maps.flatten(2).transpose(1, 2))
    assert torch.allclose(found, convolution(maps).flatten(2).transpose(1, 2), atol=1e-6)


def test_hints_go_through_the_regressor(plain: RecipeOf) -> None:
    """Equation 3 at each position, the teacher's features normalised over their channels."""
    features = built(plain, FeatureLoss.MSE)
    learned: Any = features._adapters[0]
    weight, bias = (x.detach().numpy().astype(np.float64) for x in learned.parameters())
    apart = []
    for row in range(ROWS):
        for i in range(2):
            for j in range(4):
                theirs = THEIRS[row, :, i, j]
                wanted = (theirs - theirs.mean()) / np.sqrt(theirs.var() + 1e-5)
                apart.append((weight @ POOLED[row, :, i, j] + bias - wanted) ** 2)
    assert told(features) == pytest.approx(np.mean(apart), rel=1e-5)


def test_attention_maps_of_pooled_features(plain: RecipeOf) -> None:
    """Zagoruyko & Komodakis 2017, section 3.1 and equation 2."""
    rows = []
    for mine, theirs in zip(POOLED, THEIRS, strict=True):
        q_s, q_t = ((x**2).sum(0).ravel() for x in (mine, theirs))
        rows.append(((q_s / np.linalg.norm(q_s) - q_t / np.linalg.norm(q_t)) ** 2).sum())
    features = built(plain, FeatureLoss.ATTENTION)
    assert told(features) == pytest.approx(np.mean(rows), rel=1e-5)
    assert not list(features._adapters.parameters())


def test_similar_rows_by_all_features(plain: RecipeOf) -> None:
    """Tung & Mori 2019, equations 1 to 4, times the rows; nothing is pooled."""
    grams = []
    for maps in (MINE, THEIRS):
        flat = maps.reshape(ROWS, -1)
        gram = flat @ flat.T
        grams.append(gram / np.linalg.norm(gram, axis=1, keepdims=True))
    published = np.linalg.norm(grams[0] - grams[1]) ** 2 / ROWS**2
    features = built(plain, FeatureLoss.SIMILARITY)
    assert told(features) == pytest.approx(ROWS * published, rel=1e-5)
    assert not list(features._adapters.parameters())
