"""Every key of `gapdoctor.toml`, with what its value may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gapdoctor.domain.recipe import (
    Average,
    Distillation,
    FeatureLoss,
    Optimizer,
    Schedule,
    TaughtBy,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value may be."""

    said: str
    """Completes "… is not …"."""
    fits: Callable[[Any], bool]
    names: tuple[str, ...] = ()
    """The allowed names, where it is a choice."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_list_of(value: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(value, list | tuple) and all(fits(v) for v in value)


def _number(said: str, fits: Callable[[float], bool]) -> Kind:
    return Kind(f"a number {said}", lambda v: _is_number(v) and fits(v))


def _whole(least: int) -> Kind:
    return Kind(f"a whole number of at least {least}", lambda v: _is_whole(v) and v >= least)


def _choice(names: Iterable[str]) -> Kind:
    allowed = tuple(str(n) for n in names)
    return Kind(f"one of {', '.join(allowed)}", lambda v: v in allowed, allowed)


def _is_ascending(value: Any) -> bool:
    return _is_list_of(value, lambda v: _is_whole(v) and v > 0) and list(value) == sorted(
        set(value)
    )


TEXT = Kind("a string", _is_text)
TABLE = Kind("a table, such as { width = 16 }", lambda v: isinstance(v, Mapping))
FLAG = Kind("true or false", lambda v: isinstance(v, bool))
POSITIVE = _number("above 0", lambda v: v > 0)
NOT_NEGATIVE = _number("of at least 0", lambda v: v >= 0)
SHARE = _number("from 0 to 1", lambda v: 0 <= v <= 1)
BELOW_ONE = _number("from 0 to below 1", lambda v: 0 <= v < 1)
FACTOR = _number("above 0 and at most 1", lambda v: 0 < v <= 1)
NAMES = Kind("a list of different names", lambda v: _is_list_of(v, _is_text) and _all_differ(v))
CLASSES = Kind(NAMES.said, lambda v: NAMES.fits(v) and len(v) > 0)
THING = Kind(
    'a string such as "run.py:name", or a table { call = "run.py:name", args = { … } }',
    lambda v: _is_text(v) or isinstance(v, Mapping),
)
THING_OR_NAMES = Kind(
    f'{THING.said}, or a list such as ["run.py:augment", "flip", "mixup"]',
    lambda v: THING.fits(v) or _is_list_of(v, THING.fits),
)
BETAS = Kind(
    "two numbers from 0 to below 1",
    lambda v: _is_list_of(v, BELOW_ONE.fits) and len(v) == 2,
)
EPOCHS = Kind("a list of rising whole numbers above 0", _is_ascending)


PAIRS = Kind(
    'a list of pairs of layers, such as [["features.3", "layer2"]] (student, teacher)',
    lambda v: (
        _is_list_of(v, lambda pair: _is_list_of(pair, _is_text) and len(pair) == 2) and len(v) > 0
    ),
)


def _all_differ(names: Iterable[str]) -> bool:
    names = list(names)
    return len(set(names)) == len(names)


AUGMENTATIONS = (
    "flip", "crop", "rotate", "erase", "color_jitter", "time_mask", "frequency_mask", "noise",
    "scale", "mixup",
)  # fmt: skip
"""Names that `[recipe] augment` may list; here, since what does them imports torch."""

SECTIONS: dict[str, dict[str, Kind]] = {
    "student": {
        "model": THING,
        "args": TABLE,
        "checkpoint": TEXT,
        "key": TEXT,
        "larger": TABLE,
        "output_temperature": POSITIVE,
        "folded_temperature": POSITIVE,
    },
    "teacher": {"model": THING, "args": TABLE, "checkpoint": TEXT, "key": TEXT, "logits": TEXT},
    "assistant": {"model": THING, "args": TABLE, "checkpoint": TEXT, "key": TEXT},
    "data": {
        "train": THING,
        "heldout": THING,
        "test": THING,
        "groups": THING,
        "classes": CLASSES,
        "input": TEXT,
        "label": TEXT,
    },
    "preprocess": {"train": THING, "inference": THING, "teacher": THING, "corrections": NAMES},
    "recipe": {
        "epochs": _whole(1),
        "batch_size": _whole(1),
        "optimizer": _choice(Optimizer),
        "lr": POSITIVE,
        "momentum": BELOW_ONE,
        "nesterov": FLAG,
        "betas": BETAS,
        "weight_decay": NOT_NEGATIVE,
        "schedule": _choice(Schedule),
        "step_size": _whole(1),
        "milestones": EPOCHS,
        "gamma": FACTOR,
        "factor": BELOW_ONE,
        "patience": _whole(0),
        "max_lr": POSITIVE,
        "min_lr": NOT_NEGATIVE,
        "warmup_epochs": _whole(0),
        "task_weight": SHARE,
        "temperature": POSITIVE,
        "scale_by_t2": FLAG,
        "distillation": _choice(Distillation),
        "dkd_alpha": NOT_NEGATIVE,
        "dkd_beta": NOT_NEGATIVE,
        "augment": THING_OR_NAMES,
        "label_smoothing": BELOW_ONE,
        "dropout": BELOW_ONE,
        "early_stopping": _whole(0),
        "average": _choice(Average),
        "average_decay": BELOW_ONE,
        "average_from": BELOW_ONE,
        "taught_by": _choice(TaughtBy),
        "feature_loss": _choice(FeatureLoss),
        "feature_weight": POSITIVE,
        "feature_layers": PAIRS,
        "hint_epochs": _whole(0),
        "history": TEXT,
        "trainer": THING,
    },
}

TABLE_KEYS: dict[str, Kind] = {"call": TEXT, "args": TABLE, "batched": FLAG}
"""Keys of `{ call, args, batched }`."""
PIPELINES = ("preprocess.train", "preprocess.inference", "preprocess.teacher")
"""The only things that `batched` says something of."""
