"""Dropout: where it acts, and that the student is as it was afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from gapdoctor.errors import GapDoctorError
from gapdoctor.training.dropout import with_dropout

SAMPLE = torch.ones(2, 4)


class Named(nn.Module):
    """Feeds its head by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(input=x)
        return logits


def headed() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 50), nn.ReLU(), nn.Linear(50, 3))


@pytest.mark.parametrize("build", [headed, Named])
def test_before_the_head_in_train_mode_alone(build: Callable[[], nn.Module]) -> None:
    student = build()
    keys, plain = list(student.state_dict()), student(SAMPLE)
    with with_dropout(student, 0.5, SAMPLE):
        torch.manual_seed(0)
        assert not torch.equal(student.train()(SAMPLE), plain)
        assert torch.equal(student.eval()(SAMPLE), plain)
        assert list(student.state_dict()) == keys
    assert torch.equal(student.train()(SAMPLE), plain)
    assert not any(m._forward_pre_hooks for m in student.modules())


def test_features_are_dropped_with_that_probability_and_their_mean_is_kept() -> None:
    head, fed = nn.Linear(50, 3), []
    student = nn.Sequential(nn.Flatten(), head)
    with with_dropout(student, 0.25, torch.ones(2, 50)), torch.no_grad():
        head.register_forward_pre_hook(lambda _, x: fed.append(x[0]))  # behind the one that drops
        student.train()(torch.ones(400, 50))
    (kept,) = fed
    assert float((kept == 0).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert float(kept.mean()) == pytest.approx(1.0, abs=0.03)


def test_layers_that_are_there_are_set_and_set_back() -> None:
    layers: list[Any] = [nn.Dropout(0.0), nn.Dropout2d(0.3), nn.Dropout(0.1)]
    student = nn.Sequential(*layers, nn.Linear(4, 3))
    with with_dropout(student, 0.4, SAMPLE):
        assert [layer.p for layer in layers] == [0.4, 0.4, 0.4]
        assert not student[3]._forward_pre_hooks
    assert [layer.p for layer in layers] == [0.0, 0.3, 0.1]


@pytest.mark.parametrize("p", [None, 0.0, 0.3])
def test_what_the_student_was_built_with_stays(p: float | None) -> None:
    layers = [nn.Dropout(0.3), nn.Dropout(0.1)]
    student = nn.Sequential(*layers, nn.Linear(4, 3))
    with with_dropout(student, p, SAMPLE):
        assert [layer.p for layer in layers] == [0.3, 0.1]


def test_it_is_taken_back_after_an_error() -> None:
    student = headed()
    with pytest.raises(KeyError), with_dropout(student, 0.5, SAMPLE):
        raise KeyError
    assert not any(m._forward_pre_hooks for m in student.modules())


def test_a_student_without_a_place_for_it_is_told() -> None:
    student = nn.Sequential(nn.Linear(4, 3), nn.Softplus())
    wanted = pytest.raises(GapDoctorError, match="neither a dropout layer nor a linear head")
    with wanted, with_dropout(student, 0.5, SAMPLE):
        pass
