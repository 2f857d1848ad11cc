"""What was measured: both models on both splits, and how closely the student follows."""

from __future__ import annotations

import math

from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.domain.findings import Interval
from gapdoctor.report.blocks import Block, Column, Grid
from gapdoctor.report.quantities import count, interval, percent
from gapdoctor.report.wording import MODELS, SPLITS, metrics_of

_UNKNOWN = Interval(math.nan, math.nan, math.nan)


def measured(diagnosis: Diagnosis) -> tuple[Block, ...]:
    """Return the tables of metrics, of calibration and of fidelity."""
    return (_metrics(diagnosis), _closeness(diagnosis))


def _metrics(diagnosis: Diagnosis) -> Grid:
    return Grid(
        "Loss and accuracy, with 95 % intervals",
        (
            Column("Model"),
            Column("Split"),
            Column("Rows", "number"),
            Column("Loss (nats)", "number"),
            Column("Accuracy", "number"),
        ),
        tuple(
            (
                MODELS[m.model],
                SPLITS[m.split],
                count(m.n),
                interval(m.loss),
                interval(m.accuracy, percent),
            )
            for m in diagnosis.metrics
        ),
    )


def _closeness(diagnosis: Diagnosis) -> Grid:
    train, heldout = diagnosis.fidelity_train, diagnosis.fidelity_heldout
    return Grid(
        "Calibration and fidelity, with 95 % intervals",
        (Column("Quantity"), Column("Train", "number"), Column("Held-out", "number")),
        (
            *(
                (
                    f"Calibration error, {model}",
                    *(_calibration_error(diagnosis, model, split) for split in SPLITS),
                )
                for model in MODELS
            ),
            (
                "Rows with the teacher's class",
                interval(train.agreement, percent),
                interval(heldout.agreement, percent),
            ),
            ("KL(teacher ‖ student), nats", interval(train.kl), interval(heldout.kl)),
        ),
    )


def _calibration_error(diagnosis: Diagnosis, model: str, split: str) -> str:
    row = metrics_of(diagnosis, model, split)
    return interval(row.calibration_error if row else _UNKNOWN, percent)
