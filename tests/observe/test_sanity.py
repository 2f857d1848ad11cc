"""What makes every number doubtful is warned of; a sound pair is not."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from gapdoctor import Case, Preprocess
from gapdoctor.domain.diagnosis import ModelRecord
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.observations import Observations, Settings
from gapdoctor.observe.progress import Progress
from gapdoctor.observe.sanity import sanity_warnings
from gapdoctor.pipeline import look


def looked(case: Case) -> Observations:
    return look(case, Settings(batch_size=64), Progress())


def warned(case: Case) -> dict[str, str]:
    return {w.id: w.statement for w in sanity_warnings(looked(case))}


def test_a_sound_pair_is_not_warned_of(planted: ModuleType) -> None:
    assert warned(planted.healthy(200)) == {}
    assert warned(planted.mismatched(200)) == {}


class Sick(nn.Module):
    """Gives NaN where the first feature is large."""

    def __init__(self, base: nn.Module, value: float = float("nan")) -> None:
        super().__init__()
        self.base, self.value = base, value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.base(x)
        return torch.where(x[:, :1] > 2, torch.full_like(logits, self.value), logits)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_rows_without_an_answer_are_counted_once_and_scored_as_a_guess(
    planted: ModuleType, value: float
) -> None:
    case = planted.healthy(200, student=Sick(planted.bayes(), value))
    seen = looked(case)
    sick = seen.inputs(Split.TRAIN, np.arange(200))[:, 0].numpy() > 2
    seen.outputs(Model.STUDENT, Split.HELDOUT, "train")
    found = {w.id: w for w in sanity_warnings(seen)}["non_finite_outputs"]
    outputs = seen.outputs(Model.STUDENT, Split.TRAIN)
    assert 0 < sick.sum() < 200
    assert found.voids
    every = {w.statement for w in sanity_warnings(seen) if w.id == "non_finite_outputs"}
    assert any(f"The student gives NaN or infinity on {sick.sum()} train rows" in s for s in every)
    assert np.allclose(outputs.loss[sick], np.log(3))
    assert not outputs.correct[sick].any()
    assert np.isfinite(outputs.logits).all()


def test_broken_rows_are_not_counted_again_by_other_pipelines(planted: ModuleType) -> None:
    seen = looked(planted.mismatched(200, student=Sick(planted.bayes())))
    before = dict(seen.broken)
    seen.outputs(Model.STUDENT, Split.HELDOUT, "train")
    seen.outputs(Model.STUDENT, Split.TRAIN, "inference")
    assert seen.broken == before


def test_probabilities_are_not_logits(planted: ModuleType) -> None:
    softmax = nn.Sequential(planted.bayes(), nn.Softmax(dim=1))
    log_softmax = nn.Sequential(planted.bayes(), nn.LogSoftmax(dim=1))
    statement = warned(planted.healthy(200, student=softmax))["outputs_are_probabilities"]
    assert "The student's outputs are ≥ 0 and sum to 1" in statement
    assert warned(planted.healthy(200, teacher=log_softmax)) == {}
    some = {"student": softmax, "output_temperature": 2.0}
    assert "outputs_are_probabilities" in warned(planted.healthy(200, **some))


class Noisy(Dataset[Any]):
    """Augments on the way out."""

    def __init__(self, rows: tuple[torch.Tensor, torch.Tensor]) -> None:
        self.inputs, self.targets = rows

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, i: int) -> Any:
        return self.inputs[i] + 0.01 * torch.randn(4), int(self.targets[i])


@pytest.mark.parametrize("split", ["train", "heldout", "test"])
def test_inputs_that_change_when_read_again_are_told(planted: ModuleType, split: str) -> None:
    noisy = {"train": planted.rows(1, 200), "heldout": planted.rows(2, 200), split: None}
    noisy[split] = Noisy(planted.rows(3, 200))
    found = warned(planted.healthy(200, **noisy))
    assert list(found) == ["random_inputs"]
    assert ("train" if split == "train" else "heldout") in found["random_inputs"]


def test_a_random_teacher_pipeline_is_told(planted: ModuleType) -> None:
    given = Preprocess(planted.undo, planted.undo, lambda x: planted.undo(x) + torch.rand(()))
    assert "random_inputs" in warned(planted.mismatched(200, preprocess=given))


def test_few_heldout_rows_are_told(planted: ModuleType) -> None:
    assert "Only 60 held-out rows" in warned(planted.healthy(60))["few_samples"]
    few = planted.healthy(200, test=planted.rows(3, 60))
    assert "Only 60 held-out rows" in warned(few)["few_samples"]


def test_a_stream_is_told(planted: ModuleType) -> None:
    x, y = planted.rows(1, 200)
    stream = ((x[i], int(y[i])) for i in range(200))
    found = warned(planted.healthy(200, train=stream))
    assert list(found) == ["stream"]
    assert "The train data are a stream: the 200 rows at hand" in found["stream"]


def test_one_file_for_both_models_is_told(planted: ModuleType) -> None:
    records = {w: ModelRecord("a.pth", "ff", 1) for w in ("student", "teacher")}
    assert "same_checkpoint" in warned(planted.healthy(200, records=records))
    records["teacher"] = ModelRecord("b.pth", "ee", 1)
    assert warned(planted.healthy(200, records=records)) == {}
