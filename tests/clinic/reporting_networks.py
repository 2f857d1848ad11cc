"""Families of the reporting part."""

from __future__ import annotations

import torch
from torch import nn

Shape = tuple[int, ...]


def depthwise_cnn(shape: Shape, classes: int, width: int) -> nn.Module:
    """Depthwise separable convolutions with BatchNorm, as in MobileNet."""

    def block(entering: int, leaving: int, stride: int) -> list[nn.Module]:
        return [
            nn.Conv2d(entering, entering, 3, stride, 1, groups=entering, bias=False),
            nn.BatchNorm2d(entering),
            nn.ReLU6(),
            nn.Conv2d(entering, leaving, 1, bias=False),
            nn.BatchNorm2d(leaving),
            nn.ReLU6(),
        ]

    return nn.Sequential(
        nn.Conv2d(shape[0], width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU6(),
        *block(width, 2 * width, 2),
        *block(2 * width, 3 * width, 2),
        nn.Flatten(),
        nn.Linear(3 * width * -(-shape[1] // 4) * -(-shape[2] // 4), classes),
    )


class _Mixing(nn.Module):
    """Mix the tokens, then the channels (Tolstikhin et al. 2021)."""

    def __init__(self, tokens: int, channels: int) -> None:
        super().__init__()
        self.before = nn.LayerNorm(channels)
        self.across = nn.Sequential(nn.Linear(tokens, tokens), nn.GELU(), nn.Linear(tokens, tokens))
        self.within = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, 2 * channels),
            nn.GELU(),
            nn.Linear(2 * channels, channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.across(self.before(x).transpose(1, 2)).transpose(1, 2)
        mixed: torch.Tensor = x + self.within(x)
        return mixed


class _Patches(nn.Module):
    """(N, C, H, W) -> (N, tokens, channels), by 4×4 patches."""

    def __init__(self, entering: int, channels: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(entering, channels, 4, stride=4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.project(x).flatten(2).transpose(1, 2)
        return made


def patch_mixer(shape: Shape, classes: int, width: int) -> nn.Module:
    """Patches and two mixing layers with LayerNorm."""
    tokens = (shape[1] // 4) * (shape[2] // 4)
    return nn.Sequential(
        _Patches(shape[0], 2 * width),
        _Mixing(tokens, 2 * width),
        _Mixing(tokens, 2 * width),
        nn.LayerNorm(2 * width),
        nn.Flatten(),
        nn.Linear(2 * width * tokens, classes),
    )


def groupnorm_cnn(shape: Shape, classes: int, width: int) -> nn.Module:
    """Strided convolutions with GroupNorm and SiLU."""
    flat = 4 * width * -(-shape[1] // 8) * -(-shape[2] // 8)
    return nn.Sequential(
        nn.Conv2d(shape[0], width, 3, stride=2, padding=1),
        nn.GroupNorm(1, width),
        nn.SiLU(),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
        nn.GroupNorm(2, 2 * width),
        nn.SiLU(),
        nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(flat, classes),
    )


class _Frames(nn.Module):
    """(N, 1, F, T) -> (N, F, T): frequencies are the channels of a convolution over time."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.squeeze(1)


def time_cnn(shape: Shape, classes: int, width: int) -> nn.Module:
    """Convolutions over time with BatchNorm."""
    return nn.Sequential(
        _Frames(),
        nn.Conv1d(shape[1], 2 * width, 5, padding=2),
        nn.BatchNorm1d(2 * width),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(2 * width, 2 * width, 3, padding=1),
        nn.BatchNorm1d(2 * width),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Flatten(),
        nn.Linear(2 * width * (shape[2] // 4), classes),
    )


class _Attention(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.before = nn.LayerNorm(channels)
        self.heads = nn.MultiheadAttention(channels, 2, batch_first=True)
        self.within = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, 2 * channels),
            nn.GELU(),
            nn.Linear(2 * channels, channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normed = self.before(x)
        x = x + self.heads(normed, normed, normed, need_weights=False)[0]
        attended: torch.Tensor = x + self.within(x)
        return attended


class _Tokens(nn.Module):
    """(N, 1, F, T) -> (N, T/2, channels): two frames a token, with learned positions."""

    def __init__(self, shape: Shape, channels: int) -> None:
        super().__init__()
        self.project = nn.Linear(2 * shape[1], channels)
        self.places = nn.Parameter(0.02 * torch.randn(shape[2] // 2, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        frames = x.squeeze(1).transpose(1, 2)
        pairs = frames.reshape(len(x), frames.shape[1] // 2, -1)
        made: torch.Tensor = self.project(pairs) + self.places
        return made


def attention(shape: Shape, classes: int, width: int) -> nn.Module:
    """Two layers of self-attention over pairs of frames."""
    channels = 2 * width
    return nn.Sequential(
        _Tokens(shape, channels),
        _Attention(channels),
        _Attention(channels),
        nn.LayerNorm(channels),
        nn.Flatten(),
        nn.Linear(channels * (shape[2] // 2), classes),
    )
