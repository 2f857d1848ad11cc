"""Small pairs of models: convolutional, a transformer, plain; trained for a moment."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from gapdoctor.observe.borrow import own_random_state


class Residual(nn.Module):
    """A block with a forward of its own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.norm(self.conv(x)) + x)  # type: ignore[no-any-return]


def conv(width: int, blocks: int = 2) -> nn.Module:
    """A residual network for (3, 8, 8): a stem, two stages, a head."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.Sequential(*(Residual(width) for _ in range(blocks))),
        nn.MaxPool2d(2),
        nn.Sequential(*(Residual(width) for _ in range(blocks))),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(width, 3),
    )


class Tokens(nn.Module):
    """A transformer for (6 tokens, 5)."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.embed = nn.Linear(5, width)
        layer = nn.TransformerEncoderLayer(width, 2, 2 * width, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers)
        self.head = nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(self.embed(x)).mean(1))  # type: ignore[no-any-return]


def plain(*widths: int) -> nn.Module:
    """A multilayer perceptron for (4,)."""
    layers: list[nn.Module] = []
    for one, other in zip((4, *widths), widths, strict=False):
        layers += [nn.Linear(one, other), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 3))


BUILT: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module], tuple[int, ...]]] = {
    "conv": (lambda: conv(4), lambda: conv(8, 3), (3, 8, 8)),
    "tokens": (lambda: Tokens(8, 2), lambda: Tokens(16, 4), (6, 5)),
    "plain": (lambda: plain(8, 8), lambda: plain(32, 32, 32), (4,)),
}
KINDS = pytest.mark.parametrize("kind", BUILT)


@pytest.fixture
def models() -> Callable[[str], tuple[nn.Module, nn.Module, torch.Tensor]]:
    """A student, a teacher and 40 rows of a kind."""

    def build(kind: str) -> tuple[nn.Module, nn.Module, torch.Tensor]:
        student, teacher, shape = BUILT[kind]
        with own_random_state(3):
            return student(), teacher(), torch.randn(40, *shape)

    return build
