"""What was looked at, for the record: models, data, halves, environment."""

from __future__ import annotations

import platform
from typing import Literal

import numpy as np
import torch
from torch import nn

from gapdoctor.domain.diagnosis import DataRecord, HalfUse, Halves, ModelRecord, SplitUse
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.observations import Observations


def environment(seen: Observations) -> dict[str, str]:
    """Return the versions and the device that the numbers depend on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.system(),
        "device": seen.device_name(),
    }


def model_record(seen: Observations, who: Model) -> ModelRecord:
    """Return where a model came from; of a live one, only its size is known."""
    record = seen.case.records.get(who.value)
    if record is not None:
        return record
    model = seen.case.student if who is Model.STUDENT else seen.case.teacher
    if isinstance(model, nn.Module):
        return ModelRecord(None, None, sum(p.numel() for p in model.parameters()))
    return ModelRecord(model.file, model.sha256, None)


def data_record(seen: Observations) -> DataRecord:
    """Return how many rows there are, and how many were looked at."""
    test = seen.data.test
    held = seen.data.heldout if test is None else test
    used = seen.rows(Split.HELDOUT).in_gap
    return DataRecord(
        SplitUse(seen.data.train.length, len(seen.rows(Split.TRAIN).labels)),
        SplitUse(held.length, int(used.sum())),
        seen.classes,
    )


def halves_record(seen: Observations) -> Halves:
    """Return how many rows chose and reported, and where they come from."""
    rows = seen.rows(Split.HELDOUT)
    source: Literal["heldout", "test"] = "test" if rows.from_test.any() else "heldout"
    return Halves(
        HalfUse(int(rows.choosing.sum()), "heldout"),
        HalfUse(int(rows.reporting.sum()), source),
    )
