"""The forward pass: known logits, head inputs, every output form, and what it leaves behind."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from gapdoctor.errors import IncompleteRun, UserCodeError
from gapdoctor.observe.forward import Forward, Meter

CPU = torch.device("cpu")
X = torch.arange(12.0).reshape(6, 2)
W = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


def forward(model: nn.Module, batch_size: int = 4) -> Forward:
    return Forward(model, "student", CPU, batch_size)


def linear() -> nn.Linear:
    head = nn.Linear(2, 3, bias=False)
    with torch.no_grad():
        head.weight.copy_(W)
    return head


class Of(nn.Module):
    """A model that is a function."""

    def __init__(self, call: Any, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.call = call

    def forward(self, x: torch.Tensor) -> Any:
        return self.call(self, x)


# -- logits ------------------------------------------------------------------------------------


def test_logits_are_those_of_the_model_batch_by_batch() -> None:
    sizes: list[int] = []

    def call(model: Any, x: torch.Tensor) -> torch.Tensor:
        sizes.append(len(x))
        return x @ W.T

    meter = Meter()
    student = forward(Of(call))
    found = student.run([X[:4], X[4:]], meter=meter)
    assert found.logits.tolist() == (X @ W.T).tolist()
    assert sizes == [2, 4, 2]  # the head is looked for on two rows
    assert meter.samples == student.meter.samples == 6
    assert meter.seconds > 0


@pytest.mark.parametrize(
    "wrap",
    [
        lambda z: (z, torch.zeros(1)),
        lambda z: [None, z],
        lambda z: {"logits": z},
        lambda z: {"out": z, "aux": torch.zeros(3)},
        lambda z: OrderedDict(loss=torch.zeros(()), logits=z),
        lambda z: SimpleNamespace(logits=z),
    ],
    ids=["tuple", "list", "dict", "segmentation-like", "ModelOutput-like", "object"],
)
def test_logits_are_found_in_every_usual_form(wrap: Any) -> None:
    student = forward(Of(lambda m, x: wrap(m.head(x)), head=linear()))
    found = student.run([X])
    assert found.logits.tolist() == (X @ W.T).tolist()
    assert student.head is student.model.head


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (lambda m, x: "no", r"student: forward returned str, in which no logits were found"),
        (lambda m, x: {"scores": x}, "forward returned dict"),
        (lambda m, x: x[:, 0], r"shape \(2,\), not \(N, C\)"),
        (lambda m, x: x[:, :1], r"shape \(2, 1\), not \(N, C\)"),
        (lambda m, x: x[:, :, None], r"shape \(2, 2, 1\), not \(N, C\)"),
        (lambda m, x: x[:1], "1 rows of logits for a batch of 2"),
        (lambda m, x: x @ torch.ones(3, 3), r"forward raised RuntimeError on a batch of shape "
         r"\(2, 2\) \(float32\)"),
        (lambda m, x: 1 / 0, "forward raised ZeroDivisionError on a batch of shape"),
    ],
)  # fmt: skip
def test_anything_else_is_one_line_that_names_the_model(output: Any, told: str) -> None:
    with pytest.raises(UserCodeError, match=told) as caught:
        forward(Of(output)).run([X])
    assert "\n" not in caught.value.message


def test_a_model_may_work_in_place_and_with_gradients_on() -> None:
    def call(model: Any, x: torch.Tensor) -> torch.Tensor:
        x.mul_(2)
        with torch.enable_grad():
            return model.head(x)

    batch = X.clone()
    found = forward(Of(call, head=linear())).run([batch])
    assert torch.equal(batch, X)
    assert found.logits.tolist() == (2 * X @ W.T).tolist()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_inputs_come_in_the_precision_of_the_model(dtype: torch.dtype) -> None:
    found = forward(linear().to(dtype)).run([X])
    assert found.logits.dtype == np.float32
    assert found.logits.tolist() == (X @ W.T).tolist()


def test_whole_numbers_reach_an_embedding_as_they_are() -> None:
    embedding = nn.EmbeddingBag(5, 3)
    found = forward(embedding).run([torch.tensor([[1, 2], [0, 4]])])
    assert found.logits.shape == (2, 3)


# -- the head ----------------------------------------------------------------------------------


def test_what_the_last_linear_layer_was_fed_are_the_features() -> None:
    student = forward(nn.Sequential(nn.Flatten(), nn.ReLU(), linear()))
    found = student.run([-X[:4], X[4:]])
    assert found.features is not None
    assert found.features.tolist() == torch.cat([torch.zeros(4, 2), X[4:]]).tolist()
    assert np.allclose(found.features @ W.T.numpy(), found.logits)


def test_a_head_called_by_keyword_is_a_head() -> None:
    found = forward(Of(lambda m, x: m.head(input=x), head=linear())).run([X])
    assert found.features is not None
    assert found.features.tolist() == X.tolist()


@pytest.mark.parametrize(
    "call",
    [
        lambda m, x: m.head(x) * 2,
        lambda m, x: m.head(x).mul_(2),
        lambda m, x: functional.log_softmax(m.head(x), dim=1),
        lambda m, x: m.head(x) + 0 * m.head(x + 1),
        lambda m, x: m.head(x).roll(1, dims=1),
    ],
    ids=["scaled", "scaled in place", "log-softmax", "called twice", "reordered"],
)
def test_a_layer_whose_output_is_not_the_logits_is_no_head(call: Any) -> None:
    student = forward(Of(call, head=linear()))
    assert student.run([X]).features is None
    assert student.head is None


def test_a_head_on_every_token_has_no_features() -> None:
    student = forward(Of(lambda m, x: m.head(x[:, None])[:, 0], head=linear()))
    assert student.run([X]).features is None


# -- memory ------------------------------------------------------------------------------------


class Narrow(nn.Module):
    """Has room for so many rows at a time."""

    def __init__(self, room: int, error: type[Exception] = RuntimeError) -> None:
        super().__init__()
        self.head = linear()
        self.room, self.error = room, error
        self.sizes: list[int] = []

    def forward(self, x: torch.Tensor) -> Any:
        self.sizes.append(len(x))
        out = self.head(x)
        if len(x) > self.room:
            raise self.error("CUDA error: out of memory")
        return out


@pytest.mark.parametrize("error", [RuntimeError, MemoryError, torch.cuda.OutOfMemoryError])
def test_when_memory_runs_out_batches_are_halved(error: type[Exception]) -> None:
    model = Narrow(2, error)
    x = torch.arange(32.0).reshape(16, 2)
    student = forward(model, batch_size=8)
    found = student.run([x[:8], x[8:]])
    assert found.logits.tolist() == (x @ W.T).tolist()
    assert found.features is not None
    assert found.features.tolist() == x.tolist()
    assert student.meter.samples == 16
    assert max(model.sizes[4:]) <= 4
    assert model.sizes[-4:] == [2, 2, 2, 2]  # the second batch starts small


@pytest.mark.parametrize("room", [0, 1])
def test_when_not_even_one_row_fits_it_says_so(room: int) -> None:
    with pytest.raises(IncompleteRun, match="student: memory ran out on a batch of"):
        forward(Narrow(room)).run([X])


def test_another_error_is_not_taken_for_memory() -> None:
    def call(model: Any, x: torch.Tensor) -> Any:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(UserCodeError, match="mat1 and mat2"):
        forward(Of(call)).run([X])
