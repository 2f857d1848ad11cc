"""What makes every number doubtful, looked for before any probe."""

from __future__ import annotations

import numpy as np

from gapdoctor.domain.findings import Warning_
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.observations import Observations

FEW_SAMPLES = 100
"""Held-out rows under which little can be told."""
PROBABILITY_TOLERANCE = 1e-3
"""How near to 1 the outputs of a row must sum to be taken for probabilities."""
REREAD_ROWS = 8
"""Held-out rows that are read twice."""


def sanity_warnings(seen: Observations) -> tuple[Warning_, ...]:
    """Return warnings on outputs and inputs that no loss can be trusted on."""
    return (
        *_broken_rows(seen),
        *_probabilities(seen),
        *_random_inputs(seen),
        *_few_samples(seen),
        *_streams(seen),
        *_same_file(seen),
    )


def _broken_rows(seen: Observations) -> list[Warning_]:
    return [
        Warning_(
            "non_finite_outputs",
            f"The {model} gives NaN or infinity on {count} {split} rows; they count as wrong, "
            "at the loss of a uniform guess.",
            voids=True,
        )
        for (model, split), count in sorted(seen.broken.items())
    ]


def _probabilities(seen: Observations) -> list[Warning_]:
    found = []
    for model in Model:
        divisor = seen.case.output_temperature if model is Model.STUDENT else 1.0
        outputs = divisor * seen.outputs(model, Split.TRAIN).logits
        sums = outputs.sum(axis=1, dtype=np.float64)
        if outputs.min() >= 0 and np.abs(sums - 1).max() < PROBABILITY_TOLERANCE:
            found.append(
                Warning_(
                    "outputs_are_probabilities",
                    f"The {model}'s outputs are ≥ 0 and sum to 1: they are probabilities, and "
                    "cross-entropy takes a second softmax of them. Return logits instead.",
                    voids=True,
                )
            )
    return found


def _random_inputs(seen: Observations) -> list[Warning_]:
    changed = [str(split) for split in Split if seen.reads_differ(split, REREAD_ROWS)]
    if not changed:
        return []
    return [
        Warning_(
            "random_inputs",
            f"The {' and '.join(changed)} data give other values when read twice: their losses "
            "are measured under augmentation. Name deterministic pipelines in [preprocess].",
        )
    ]


def _few_samples(seen: Observations) -> list[Warning_]:
    n = int(seen.rows(Split.HELDOUT).in_gap.sum())
    if n >= FEW_SAMPLES:
        return []
    return [
        Warning_("few_samples", f"Only {n} held-out rows: intervals are wide and rough below 100.")
    ]


def _streams(seen: Observations) -> list[Warning_]:
    parts = (seen.data.train, seen.data.heldout, seen.data.test)
    streams = [part for part in parts if part is not None and part.length is None]
    return [
        Warning_(
            "stream",
            f"The {part.name} data are a stream: the {part.count} rows at hand are drawn from its "
            "first ones, which need not be like the rest.",
        )
        for part in streams
    ]


def _same_file(seen: Observations) -> list[Warning_]:
    records = seen.case.records
    hashes = [records[who].sha256 for who in ("student", "teacher") if who in records]
    if len(hashes) == 2 and hashes[0] is not None and hashes[0] == hashes[1]:
        return [
            Warning_(
                "same_checkpoint",
                "Student and teacher were read from the same file; that is right only where it "
                "holds both.",
            )
        ]
    return []
