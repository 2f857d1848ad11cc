"""What is assumed where a recipe is silent; each assumption is told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from gapdoctor.domain.recipe import Average, Distillation, FeatureLoss, Optimizer, Recipe, Schedule

COMMON: dict[str, Any] = {
    "batch_size": 64,
    "optimizer": Optimizer.ADAM,
    "schedule": Schedule.CONSTANT,
    "task_weight": 0.5,
    "temperature": 4.0,
    "scale_by_t2": True,
    "label_smoothing": 0.0,
}
"""Temperature and T²: Hinton et al. 2015 (temperatures of 2 to 10 are usual)."""
LR: dict[Optimizer, float] = {
    Optimizer.SGD: 0.05,
    Optimizer.ADAM: 1e-3,
    Optimizer.ADAMW: 1e-3,
    Optimizer.NADAM: 2e-3,
    Optimizer.RADAM: 1e-3,
    Optimizer.RMSPROP: 1e-2,
    Optimizer.ADAGRAD: 1e-2,
    Optimizer.ADADELTA: 1.0,
}
"""Those of torch; for SGD that of RepDistiller (Tian et al. 2020, arXiv 1910.10699)."""
OF_OPTIMIZER: dict[Optimizer, dict[str, Any]] = {
    Optimizer.SGD: {"momentum": 0.9, "nesterov": False},
    Optimizer.RMSPROP: {"momentum": 0.0},
    Optimizer.ADAM: {"betas": (0.9, 0.999)},
    Optimizer.ADAMW: {"betas": (0.9, 0.999)},
    Optimizer.NADAM: {"betas": (0.9, 0.999)},
    Optimizer.RADAM: {"betas": (0.9, 0.999)},
}
DECAY: dict[Optimizer, float] = {Optimizer.ADAMW: 0.01}
"""Weight decay that torch adds unasked; 0 elsewhere."""
OF_SCHEDULE: dict[Schedule, dict[str, Any]] = {
    Schedule.CONSTANT: {},
    Schedule.COSINE: {"min_lr": 0.0},
    Schedule.STEP: {"gamma": 0.1},
    Schedule.PLATEAU: {"factor": 0.1, "patience": 10, "min_lr": 0.0},
    Schedule.ONECYCLE: {},
}
AVERAGE_FROM = 0.75
"""Share of a training after which `swa` averages (starting value; Izmailov et al. 2018, arXiv
1803.05407, train most of it as usual)."""
OF_DISTILLATION: dict[Distillation, dict[str, Any]] = {
    Distillation.DECOUPLED: {"dkd_alpha": 1.0, "dkd_beta": 8.0}
}
"""Those of its authors (Zhao et al. 2022, arXiv 2203.08679; CIFAR-100)."""
FEATURE_WEIGHT: dict[FeatureLoss, float] = {
    FeatureLoss.MSE: 2.0,
    FeatureLoss.ATTENTION: 5.0,
    FeatureLoss.SIMILARITY: 10.0,
}
"""About a fifth of RepDistiller's (Tian et al. 2020, arXiv 1910.10699; in the units used here about
20 for attention and 47 for similarity), where no distillation loss stands beside them: with more,
students of the tuning part get worse."""
DROPS = (0.5, 0.75)
"""Shares of a training at which `step` drops where no epochs are named (He et al. 2016)."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A recipe that a training can run by."""

    recipe: Recipe
    assumed: tuple[str, ...]
    """Names of the fields that nobody gave and that matter to this training, in order."""


def completed(recipe: Recipe, epochs: int | None = None) -> Completed:
    """Return a recipe without gaps, and what was assumed.

    Parameters
    ----------
    recipe : Recipe
        As far as it is known.
    epochs : int, optional
        What stands for `epochs` where the recipe does not say; places the drops of `step`.
    """
    optimizer = recipe.optimizer or COMMON["optimizer"]
    schedule = recipe.schedule or COMMON["schedule"]
    # plain KL is what the word means where nothing else is said: it is no assumption
    distillation = Distillation(recipe.distillation or Distillation.KL)
    lr = LR[optimizer] if recipe.lr is None else recipe.lr
    wanted = COMMON | {"lr": lr, "weight_decay": DECAY.get(optimizer, 0.0)}
    wanted |= OF_OPTIMIZER.get(optimizer, {}) | OF_SCHEDULE[schedule]
    wanted |= OF_DISTILLATION.get(distillation, {})
    if recipe.feature_loss is not None:
        wanted["feature_weight"] = FEATURE_WEIGHT[FeatureLoss(recipe.feature_loss)]
    if recipe.average == Average.SWA:
        wanted["average_from"] = AVERAGE_FROM
    if schedule is Schedule.ONECYCLE:
        wanted["max_lr"] = lr
    if schedule is Schedule.STEP and recipe.step_size is None:
        span = recipe.epochs or epochs or 1
        drops = {max(1, round(span * share)) for share in DROPS}
        wanted["milestones"] = tuple(sorted(drops))
    missing = {name: value for name, value in wanted.items() if getattr(recipe, name) is None}
    known = replace(recipe, distillation=distillation, **missing)
    return Completed(known, tuple(sorted(missing)))
