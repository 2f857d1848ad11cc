"""What is handed to `diagnose` comes back as it was, or is refused in one line."""

from __future__ import annotations

import random
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from gapdoctor import Preprocess
from gapdoctor.domain.diagnosis import Verdict
from gapdoctor.errors import DataError, GapDoctorError, UserCodeError
from gapdoctor.observe.progress import Progress
from gapdoctor.observe.sampling import choosing_half
from gapdoctor.pipeline import default_folder


class Failing(nn.Module):
    """Fails from its second call on."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base
        self.left = 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.left -= 1
        if self.left < 0:
            raise ValueError("broken")
        return self.base(x)


def held(model: nn.Module) -> list[Any]:
    """All that a caller could miss of a model."""
    return [
        [m.training for m in model.modules()],
        [
            (p.requires_grad, None if p.grad is None else p.grad.tolist())
            for p in model.parameters()
        ],
        [t.tolist() for t in model.state_dict().values()],
        [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()],
    ]


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_handed_over_is_as_it_was(planted: ModuleType, fails: bool) -> None:
    student = nn.Sequential(planted.bayes(), nn.BatchNorm1d(3)).train()
    student[1].eval()
    student[0].bias.requires_grad_(False)
    student(torch.randn(9, 4)).sum().backward()
    model = Failing(student) if fails else student
    case = planted.healthy(200, student=model)
    before = held(model)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    told = pytest.raises(UserCodeError, match="student: forward raised ValueError")
    with told if fails else nullcontext():
        planted.asked(case)
    assert held(model) == before
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[2])


def test_progress_hears_of_every_row_and_probe_and_of_the_end(planted: ModuleType) -> None:
    class Heard(Progress):
        def __init__(self) -> None:
            self.stages: list[tuple[str, int]] = []
            self.done: list[int] = []
            self.closed = 0

        def stage(self, name: str, total: int) -> None:
            self.stages.append((name, total))
            self.done.append(0)

        def advance(self, units: int = 1) -> None:
            self.done[-1] += units

        def close(self) -> None:
            self.closed += 1

    heard = Heard()
    planted.asked(planted.healthy(200), progress=heard)
    assert heard.stages == [("looking", 800), ("asking", 3)]
    assert heard.done == [800, 3]
    assert heard.closed == 1
    with pytest.raises(GapDoctorError):
        planted.asked(planted.healthy(200, student=None), progress=heard)
    assert heard.closed == 2


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"max_samples": 0}, "--max-samples 0: must be a whole number from 1 on"),
        ({"max_samples": 1e3}, r"--max-samples 1000\.0"),
        ({"batch_size": -4}, "--batch-size -4"),
        ({"seed": -1}, "--seed -1: must be a whole number from 0 on"),
        ({"seed": 2**70}, "--seed"),
        ({"device": "abacus"}, "--device abacus: no such device"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    planted: ModuleType, more: dict[str, Any], told: str
) -> None:
    with pytest.raises(GapDoctorError, match=told):
        planted.asked(planted.healthy(100), **more)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"preprocess": None}, "preprocess: None is of the wrong kind"),
        ({"preprocess": Preprocess(train="run.py:p")}, r"preprocess\.train: 'run\.py:p' is of"),
        ({"recipe": {"lr": 0.1}}, "recipe: .* is of the wrong kind"),
        ({"groups": 5}, r"data\.groups: 5 is of the wrong kind"),
        ({"classes": "abc"}, r"data\.classes: 'abc' is of the wrong kind"),
        ({"output_temperature": 0.0}, r"student\.output_temperature: 0\.0 is of the wrong kind"),
        ({"folded_temperature": -1.4}, r"student\.folded_temperature: -1\.4 is of the wrong kind"),
        ({"folded_temperature": "1.4"}, r"student\.folded_temperature: '1\.4' is of the wrong"),
        ({"history": {"epoch": [1]}}, "history: .* is of the wrong kind"),
        ({"history": pd.DataFrame({"epoch": [1], "train_loss": [1.0]})},
         "history: no column for heldout_loss"),
    ],
)  # fmt: skip
def test_a_case_of_the_wrong_kind_is_refused(
    planted: ModuleType, more: dict[str, Any], told: str
) -> None:
    with pytest.raises(GapDoctorError, match=told):
        planted.asked(planted.healthy(100, **more))


def test_curves_may_name_their_columns_as_trainers_do(planted: ModuleType) -> None:
    curves = planted.curves(lambda e: 0.3 + 0.05 * abs(e - 8))
    renamed = curves.rename(columns={"heldout_loss": "val_loss"})
    found = planted.asked(planted.overfitted(history=renamed))
    assert found.skipped == planted.asked(planted.overfitted(history=curves)).skipped
    assert found.tables["history"].columns == ("epoch", "train_loss", "heldout_loss")
    assert any(e.probe == "history" for e in found.causes[0].evidence)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_a_handful_of_rows_is_either_refused_or_inconclusive(planted: ModuleType, n: int) -> None:
    halves = set(choosing_half(np.arange(n), None).tolist())
    if False not in halves:
        with pytest.raises(DataError, match="none is left to report on"):
            planted.asked(planted.healthy(n))
        return
    assert planted.asked(planted.healthy(n)).verdict in {Verdict.INCONCLUSIVE, Verdict.HEALTHY}


def test_loaders_are_read_whatever_their_workers_and_batches(planted: ModuleType) -> None:
    from torch.utils.data import TensorDataset

    case = planted.mismatched()
    loaders = {
        name: DataLoader(TensorDataset(*getattr(case, name)), 7, shuffle=True, num_workers=2)
        for name in ("train", "heldout")
    }
    found, expected = planted.asked(replace(case, **loaders)), planted.asked(case)
    assert found.metrics == expected.metrics
    assert found.causes == expected.causes


def test_results_stand_beside_the_checkpoint() -> None:
    assert default_folder(Path("runs/best.student.pth")) == Path("runs/best.student.gapdoctor")
