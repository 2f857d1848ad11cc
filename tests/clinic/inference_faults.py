"""Faults that strike a sound student where it is deployed: nothing is trained for them.

Each names the public report that it imitates. A fault has knobs, from mild to severe where they
have an order; how much each hurts is measured (`tests.clinic.planting`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tests.clinic.mishaps import (
    FLIPS,
    broadly_taught,
    classes_reordered,
    columns_moved,
    columns_unscaled,
    exported,
    gained,
    has_batchnorm,
    logged,
    louder,
    normalized,
    priors_changed,
    scaled,
    statistics_stale,
    stepped,
    tailed,
    units_changed,
    world_moved,
)
from tests.clinic.models import StudentSpec
from tests.clinic.pipelines import (
    blurred,
    compressed,
    dimmed,
    flipped,
    powered,
    shrunk,
    swapped,
    turned,
    zoomed,
)
from tests.clinic.scene import Scene

MISMATCH = frozenset({"preprocessing_mismatch"})
SHIFT = frozenset({"distribution_shift"})
OPTIMIZATION = frozenset({"optimization"})
IMBALANCE = frozenset({"loss_imbalance"})


@dataclass(frozen=True)
class InferenceFault:
    """One kind of fault at inference."""

    name: str
    kinds: frozenset[str]
    imitates: str
    """The public report, or the paper."""
    knobs: tuple[Any, ...]
    apply: Callable[[Scene, Any], Scene]
    acts: Literal["pipeline", "data", "model"]
    truth: frozenset[str]
    corrections: frozenset[str] = frozenset()
    """Correction ids that undo it, or do the same to train rows; empty where it has no name."""
    loses: bool = False
    """What it takes cannot be got back: without pipelines it looks like a shift as well."""
    ordered: bool = True
    """Knobs go from mild to severe; else they are different bugs, taken in turn."""
    base: Callable[[StudentSpec], StudentSpec] | None = None
    """A student of its own to strike; None: any sound one."""


PICTURES = frozenset({"grey", "colour"})
MAPS = PICTURES | {"sound"}
ALL = MAPS | {"table"}


FAULTS: tuple[InferenceFault, ...] = (
    InferenceFault(
        "scale", PICTURES, "XiaXuehai/faceboxes#5: pixels from 0 to 255 for 0 to 1",
        (255.0, 1 / 255, 2.0, 0.5, 16.0, 1 / 16), scaled, "pipeline", MISMATCH,
        frozenset({"rescale_input", "normalize", "brightness"}), ordered=False,
    ),
    InferenceFault(
        "normalize", PICTURES, "mr-eggplant/FOA#2: ImageNet's mean and deviation for 0.5 and 0.5",
        ("none", "half", "imagenet", "cifar10", "mnist", "fashion_mnist", "twice"),
        normalized, "pipeline", MISMATCH, frozenset({"normalize", "match_statistics"}),
        ordered=False,
    ),
    InferenceFault(
        "swap_channels", frozenset({"colour"}), "ShiqiYu/SimpleCNNbyCPP#4: BGR for RGB",
        ("bgr",), lambda s, _: stepped(s, swapped), "pipeline", MISMATCH,
        frozenset({"swap_channels"}),
    ),
    InferenceFault(
        "rotate", PICTURES, "a camera's orientation tag that one of two readers ignores",
        (1, 2, 3), lambda s, k: stepped(s, turned(k)), "pipeline", MISMATCH,
        frozenset({"rotate"}), ordered=False,
    ),
    InferenceFault(
        "flip", MAPS, "rows stored from the bottom up; a time axis that runs backwards",
        ("horizontal", "vertical"), lambda s, k: stepped(s, flipped(FLIPS[k])), "pipeline",
        MISMATCH, frozenset({"flip"}), ordered=False,
    ),
    InferenceFault(
        "brightness", PICTURES, "Hendrycks & Dietterich 2019: another exposure",
        (0.85, 0.75, 0.65, 0.55, 0.45, 0.35, 0.27, 0.2, 0.14, 0.1),
        lambda s, k: stepped(s, dimmed(k)), "pipeline", MISMATCH,
        frozenset({"brightness", "rescale_input", "match_statistics"}),
    ),
    InferenceFault(
        "gamma", PICTURES, "linear pixels where gamma-encoded ones were trained on",
        (1 / 2.2, 0.5, 2.0, 2.2), lambda s, k: stepped(s, powered(k)), "pipeline", MISMATCH,
        frozenset({"gamma"}), ordered=False,
    ),
    InferenceFault(
        "blur", PICTURES, "pytorch/vision#2950: resized with another filter, detail lost",
        (0.4, 0.5, 0.6, 0.75, 0.9, 1.1, 1.4, 1.8, 2.5), lambda s, k: stepped(s, blurred(k)),
        "pipeline", MISMATCH, frozenset({"low_resolution", "interpolation"}), loses=True,
    ),
    InferenceFault(
        "low_resolution", PICTURES, "thumbnails enlarged: shift-happens-benchmark/icml-2022#62",
        (1.33, 1.6, 2.0, 2.67, 3.2, 4.0), lambda s, k: stepped(s, shrunk(k)), "pipeline", MISMATCH,
        frozenset({"low_resolution", "interpolation"}), loses=True,
    ),
    InferenceFault(
        "jpeg", frozenset({"colour"}), "Hendrycks & Dietterich 2019: compressed on the way",
        (60, 40, 25, 15, 10, 6, 3), lambda s, k: stepped(s, compressed(k)), "pipeline", MISMATCH,
        frozenset({"jpeg"}), loses=True,
    ),
    InferenceFault(
        "crop_zoom", PICTURES, "Touvron et al. 2019 (FixRes): another crop than in training",
        (1.07, 1.15, 1.34, 1.5, 2.0, 0.93, 0.875, 0.75, 0.65, 0.5),
        lambda s, k: stepped(s, zoomed(k)), "pipeline", MISMATCH, frozenset({"crop_zoom"}),
    ),
    InferenceFault(
        "gain", frozenset({"sound"}), "another microphone gain: decibels off by a constant",
        (3.0, 6.0, 9.0, 12.0, 16.0, 20.0, 26.0, -3.0, -6.0, -9.0, -12.0, -16.0), gained, "pipeline",
        MISMATCH, frozenset({"match_statistics", "brightness", "normalize"}),
    ),
    InferenceFault(
        "log_scale", frozenset({"sound"}), "librosa power_to_db left out, or ln for decibels",
        ("linear", "ln"), logged, "pipeline", MISMATCH,
        frozenset({"db_scale", "rescale_input", "match_statistics", "normalize"}), ordered=False,
    ),
    InferenceFault(
        "permuted_columns", frozenset({"table"}), "a table written anew with its columns resorted",
        ("pair 0", "pair 1", "pair 2", "pair 4", "pair 8", "pair 16", "pair 32", 3, 24),
        columns_moved, "pipeline", MISMATCH,
        frozenset({"permute_columns"}),
    ),
    InferenceFault(
        "units", frozenset({"table"}), "inches for centimetres, or millimetres, in some columns",
        ((1.6, 1), (1.6, 3), (1.6, 8), (2.54, 1), (2.54, 3), (2.54, 8), (10, 1), (10, 6), (10, 24)),
        units_changed, "pipeline", MISMATCH,
        frozenset({"match_statistics", "normalize", "rescale_input"}),
    ),
    InferenceFault(
        "unscaled_columns", frozenset({"table"}), "a scaler that is not applied to new columns",
        (1, 2, 3, 4, 6, 9, 14, 24), columns_unscaled, "pipeline", MISMATCH,
        frozenset({"match_statistics", "normalize"}),
    ),
    InferenceFault(
        "class_order", ALL, "facebookresearch/deit#130: class folders in another order",
        ("offset", "as strings", "two"), classes_reordered, "data", MISMATCH,
        ordered=False,
    ),
    InferenceFault(
        "covariate_shift", ALL, "WILDS (Koh et al. 2021): other writers, places, rooms",
        (0.2, 0.3, 0.4, 0.55, 0.7, 0.85, 1.0, 1.25, 1.5), world_moved, "data", SHIFT,
        base=broadly_taught,
    ),
    InferenceFault(
        "class_priors", ALL, "Lipton et al. 2018 (label shift): another mix of classes",
        (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0), priors_changed, "data", SHIFT, base=tailed,
    ),
    InferenceFault(
        "stale_batchnorm", ALL, "pytorch#4741: running statistics that lag behind",
        (0.97, 0.94, 0.9, 0.85, 0.8, 0.7, 0.6, 0.45, 0.3, 0.15, 0.05), statistics_stale, "model",
        OPTIMIZATION,
    ),
    InferenceFault(
        "output_scale", ALL, "logit-standardization-KD logs: the loss leaves the logit scale free",
        (1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 9.0, 0.6, 0.4, 0.25, 0.15), louder, "model", IMBALANCE,
    ),
    InferenceFault(
        "exported_order", ALL, "mlcommons/inference#550: an export whose classes are off by one",
        (1,), exported, "model", MISMATCH,
    ),
)  # fmt: skip


__all__ = ["FAULTS", "InferenceFault", "has_batchnorm"]
