"""What ran, as far as the diagnosis tells: sometimes another recipe than the declared one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.diagnosis import Diagnosis, RankedCause
from gapdoctor.domain.findings import Evidence
from gapdoctor.domain.recipe import Distillation, Optimizer, Recipe, TaughtBy

NAMED = 0.5
"""Confidence of a loss imbalance from which the weight in force is taken for what ran."""
KNOWN_BUG = 2.0
"""Factor within which an odds ratio is that of a known bug, as the probe has it."""
BEST_KEPT = "heldout_chose_the_checkpoint"
"""Warning that the checkpoint is the best epoch of its history, not the last."""
COMPLETE = 0.9
"""Share of the declared epochs that counts as all of them, as the learning curves are read."""
DECOUPLED = frozenset({Optimizer.ADAMW})
"""Their weight decay does not compete with the loss (Loshchilov & Hutter 2019, 1711.05101)."""


@dataclass(frozen=True, slots=True)
class Ran:
    """The recipe that ran, and how it departs from the declared one."""

    recipe: Recipe
    """Its schedule spans `recipe.epochs`."""
    epochs: int
    """Epochs that were trained; fewer than the recipe's: it was cut off."""
    departures: tuple[str, ...] = ()
    """One sentence each."""


def what_ran(declared: Recipe, diagnosis: Diagnosis) -> Ran:
    """Return what ran by the effective weight and the learning curves.

    Parameters
    ----------
    declared : Recipe
        Completed, its epochs known.
    diagnosis : Diagnosis
        Whose evidence and tables are read.
    """
    assert declared.epochs is not None
    recipe, told = _in_force(declared, diagnosis)
    done = epochs_logged(diagnosis)
    if done is None or declared.early_stopping or done >= COMPLETE * declared.epochs:
        return Ran(recipe, declared.epochs, told)
    cut = f"The learning curves end after {done} of the {declared.epochs} declared epochs."
    return Ran(recipe, done, (*told, cut))


def keeps_best(recipe: Recipe, diagnosis: Diagnosis) -> Recipe:
    """Return a recipe that keeps its best epoch, where the checkpoint is one.

    Early stopping that waits for as long as the training lasts never stops it.
    """
    chosen = any(warning.id == BEST_KEPT for warning in diagnosis.warnings)
    if not chosen or recipe.early_stopping:
        return recipe
    return replace(recipe, early_stopping=recipe.epochs)


def epochs_logged(diagnosis: Diagnosis) -> int | None:
    """Return how many epochs the learning curves show, or None without any."""
    table = diagnosis.tables.get("history")
    if table is None or "epoch" not in table.columns:
        return None
    at = table.columns.index("epoch")
    numbers = sorted({float(row[at]) for row in table.rows if row[at] is not None})
    if not numbers:
        return None
    gaps = sorted(b - a for a, b in pairwise(numbers))
    # Counted from 0, one step more was made than the last number says.
    step = gaps[len(gaps) // 2] if gaps else 1.0
    return max(1, math.ceil(numbers[-1] + (step if numbers[0] == 0 else 0.0)))


def evidence_of(causes: Iterable[RankedCause], cause: Cause, probe: str) -> list[Evidence]:
    """Return what a probe says for a cause."""
    said = [e for c in causes if c.id is cause for e in c.evidence]
    return [e for e in said if e.probe == probe and e.speaks == "for"]


def _in_force(declared: Recipe, diagnosis: Diagnosis) -> tuple[Recipe, tuple[str, ...]]:
    if declared.distillation not in (None, Distillation.KL):
        return declared, ()  # the weight in force is solved for under plain KL alone
    if declared.taught_by == TaughtBy.ASSISTANT:
        return declared, ()  # the weight was read off by the teacher, whom nobody listened to
    believed = [c for c in diagnosis.causes if c.confidence >= NAMED]
    for fact in evidence_of(believed, Cause.LOSS_IMBALANCE, "effective_weight"):
        if fact.unit == "task weight":
            return _of_weight(declared, fact.value)
        if fact.unit == "odds ratio":
            return _of_ratio(declared, fact.value, len(diagnosis.data.classes))
    return declared, ()


def _of_ratio(declared: Recipe, ratio: float, classes: int) -> tuple[Recipe, tuple[str, ...]]:
    """The loss whose odds are `ratio` times the declared ones (with T² in both)."""
    weight, temperature = declared.task_weight, declared.temperature
    assert weight is not None
    assert temperature is not None
    t2 = temperature**2
    if declared.scale_by_t2:
        bugs = {"T²": t2, "C": float(classes), "T²·C": t2 * classes}
        nearest = min(bugs, key=lambda bug: _far(ratio, bugs[bug]))
        if nearest != "C" and _far(ratio, bugs[nearest]) < math.log(KNOWN_BUG):
            ran = replace(declared, scale_by_t2=False)
            told = (f"The factor T² was missing: at temperature {temperature:g} the distillation "
                    f"loss weighed {t2:g} times less than declared.")  # fmt: skip
            if nearest == "T²":
                return ran, (told,)
            inner, also = _of_weight(ran, _weight_at(classes * weight / (1 - weight)))
            return inner, (told, *also)
    odds = ratio * weight / (1 - weight) * (1.0 if declared.scale_by_t2 else t2)
    return _of_weight(replace(declared, scale_by_t2=True), _weight_at(odds))


def _of_weight(declared: Recipe, weight: float) -> tuple[Recipe, tuple[str, ...]]:
    """The same recipe under another task weight.

    The task term is taken to be as declared, the distillation term to be off: then the whole loss
    is `declared weight / weight` times what a recipe of that weight has.
    """
    assert declared.task_weight is not None
    weight = _short(min(1.0, max(0.0, weight)))
    told = f"The task loss weighed {weight:.2f} instead of the declared {declared.task_weight:.2f}."
    ran = replace(declared, task_weight=weight)
    if declared.task_weight <= 0 or weight <= 0:
        return ran, (told,)
    return _scaled(ran, declared.task_weight / weight), (told,)


def _scaled(recipe: Recipe, scale: float) -> Recipe:
    """Return the recipe that trains like this one under a loss that is `scale` times as large.

    Gradient descent takes steps in proportion to its loss; adaptive optimizers do not. A weight
    decay that is added to the gradients weighs less beside a larger loss.
    """
    if recipe.weight_decay and recipe.optimizer not in DECOUPLED:
        recipe = replace(recipe, weight_decay=_short(recipe.weight_decay / scale))
    if recipe.optimizer is not Optimizer.SGD:
        return recipe
    rates = {
        name: None if value is None else _short(value * scale)
        for name, value in (
            ("lr", recipe.lr), ("max_lr", recipe.max_lr), ("min_lr", recipe.min_lr)
        )
    }  # fmt: skip
    return replace(recipe, lr=rates["lr"], max_lr=rates["max_lr"], min_lr=rates["min_lr"])


def _weight_at(odds: float) -> float:
    return 1.0 if math.isinf(odds) else odds / (1 + odds)


def _far(ratio: float, expected: float) -> float:
    if not 0 < ratio < math.inf or expected <= 1:
        return math.inf
    return abs(math.log(ratio / expected))


def _short(value: float) -> float:
    """To 6 significant digits, as everything that is written."""
    return float(f"{value:.6g}")
