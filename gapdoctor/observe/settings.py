"""How much of a pair is looked at, and how."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How much is looked at, and how."""

    seed: int = 0
    max_samples: int = 10_000
    batch_size: int = 256
    device: str = "auto"
    train_probes: bool = False
    """Whether probes may train copies of the student."""
