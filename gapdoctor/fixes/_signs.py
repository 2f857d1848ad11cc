"""What several fixes read off the evidence of a diagnosis."""

from __future__ import annotations

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.recipe import Optimizer, Recipe
from gapdoctor.fixes._patient import Patient
from gapdoctor.training.defaults import LR

UNFINISHED = "nats an epoch"
"""Unit of the evidence that learning curves give for an unfinished training; an unstable one is
told in shares or epochs."""


def unstable(patient: Patient) -> bool:
    """Tell whether the learning curves show oscillation or divergence."""
    said = patient.says(Cause.OPTIMIZATION, "history")
    return any(fact.unit != UNFINISHED for fact in said)


def unfinished(patient: Patient) -> bool:
    """Tell whether they show a training that ended before it was done."""
    return any(f.unit == UNFINISHED for f in patient.says(Cause.OPTIMIZATION, "history"))


def rises(patient: Patient) -> bool:
    """Tell whether they show a held-out loss that has risen since its minimum."""
    return bool(patient.says(Cause.OVERFITTING, "history"))


def continued_at(patient: Patient, beginning: str) -> bool:
    """Tell whether short continuations did better at another rate, told in these first words."""
    said = patient.says(Cause.OPTIMIZATION, "continuation")
    return any(fact.statement.startswith(beginning) for fact in said)


def usual_rate(recipe: Recipe) -> float:
    """Return the usual learning rate of a recipe's optimizer.

    Momentum m makes steps 1/(1 − m) times as long: without it the rate may be that much higher.
    """
    assert recipe.optimizer is not None
    usual = LR[recipe.optimizer]
    if recipe.optimizer is Optimizer.SGD:
        return usual * (1 - (recipe.momentum or 0.0)) / 0.1  # the usual one is that at 0.9
    return usual


def effective_rate(recipe: Recipe) -> float:
    """Return the learning rate with what momentum makes of it."""
    assert recipe.lr is not None
    momentum = recipe.momentum or 0.0 if recipe.optimizer is Optimizer.SGD else 0.0
    return recipe.lr / (1 - momentum)


def labels_weight(recipe: Recipe) -> float:
    """Return what the labels weigh in the gradients: without the factor T² more than declared.

    Every distillation loss has that factor, and weighs about as much as plain KL.
    """
    weight, temperature = recipe.task_weight or 0.0, recipe.temperature or 1.0
    scale = 1.0 if recipe.scale_by_t2 else temperature**-2
    whole = weight + (1 - weight) * scale
    return weight / whole if whole > 0 else 1.0


def teachers_overconfidence(patient: Patient) -> float | None:
    """Return how far the teacher's mean confidence is above its accuracy, as a share of its errors.

    On held-out rows: 1 is a teacher that is sure of all that it gets wrong, 0 one that is as sure
    as it is right; below 0 it is too modest. None where the diagnosis does not tell.
    """
    table = patient.diagnosis.tables.get("reliability")
    told = [] if table is None else [dict(zip(table.columns, r, strict=True)) for r in table.rows]
    bins = [b for b in told if (b["model"], b["split"]) == ("teacher", "heldout")]
    rows = sum(float(b["rows"]) for b in bins)
    errors = sum(float(b["rows"]) * (1 - float(b["accuracy"])) for b in bins)
    doubts = sum(float(b["rows"]) * (1 - float(b["confidence"])) for b in bins)
    return (errors - doubts) / errors if rows and errors > 0 else None


def logged_end_of_rate(patient: Patient) -> float | None:
    """Return the last logged learning rate over the highest one, or None where none is logged."""
    table = patient.history
    if table is None or "lr" not in table.columns:
        return None
    at = table.columns.index("lr")
    rates = [float(row[at]) for row in table.rows if row[at] is not None]
    return rates[-1] / max(rates) if rates and max(rates) > 0 else None
