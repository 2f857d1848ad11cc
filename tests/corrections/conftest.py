"""Rows of each kind whose right correction is known: made, then damaged."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gapdoctor.corrections._base import Candidate, Context, Correction, all_corrections
from gapdoctor.corrections._statistics import Statistics

Offered = Callable[[str, Context], dict[str, Candidate]]
Change = Callable[[str, str, Tensor], Tensor]


@pytest.fixture(scope="session")
def corrections() -> dict[str, Correction]:
    """Every correction by name."""
    return {correction.name: correction for correction in all_corrections()}


@pytest.fixture(scope="session")
def offered(corrections: dict[str, Correction]) -> Offered:
    """The candidates of one correction in a context, by argument."""
    return lambda name, context: {c.argument: c for c in corrections[name].candidates(context)}


@pytest.fixture(scope="session")
def mend(corrections: dict[str, Correction]) -> Change:
    """A batch after the `undo` of a correction with an argument."""

    def undone(name: str, argument: str, batch: Tensor) -> Tensor:
        candidate = corrections[name].parse(argument)
        assert candidate.undo is not None
        return candidate.undo(batch)

    return undone


@pytest.fixture(scope="session")
def damage(corrections: dict[str, Correction]) -> Change:
    """A batch after the `do` of a correction with an argument."""

    def done(name: str, argument: str, batch: Tensor) -> Tensor:
        candidate = corrections[name].parse(argument)
        assert candidate.do is not None
        return candidate.do(batch)

    return done


@pytest.fixture(scope="session")
def context() -> Callable[..., Context]:
    """What candidates are made from: train rows, held-out rows, and the labels of both."""

    def of(train: Tensor, heldout: Tensor, labels: tuple[Tensor, Tensor] | None = None) -> Context:
        first, second = labels or (None, None)
        return Context(
            Statistics.of(train, first, 3),
            Statistics.of(heldout, second, 3),
            tuple(train.shape[1:]),
        )

    return of


@pytest.fixture(scope="session")
def pixels() -> Callable[..., Tensor]:
    """(n, C, H, W) smooth pictures of bytes from 0 to 1, each channel of another brightness."""

    def make(count: int, seed: int, channels: int = 3, height: int = 16, width: int = 16) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.rand(count, channels, 5, 5, generator=generator)
        smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")
        power = torch.tensor([1.0, 1.5, 2.5, 2.0][:channels]).reshape(1, -1, 1, 1)
        return (255 * smooth.clamp(0, 1) ** power).round() / 255

    return make


@pytest.fixture(scope="session")
def imagenet() -> Callable[[Tensor], Tensor]:
    """Pixels normalised with ImageNet's mean and deviation, as torchvision does it."""
    from torchvision.transforms.functional import normalize

    return lambda batch: normalize(batch, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


@pytest.fixture(scope="session")
def power() -> Callable[[int, int], Tensor]:
    """(n, 12, 20) power spectrograms: positive, over many decades."""

    def make(count: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        slope = torch.linspace(2, -3, 12).reshape(1, 12, 1)
        return torch.exp(2 * torch.randn(count, 12, 20, generator=generator) + slope)

    return make


@pytest.fixture(scope="session")
def table() -> Callable[[int, int], tuple[Tensor, Tensor]]:
    """(n, 6) columns of other units and shapes, and labels (n,) of three classes."""

    def make(count: int, seed: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        labels = torch.randint(3, (count,), generator=generator)
        noise = torch.randn(count, 6, generator=generator)
        lean = torch.tensor([[0.0, 1, 2, 0, -2, 0], [1, 0, -1, 2, 0, 0], [-1, 2, 0, 1, 1, 0]])
        units = torch.tensor([1.0, 10, 0.1, 5, 0.5, 30])
        offsets = torch.tensor([0.0, 50, 2, -20, 1, 300])
        rows = (noise + lean[labels]) * units + offsets
        rows[:, 4] = rows[:, 4].exp()
        return rows, labels

    return make
