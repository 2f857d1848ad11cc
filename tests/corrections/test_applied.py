"""Corrections that a config names are applied after `inference`, and to nothing else."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

import gapdoctor
from gapdoctor import Case, Preprocess
from gapdoctor.corrections._apply import with_corrections
from gapdoctor.errors import ConfigError, GapDoctorError

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, 240)
INPUTS = (np.eye(3)[LABELS] * 4).astype(np.float32)


class Identity(nn.Module):
    """Logits are the inputs."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def _case(heldout_scale: float, **fields: object) -> Case:
    pair = (INPUTS, LABELS)
    wrong = ((INPUTS * heldout_scale).astype(np.float32), LABELS)
    return Case(student=Identity(), teacher=Identity(), train=pair, heldout=wrong, **fields)  # type: ignore[arg-type]


def test_model_ready_heldout_rows_are_corrected_for_both_models() -> None:
    wrong = gapdoctor.diagnose(_case(1 / 255))
    right = gapdoctor.diagnose(
        _case(1 / 255, preprocess=Preprocess(corrections=("rescale_input(255)",)))
    )
    losses = {(m.model, m.split): m.loss.value for m in right.metrics}
    assert losses["student", "heldout"] == pytest.approx(losses["student", "train"], rel=0.1)
    assert losses["teacher", "heldout"] == pytest.approx(losses["student", "heldout"])
    assert next(m for m in wrong.metrics if m.split == "heldout").loss.value > 1.0


def test_with_pipelines_only_the_student_at_inference_is_corrected() -> None:
    def ready(row: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(row)

    def dimmed(row: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(row) / 255

    case = _case(1.0, preprocess=Preprocess(ready, dimmed, corrections=("rescale_input(255)",)))
    losses = {(m.model, m.split): m.loss.value for m in gapdoctor.diagnose(case).metrics}
    assert losses["student", "heldout"] == pytest.approx(losses["teacher", "heldout"], rel=1e-4)


def test_predict_applies_them() -> None:
    case = with_corrections(_case(1.0, preprocess=Preprocess(corrections=("rescale_input(255)",))))
    given = INPUTS[:5] / 255
    assert np.allclose(case.predict("student", given), INPUTS[:5], rtol=1e-5)
    assert np.allclose(case.predict("teacher", given), given)


def test_predict_takes_the_pipeline_and_the_temperature_of_the_student() -> None:
    case = _case(
        1.0, preprocess=Preprocess(inference=lambda row: torch.from_numpy(row) + 1),
        output_temperature=2.0,
    )  # fmt: skip
    assert np.allclose(case.predict("student", INPUTS[:4], batch_size=3), (INPUTS[:4] + 1) / 2)


@pytest.mark.parametrize(
    ("text", "says"), [("swap_chanels", "swap_channels"), ("low_resolution(2)", "cannot be undone")]
)
def test_what_cannot_be_applied_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        with_corrections(_case(1.0, preprocess=Preprocess(corrections=(text,))))


def test_predict_wants_a_model(planted: ModuleType) -> None:
    with pytest.raises(GapDoctorError, match="is no model"):
        _case(1.0).predict("pupil", INPUTS)  # type: ignore[arg-type]
    logits = gapdoctor.TeacherLogits(INPUTS, INPUTS)
    with pytest.raises(GapDoctorError, match="file of logits"):
        replace(_case(1.0), teacher=logits).predict("teacher", INPUTS)
