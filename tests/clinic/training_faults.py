"""Faults of training: each has a student of its own, and a reference without the fault.

Each names the public report that it imitates. `spec` gives the faulty student for a knob,
`reference` the same student without the fault, `declared` what its recipe says (where the user
believes something else than what ran).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from tests.clinic.models import StudentSpec, cell_of
from tests.clinic.parts import Cell
from tests.clinic.training import Plan

OVERFITTING = frozenset({"overfitting"})
REGULARIZATION = frozenset({"lack_of_regularization"})
OPTIMIZATION = frozenset({"optimization"})
CAPACITY = frozenset({"capacity_shortfall"})
IMBALANCE = frozenset({"loss_imbalance"})


@dataclass(frozen=True)
class TrainingFault:
    """One kind of fault in training."""

    name: str
    imitates: str
    knobs: Callable[[Cell], tuple[Any, ...]]
    """From mild to severe."""
    spec: Callable[[StudentSpec, Any], StudentSpec]
    reference: Callable[[StudentSpec, Any], StudentSpec]
    truth: frozenset[str]
    also: frozenset[str] = field(default_factory=frozenset)
    """True as well, as a consequence; right to name, not right to name first."""
    unknown_recipe: frozenset[str] = field(default_factory=frozenset)
    """Truth besides, where the recipe is unknown and the cause cannot be told from its effect."""
    by_labels: bool = False
    """What became of the wrong labels decides the truth: learned by heart, or merely taught."""
    declared: Callable[[Plan, Any], Plan] = lambda plan, knob: plan


def _rows(spec: StudentSpec) -> int:
    from tests.clinic.data import SOURCES

    return SOURCES[cell_of(spec.cell).source].train_rows


def _share(spec: StudentSpec, share: float) -> int:
    return max(60, round(share * _rows(spec)))


def _longer(spec: StudentSpec, share: float) -> int:
    """More epochs for fewer rows: as many steps, up to four times the epochs."""
    return round(spec.plan.epochs * min(4.0, 1 / share))


def _fewer(spec: StudentSpec, share: float, **plan: object) -> StudentSpec:
    altered = {"epochs": _longer(spec, share), "batch_size": 64, **plan}
    return spec.changed(altered, rows=_share(spec, share))


def _same(spec: StudentSpec, _: object) -> StudentSpec:
    return spec


_LABELS_ONLY: dict[str, Any] = {"task_weight": 0.97, "temperature": 1.0, "batch_size": 64}


def _bare(spec: StudentSpec, share: float) -> StudentSpec:
    """Hardly distilled, without weight decay or augmentation, trained long."""
    plan = {**_LABELS_ONLY, "weight_decay": 0.0, "augmented": False,
            "epochs": round(0.75 * _longer(spec, share))}  # fmt: skip
    return spec.changed(plan, rows=_share(spec, share))


def _bare_reference(spec: StudentSpec, share: float) -> StudentSpec:
    return spec.changed({**_LABELS_ONLY, "weight_decay": 5e-3}, rows=_share(spec, share))


def _memorised(spec: StudentSpec, noise: float) -> StudentSpec:
    plan = {"weight_decay": 0.0, "augmented": False, "epochs": 3 * spec.plan.epochs,
            "task_weight": 0.95, "temperature": 2.0, "batch_size": 64}  # fmt: skip
    return spec.changed(plan, rows=_share(spec, 0.35), wrong_labels=noise)


def _memorised_reference(spec: StudentSpec, _: float) -> StudentSpec:
    return _memorised(spec, 0.0)


def _taught(spec: StudentSpec, noise: float) -> StudentSpec:
    plan = {"weight_decay": 1e-3, "task_weight": 0.9, "temperature": 2.0}
    return spec.changed(plan, wrong_labels=noise)


def _taught_reference(spec: StudentSpec, _: float) -> StudentSpec:
    return _taught(spec, 0.0)


def _narrow(spec: StudentSpec, width: int) -> StudentSpec:
    return spec.changed({"epochs": round(1.5 * spec.plan.epochs)}, width=width)


def _cut_short(spec: StudentSpec, epochs: int) -> StudentSpec:
    """Cut off after so many epochs; with an odd seed planned so short, at a constant rate."""
    if spec.plan.seed % 2:
        return spec.changed({"epochs": epochs, "cosine": False})
    return spec.changed({"stop_after": epochs})


def _slow(spec: StudentSpec, factor: float) -> StudentSpec:
    return spec.changed({"lr": spec.plan.lr * factor})


def _fast(spec: StudentSpec, factor: float) -> StudentSpec:
    return spec.changed({"lr": spec.plan.lr * factor, "cosine": False})


def _distilled(spec: StudentSpec, noise: float, **plan: Any) -> StudentSpec:
    """Distilled from the careful teacher, which outweighs the wrong labels unless it is muffled."""
    usual = {"weight_decay": 1e-5, "augmented": False, "batch_size": 64,
             "epochs": 2 * spec.plan.epochs}  # fmt: skip
    altered = spec.changed({**usual, **plan}, rows=_share(spec, 0.5), wrong_labels=noise)
    return replace(altered, teacher="careful")


_HOT: dict[str, Any] = {"task_weight": 0.1, "temperature": 8.0}
_WARM: dict[str, Any] = {"task_weight": 0.3, "temperature": 4.0}


def _without_t2(spec: StudentSpec, noise: float) -> StudentSpec:
    return _distilled(spec, noise, **_HOT, scale_by_t2=False)


def _with_t2(spec: StudentSpec, noise: float) -> StudentSpec:
    return _distilled(spec, noise, **_HOT)


def _mean_over_classes(spec: StudentSpec, noise: float) -> StudentSpec:
    return _distilled(spec, noise, **_WARM, mean_over_classes=True)


def _mean_reference(spec: StudentSpec, noise: float) -> StudentSpec:
    return _distilled(spec, noise, **_WARM)


def _shuffled(spec: StudentSpec, share: float) -> StudentSpec:
    return spec.changed({"shuffled_targets": share, "augmented": False})


def _shuffled_reference(spec: StudentSpec, _: float) -> StudentSpec:
    return spec.changed({"augmented": False})


def _believed_t2(plan: Plan, _: object) -> Plan:
    return replace(plan, scale_by_t2=True)


def _believed_sum(plan: Plan, _: object) -> Plan:
    return replace(plan, mean_over_classes=False)


_NOISE = (0.05, 0.1, 0.15, 0.2, 0.28, 0.36, 0.45, 0.55)
_SHARES = (0.7, 0.5, 0.35, 0.25, 0.17, 0.12, 0.08, 0.05, 0.03)

FAULTS: tuple[TrainingFault, ...] = (
    TrainingFault(
        "few_rows", "DeepCrime (data deletion): a student that was given too few rows",
        lambda _: _SHARES[1:], lambda s, k: _fewer(s, k, task_weight=0.5), _same,
        OVERFITTING, REGULARIZATION,
    ),
    TrainingFault(
        "no_regularization", "DeepCrime (regulariser removed): no weight decay, no augmentation",
        lambda _: _SHARES[:6], _bare, _bare_reference, REGULARIZATION | OVERFITTING,
    ),
    TrainingFault(
        "memorised_noise", "Zhang et al. 2017: wrong labels learned by heart",
        lambda _: (0.03, 0.06, 0.1, 0.15, 0.22, 0.3, 0.4), _memorised, _memorised_reference,
        OVERFITTING | REGULARIZATION, by_labels=True,
    ),
    TrainingFault(
        "taught_noise", "DeepCrime (label change): wrong labels outweigh the teacher",
        lambda _: (0.1, 0.18, 0.25, 0.33, 0.42, 0.5, 0.6), _taught, _taught_reference, IMBALANCE,
        by_labels=True,
    ),
    TrainingFault(
        "narrow", "Cho & Hariharan 2019: a small student cannot mimic its teacher",
        lambda cell: cell.narrow, _narrow, _same, CAPACITY,
    ),
    TrainingFault(
        "too_few_epochs", "DeepFD (18 of its 52 real faults): training that ends early",
        lambda _: (12, 9, 7, 5, 4, 3, 2, 1), _cut_short, _same, OPTIMIZATION,
    ),
    TrainingFault(
        "lr_too_low", "DeepFD (17 of its 52 real faults): a learning rate too low",
        lambda _: (0.3, 0.15, 0.08, 0.04, 0.02, 0.01, 0.004), _slow, _same, OPTIMIZATION,
    ),
    TrainingFault(
        "lr_too_high", "DeepFD: a learning rate too high that is never lowered",
        lambda _: (2.0, 4.0, 7.0, 12.0, 20.0, 30.0, 45.0, 65.0, 100.0, 200.0, 400.0), _fast, _same,
        OPTIMIZATION,
    ),
    TrainingFault(
        "missing_t2", "keras-team/keras-io#869: the distillation loss without the factor T²",
        lambda _: _NOISE, _without_t2, _with_t2, IMBALANCE,
        OVERFITTING | REGULARIZATION, OVERFITTING,
        declared=_believed_t2,
    ),
    TrainingFault(
        "mean_over_classes", "haitongli/knowledge-distillation-pytorch#48: reduction='mean'",
        lambda _: _NOISE, _mean_over_classes, _mean_reference, IMBALANCE,
        OVERFITTING | REGULARIZATION, OVERFITTING,
        declared=_believed_sum,
    ),
    TrainingFault(
        "shuffled_targets", "haitongli/knowledge-distillation-pytorch#9: cached logits shuffled",
        lambda _: (0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0), _shuffled, _shuffled_reference,
        IMBALANCE | OPTIMIZATION,
    ),
)  # fmt: skip
