"""What a model of a case says of raw samples, as it is deployed."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gapdoctor.errors import GapDoctorError
from gapdoctor.observe.case import Case, Model
from gapdoctor.observe.inputs import prepare
from gapdoctor.observe.pipelines import declared_pipelines
from gapdoctor.observe.scorer import Scorer


def predict(
    case: Case,
    who: Literal["student", "teacher"],
    inputs: Any,
    *,
    batch_size: int = 256,
    device: str = "auto",
) -> NDArray[np.float32]:
    """Return logits (N, C) of raw samples; see `Case.predict`."""
    if who not in tuple(Model):
        raise GapDoctorError(f"{who!r} is no model", 'ask for "student" or "teacher"')
    model = Model(who)
    if not isinstance(getattr(case, who), nn.Module):
        raise GapDoctorError("the teacher is a file of logits", "give its model to predict")
    if any(isinstance(entry, str) for entry in case.preprocess.corrections):
        raise GapDoctorError(
            "preprocess.corrections: names are made ready by load_case",
            "give callables on a batch, or load the case from gapdoctor.toml",
        )
    pipelines, _ = declared_pipelines(case)
    pipeline = pipelines["inference" if model is Model.STUDENT else "teacher"]
    batches = (
        prepare(inputs[at : at + batch_size], pipeline, "the given samples")
        for at in range(0, len(inputs), batch_size)
    )
    with torch.no_grad():
        return Scorer(case, device, batch_size).run(model, batches).logits
