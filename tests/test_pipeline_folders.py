"""`diagnose` on folders of pictures whose data sets carry their transforms."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import datasets, transforms

from gapdoctor import Case
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.diagnosis import Verdict


def columns() -> nn.Module:
    """Knows the class by the brighter of two pixel columns."""
    weight = torch.zeros(2, 3, 8, 8)
    weight[0, :, :, 1], weight[1, :, :, 6] = 1.0, 1.0
    head = nn.Linear(3 * 8 * 8, 2, bias=False)
    with torch.no_grad():
        head.weight.copy_(weight.flatten(1))
    return nn.Sequential(nn.Flatten(), head)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PNGs of two classes in class folders, for train and held-out."""
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for split in ("train", "heldout"):
        for number, name in enumerate(("left", "right")):
            (root / split / name).mkdir(parents=True)
            for i in range(60):
                pixels = rng.integers(0, 150, (8, 8, 3)).astype(np.uint8)
                pixels[:, (1, 6)[number]] += 100
                Image.fromarray(pixels).save(root / split / name / f"{i}.png")
    return root


TRAIN = transforms.Compose([
    transforms.RandomCrop(8, padding=2), transforms.RandomHorizontalFlip(), transforms.ToTensor()
])  # fmt: skip
PLAIN = transforms.Compose([transforms.Resize(8), transforms.CenterCrop(8), transforms.ToTensor()])
MIRRORED = transforms.Compose([transforms.RandomHorizontalFlip(p=1), transforms.ToTensor()])


@pytest.mark.parametrize(("deployed", "verdict"), [
    (PLAIN, Verdict.HEALTHY), (MIRRORED, Verdict.GENERALIZATION_GAP)
])  # fmt: skip
def test_swapping_the_transforms_of_image_folders_is_a_mirror_test(
    planted: ModuleType, folder: Path, deployed: Any, verdict: Verdict
) -> None:
    train = datasets.ImageFolder(folder / "train", transform=TRAIN)
    heldout = datasets.ImageFolder(folder / "heldout", transform=deployed)
    found = planted.asked(Case(columns(), columns(), train, heldout))
    assert found.verdict is verdict
    assert found.data.classes == ("left", "right")
    assert "RandomHorizontalFlip: dropped" in " ".join(found.notes)
    assert found.warnings == ()
    assert train.transform is TRAIN
    if verdict is not Verdict.HEALTHY:
        assert planted.named(found) == [Cause.PREPROCESSING_MISMATCH]
        assert found.causes[0].evidence[0].limit == 2 * found.gap.limit
