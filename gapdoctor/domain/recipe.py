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


class Distillation(StrEnum):
    """The distillation losses that a recipe can name."""

    KL = "kl"
    """KL(teacher ‖ student at temperature) (Hinton et al. 2015, arXiv 1503.02531)."""
    DECOUPLED = "decoupled"
    """The target class and the other classes apart (Zhao et al. 2022, arXiv 2203.08679)."""
    STANDARDIZED = "standardized"
    """Each row's logits as z-scores first (Sun et al. 2024, arXiv 2403.01427)."""


class Average(StrEnum):
    """What of a training's weights is kept, beside the last ones."""

    NONE = "none"
    EMA = "ema"
    """Their exponential moving average (Polyak & Juditsky 1992; Morales-Brotons et al. 2024, arXiv
    2411.18704)."""
    SWA = "swa"
    """The plain mean of its last part (Izmailov et al. 2018, arXiv 1803.05407)."""


class FeatureLoss(StrEnum):
    """What a recipe can compare the features of student and teacher by."""

    MSE = "mse"
    """Mean squared difference, whitened (FitNets: Romero et al. 2015, arXiv 1412.6550)."""
    ATTENTION = "attention"
    """Where they are large (Zagoruyko & Komodakis 2017, arXiv 1612.03928)."""
    SIMILARITY = "similarity"
    """Which rows they find alike (Tung & Mori 2019, arXiv 1907.09682)."""


class TaughtBy(StrEnum):
    """From whom a student learns beside the labels."""

    TEACHER = "teacher"
    ASSISTANT = "assistant"
    """A model of a size in between (Mirzadeh et al. 2020, arXiv 1902.03393)."""


Source = Literal["config", "checkpoint", "sidecar", "default", "unknown"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that training depends on, beside the models and the data.

    loss = task_weight · CE(labels) + (1 − task_weight) · KL(teacher ‖ student at temperature),
    the second term times temperature² where `scale_by_t2` (Hinton et al. 2015, arXiv 1503.02531).
    `distillation` names another second term (`gapdoctor.training.losses`). With a `feature_loss`
    comes + feature_weight · its mean over the pairs of layers (`gapdoctor.training.features`).
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
    distillation: Distillation | None = None
    dkd_alpha: float | None = None
    """What the target class weighs (`decoupled`)."""
    dkd_beta: float | None = None
    """What the other classes weigh (`decoupled`)."""
    augment: str | tuple[str, ...] | None = None
    """`where:what` of the user's own, or names of known augmentations; `()` is none at all."""
    label_smoothing: float | None = None
    dropout: float | None = None
    early_stopping: int | None = None
    """Patience in epochs; 0: none."""
    average: Average | None = None
    average_decay: float | None = None
    """What is left of the average after a step (`ema`); unknown: by the number of steps."""
    average_from: float | None = None
    """Share of the training after which it is averaged (`swa`)."""
    taught_by: TaughtBy | None = None
    feature_loss: FeatureLoss | None = None
    """Unknown: none. The other three say nothing without it."""
    feature_weight: float | None = None
    feature_layers: tuple[tuple[str, str], ...] | None = None
    """Paths of layers, (in the student, in the teacher); unknown: they are paired by gapdoctor."""
    hint_epochs: int | None = None
    """First epochs, of which the feature loss is all; later it is no part of the loss. 0 or
    unknown: it is a part throughout."""
    history: str | None = None
    trainer: str | None = None

    def known(self) -> dict[str, Any]:
        """Return the fields that are known, in their order."""
        return {
            f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None
        }


SELDOM = (
    "dkd_alpha", "dkd_beta", "average", "average_decay", "average_from",
    "taught_by", "feature_loss", "feature_weight", "feature_layers", "hint_epochs",
)  # fmt: skip
"""Fields of what few trainings do: unknown means that it is not done, and nobody is asked."""


@dataclass(frozen=True, slots=True)
class RecipeRecord:
    """A recipe with where each field came from."""

    recipe: Recipe = field(default_factory=Recipe)
    sources: Mapping[str, Source] = field(default_factory=dict)

    def source(self, key: str) -> Source:
        """Return where `key` came from; `unknown` where nobody said."""
        return self.sources.get(key, "unknown")
