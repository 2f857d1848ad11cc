"""Values from foreign files, made into values of a recipe's fields; what is unsure is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gapdoctor.domain.recipe import (
    Average,
    Distillation,
    FeatureLoss,
    Optimizer,
    Recipe,
    Schedule,
    TaughtBy,
)
from gapdoctor.loading.keys import SECTIONS


@dataclass(slots=True)
class Found:
    """What one source says of a recipe."""

    values: dict[str, Any] = field(default_factory=dict)
    """Field of `Recipe` -> value."""
    notes: list[tuple[str, str]] = field(default_factory=list)
    """What it says that is not certain enough to be a value: (field, one sentence)."""

    def add(self, name: str, value: Any) -> None:
        """Take `value` for the field `name` where it is usable and none is known yet."""
        usable = coerced(name, value)
        if usable is not None:
            self.values.setdefault(name, usable)

    def note(self, name: str, sentence: str) -> None:
        """Keep a sentence about the field `name`; it is told only while that is unknown."""
        self.notes.append((name, sentence))

    def extend(self, other: Found) -> None:
        """Take what another, less trusted source knows beside this one."""
        self.values = {**other.values, **self.values}
        self.notes += [note for note in other.notes if note not in self.notes]


def coerced(name: str, value: Any) -> Any:
    """Return `value` as the recipe's field `name` holds it; None where the config would refuse it.

    Optimizers and schedules are understood as trainers name them (`StepLR`, `adamw_torch`).
    """
    kind = SECTIONS["recipe"].get(name)
    if kind is None or value is None:
        return None
    meant = _MEANT.get(name, _whole)(value)
    if meant is None or not kind.fits(meant):
        return None
    if isinstance(meant, list | tuple):
        return tuple(tuple(m) if isinstance(m, list) else m for m in meant)
    is_float = "float" in Recipe.__annotations__[name] and isinstance(meant, int)
    return float(meant) if is_float else meant


def _whole(value: Any) -> Any:
    """JSON and YAML know no whole numbers: 24.0 epochs are 24."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _milestones(value: Any) -> Any:
    if isinstance(value, dict):  # MultiStepLR keeps its milestones as a Counter
        return sorted(value)
    if isinstance(value, str):  # RepDistiller: "150,180,210"
        parts = [part.strip() for part in value.split(",")]
        return [int(part) for part in parts] if all(p.isdigit() for p in parts) else None
    return value


def _names(value: Any) -> Any:
    """A table asks for a call, and what a file names is never called."""
    listed = value if isinstance(value, list | tuple) else [value]
    return value if all(isinstance(item, str) for item in listed) else None


def _optimizer(value: Any) -> Optimizer | None:
    return _OPTIMIZERS.get(value.lower()) if isinstance(value, str) else None


def _schedule(value: Any) -> Schedule | None:
    return _SCHEDULES.get(value.lower()) if isinstance(value, str) else None


def _distillation(value: Any) -> Distillation | None:
    return _DISTILLATIONS.get(value.lower()) if isinstance(value, str) else None


def _one_of(names: type[StrEnum], value: Any) -> StrEnum | None:
    return names(value) if value in list(names) else None


_OPTIMIZERS = {
    **{o.value: o for o in Optimizer},
    "momentum": Optimizer.SGD,  # timm's name of SGD without Nesterov
    "adamw_torch": Optimizer.ADAMW,
    "adamw_torch_fused": Optimizer.ADAMW,
}
_SCHEDULES = {
    **{s.value: s for s in Schedule},
    "cosineannealinglr": Schedule.COSINE,
    "cosineannealing": Schedule.COSINE,
    "cosine_annealing": Schedule.COSINE,
    "steplr": Schedule.STEP,
    "multistep": Schedule.STEP,
    "multisteplr": Schedule.STEP,
    "reducelronplateau": Schedule.PLATEAU,
    "onecyclelr": Schedule.ONECYCLE,
    "one_cycle": Schedule.ONECYCLE,
    "none": Schedule.CONSTANT,
}
_DISTILLATIONS = {
    **{d.value: d for d in Distillation},
    "kd": Distillation.KL,  # RepDistiller's and mdistiller's names
    "dkd": Distillation.DECOUPLED,
}
_MEANT: Mapping[str, Callable[[Any], Any]] = {
    "optimizer": _optimizer,
    "schedule": _schedule,
    "milestones": _milestones,
    "distillation": _distillation,
    "augment": _names,
    "trainer": _names,
    "average": lambda value: _one_of(Average, value),
    "taught_by": lambda value: _one_of(TaughtBy, value),
    "feature_loss": lambda value: _one_of(FeatureLoss, value),
}
