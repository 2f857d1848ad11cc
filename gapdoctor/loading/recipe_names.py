"""The names that training scripts give to what a recipe holds.

A name is mapped only where its meaning is certain. `alpha` is not: half of the scripts weigh the
task loss by it, half the distillation loss. Such names become notes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gapdoctor.loading.recipe_fields import Found

_FIELD_OF = {
    alias: name
    for name, aliases in {
        "epochs": "epochs num_epochs max_epochs n_epochs num_train_epochs total_epochs",
        "batch_size": "batch_size train_batch_size batchsize",
        "optimizer": "optimizer opt optim optimizer_name optimizer_type",
        "lr": "lr learning_rate base_lr lr0 init_lr initial_lr",
        "momentum": "momentum",
        "nesterov": "nesterov",
        "betas": "betas opt_betas adam_betas",
        "weight_decay": "weight_decay wd",
        "schedule": "schedule scheduler lr_scheduler sched lr_schedule lr_scheduler_type",
        "step_size": "step_size lr_step_size",
        "milestones": "milestones lr_milestones lr_decay_epochs",
        "gamma": "lr_gamma lr_decay_rate",
        "min_lr": "min_lr lr_min eta_min",
        "max_lr": "max_lr",
        "warmup_epochs": "warmup_epochs lr_warmup_epochs",
        "task_weight": "task_weight",
        "temperature": "temperature kd_t kd_temperature kd_temp distillation_temperature "
        "distill_temperature distillation_tau",
        "scale_by_t2": "scale_by_t2",
        "distillation": "distillation distill",
        "dkd_alpha": "dkd_alpha",
        "dkd_beta": "dkd_beta",
        "label_smoothing": "label_smoothing smoothing",
        "dropout": "dropout dropout_rate drop_rate",
        "early_stopping": "early_stopping early_stopping_patience",
    }.items()
    for alias in aliases.split()
}
_WEIGHTS = (
    "alpha", "beta", "lambda", "lambda_kd", "kd_alpha", "alpha_kd", "kd_weight", "distill_weight",
    "distillation_alpha", "distillation_weight", "kd_loss_weight", "ce_weight", "soft_weight",
)  # fmt: skip
_TEMPERATURES = ("t", "tau", "temp")
_AUGMENTATIONS = (
    "augment", "aa", "auto_augment", "augmentation", "mixup", "mixup_alpha", "cutmix",
    "cutmix_alpha", "random_erase", "reprob", "color_jitter", "hflip", "ra_magnitude",
)  # fmt: skip
_INNER = ("optimizer", "optim", "scheduler", "train", "training", "distillation", "kd", "trainer")
"""Sections of a nested config whose names mean what they mean at its top."""
_DISTILLS = ("teacher", "kd", "distill")


def read_names(given: Mapping[str, Any]) -> Found:
    """Return what a mapping of script arguments says of the recipe.

    Parameters
    ----------
    given : mapping
        `args`, `hyper_parameters` and alike, plain data.
    """
    flat = _flattened(given)
    found = Found()
    for name, value in flat.items():
        if name in _FIELD_OF:
            found.add(_FIELD_OF[name], value)
    _note_weights(flat, found)
    _read_temperature(flat, found)
    used = [f"{n} = {flat[n]!r}" for n in _AUGMENTATIONS if flat.get(n) not in (None, 0, "", False)]
    if used:
        found.note("augment", f"Augmentation named in the file: {', '.join(used)[:200]}.")
    return found


def _flattened(given: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in given.items():
        key = _key(name)
        if isinstance(value, Mapping) and key in _INNER:
            inner = {_key(n): v for n, v in value.items()}
            if key in ("optimizer", "optim", "scheduler"):
                flat.setdefault(key, inner.get("name", inner.get("type")))
            flat.update({n: v for n, v in inner.items() if n not in flat})
        elif flat.get(key) is None:
            flat[key] = value
    return flat


def _key(name: Any) -> str:
    return str(name).lower().replace("-", "_").lstrip("_")


def _note_weights(flat: Mapping[str, Any], found: Found) -> None:
    told = [f"{n} = {flat[n]!r}" for n in _WEIGHTS if isinstance(flat.get(n), int | float)]
    if told and "task_weight" not in found.values:
        found.note(
            "task_weight",
            f"The file says {', '.join(told)}; scripts differ in which loss that weighs: "
            "set [recipe] task_weight, the weight of the task loss.",
        )


def _read_temperature(flat: Mapping[str, Any], found: Found) -> None:
    """`T` is the temperature where a script distils, and anything elsewhere."""
    distils = any(word in name for name in flat for word in _DISTILLS)
    for name in _TEMPERATURES:
        if name not in flat or "temperature" in found.values:
            continue
        if distils:
            found.add("temperature", flat[name])
        else:
            found.note(
                "temperature",
                f"The file says {name} = {flat[name]!r}, which may be the temperature: "
                "set [recipe] temperature.",
            )
