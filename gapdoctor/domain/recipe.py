"""How a student was trained. `None` means unknown, and is printed as such."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Literal


class Optimizer(StrEnum):
    """The optimizers that a recipe can name."""

    SGD = "sgd"
    ADAM = "adam"
    ADAMW = "adamw"
    NADAM = "nadam"
    RADAM = "radam"
    RMSPROP = "rmsprop"
    ADAGRAD = "adagrad"
    ADADELTA = "adadelta"


class Schedule(StrEnum):
    """The learning-rate schedules that a recipe can name."""

    CONSTANT = "constant"
    COSINE = "cosine"
    STEP = "step"
    PLATEAU = "plateau"
    ONECYCLE = "onecycle"


Source = Literal["config", "checkpoint", "sidecar", "default", "unknown"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that training depends on, beside the models and the data.

    loss = task_weight · CE(labels) + (1 − task_weight) · KL(teacher ‖ student at temperature),
    the second term times temperature² where `scale_by_t2` (Hinton et al. 2015, arXiv 1503.02531).
    """

    epochs: int | None = None
    batch_size: int | None = None
    optimizer: Optimizer | None = None
    lr: float | None = None
    momentum: float | None = None
    nesterov: bool | None = None
    betas: tuple[float, float] | None = None
    weight_decay: float | None = None
    schedule: Schedule | None = None
    step_size: int | None = None
    """Epochs between two drops of the `step` schedule."""
    milestones: tuple[int, ...] | None = None
    """Epochs of the drops, instead of `step_size`."""
    gamma: float | None = None
    """Factor of a drop (`step`)."""
    factor: float | None = None
    """Factor of a drop (`plateau`)."""
    patience: int | None = None
    """Epochs without improvement before a drop (`plateau`)."""
    max_lr: float | None = None
    """Peak of `onecycle`."""
    min_lr: float | None = None
    """Where `cosine` and `plateau` end."""
    warmup_epochs: int | None = None
    task_weight: float | None = None
    temperature: float | None = None
    scale_by_t2: bool | None = None
    augment: str | tuple[str, ...] | None = None
    """`where:what` of the user's own, or names of known augmentations; `()` is none at all."""
    label_smoothing: float | None = None
    dropout: float | None = None
    early_stopping: int | None = None
    """Patience in epochs; 0: none."""
    history: str | None = None
    trainer: str | None = None

    def known(self) -> dict[str, Any]:
        """Return the fields that are known, in their order."""
        return {
            f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None
        }


@dataclass(frozen=True, slots=True)
class RecipeRecord:
    """A recipe with where each field came from."""

    recipe: Recipe = field(default_factory=Recipe)
    sources: Mapping[str, Source] = field(default_factory=dict)

    def source(self, key: str) -> Source:
        """Return where `key` came from; `unknown` where nobody said."""
        return self.sources.get(key, "unknown")
