"""Mixup against `torchvision.transforms.v2.MixUp`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from gapdoctor.training.views import View, mixed

CHANCE = torch.Generator().manual_seed(0)
VIEW = View(
    np.arange(4), torch.randn(4, 3, 5, 5, generator=CHANCE), torch.tensor([0, 1, 2, 0])
)  # fmt: skip
AS_THEIRS = np.array([3, 0, 1, 2])
"""Torchvision mixes each row with the one before it, where we draw which."""
SEEDS = []
for _seed in range(1_000):
    _drawn = np.random.default_rng(_seed)
    _drawn.beta(1.0, 1.0)
    if (_drawn.permutation(4) == AS_THEIRS).all():
        SEEDS.append(_seed)


@pytest.mark.parametrize("seed", SEEDS[:5])
def test_rows_and_labels(seed: int) -> None:
    """By its share λ of the row itself, and in its order of the rows."""
    ours = mixed(VIEW, 1.0, np.random.default_rng(seed))
    shared = {"lam": ours.share, "batch_size": 4, "labels": VIEW.labels}
    mixup = v2.MixUp(num_classes=3)
    assert torch.allclose(ours.inputs, mixup.transform(VIEW.inputs, shared), atol=1e-6)
    assert torch.allclose(ours.targets(3), mixup.transform(VIEW.labels, shared), atol=1e-6)


def test_the_share_has_the_same_distribution() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    for alpha in (0.2, 1.0):
        mixup = v2.MixUp(alpha=alpha, num_classes=3)
        theirs = [mixup.make_params([])["lam"] for _ in range(2_000)]
        ours = [mixed(VIEW, alpha, rng).share for _ in range(2_000)]
        levels = np.linspace(0.05, 0.95, 7)
        assert np.quantile(ours, levels) == pytest.approx(np.quantile(theirs, levels), abs=0.05)
