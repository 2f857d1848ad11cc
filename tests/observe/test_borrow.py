"""What is lent comes back as it was, also after an error."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor.errors import GapDoctorError, IncompleteRun
from gapdoctor.observe.borrow import borrowed, own_random_state
from gapdoctor.observe.device import choose_device

CPU = torch.device("cpu")


class Meddler(nn.Module):
    """Counts and averages in its forward pass, in eval mode too."""

    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(2, 3)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("empty", None)
        self.fails = fails

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.mean = x.mean(dim=0)
        self.empty = x
        self.head.weight.requires_grad_(False)
        if self.fails:
            raise ValueError("no")
        return self.head(self.dropout(self.norm(x)))


def state(model: nn.Module) -> dict[str, Any]:
    return {
        "modes": [m.training for m in model.modules()],
        "wants": [p.requires_grad for p in model.parameters()],
        "grads": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "ids": [id(t) for t in (*model.parameters(), *model.buffers())],
        "values": [t.clone() for t in (*model.parameters(), *model.buffers())],
        "hooks": [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()],
        "device": {t.device for t in (*model.parameters(), *model.buffers())},
    }


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return all(same(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.mark.parametrize("fails", [False, True])
def test_modes_gradients_buffers_and_hooks_come_back(fails: bool) -> None:
    model = Meddler(fails)
    model.train()
    model.norm.eval()  # as somebody who fine-tunes with frozen statistics
    model.head.bias.requires_grad_(False)
    model.head.weight.grad = torch.ones(3, 2)
    model.head.register_forward_hook(lambda *_: None)
    before = state(model)
    modes = []
    try:
        with borrowed(model, CPU) as lent:
            modes = [m.training for m in lent.modules()]
            assert not torch.is_grad_enabled()
            lent(torch.ones(4, 2))
    except ValueError:
        assert fails
    assert modes == [False] * 4
    assert same(before, state(model))
    assert torch.is_grad_enabled()


def test_a_scripted_and_an_exported_model_can_be_lent() -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3)).eval()
    with pytest.warns(FutureWarning, match="deprecated"):
        scripted = torch.jit.script(model)
    scripted.train()
    dims = ({0: torch.export.Dim("rows")},)
    exported = torch.export.export(model, (torch.ones(4, 2),), dynamic_shapes=dims).module()
    for lent in (scripted, exported):
        before = state(lent)["modes"]
        with borrowed(lent, CPU) as ready:
            assert torch.allclose(ready(torch.ones(5, 2)), model(torch.ones(5, 2)))
        assert state(lent)["modes"] == before


class Heavy(nn.Linear):
    """Cannot be moved."""

    def __init__(self, message: str) -> None:
        super().__init__(2, 2)
        self.message = message

    def to(self, *args: Any, **kwargs: Any) -> Any:
        if args[0].type != "cpu":
            raise RuntimeError(self.message)
        return super().to(*args, **kwargs)


@pytest.mark.parametrize(
    ("message", "kind"),
    [("CUDA out of memory", IncompleteRun), ("no such kernel\nat line 7", GapDoctorError)],
)
def test_a_model_that_cannot_be_moved_is_one_line(message: str, kind: type[Exception]) -> None:
    model = Heavy(message).train()
    with pytest.raises(kind, match="meta"), borrowed(model, torch.device("meta")):
        pass
    assert model.training


class Traveller(nn.Linear):
    """Writes down where it was sent; `meta` is the one other device that every machine has."""

    def __init__(self) -> None:
        super().__init__(2, 2)
        self.journey: list[str] = []

    def to(self, *args: Any, **kwargs: Any) -> Any:
        self.journey.append(str(args[0]))
        return self


def test_a_model_is_moved_and_comes_home_also_after_an_error() -> None:
    model = Traveller()

    def use() -> None:
        with borrowed(model, torch.device("meta")) as lent:
            assert lent is model
            assert model.journey == ["meta"]
            raise KeyError

    with pytest.raises(KeyError):
        use()
    assert model.journey == ["meta", "cpu"]
    with borrowed(model, CPU):
        pass
    assert len(model.journey) == 2  # it was there


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics card")
def test_a_model_on_the_cpu_comes_back_from_the_graphics_card_as_it_was() -> None:
    model = Meddler().train()
    before = state(model)
    with borrowed(model, torch.device("cuda")) as lent:
        assert all(t.is_cuda for t in (*lent.parameters(), *lent.buffers()))
        lent(torch.ones(4, 2, device="cuda"))
    assert same(before, state(model))


def test_random_states_come_back_and_are_seeded_inside() -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002

    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    with own_random_state(1):
        first = draw()
    with suppress(KeyError), own_random_state(1):
        assert draw() == first
        raise KeyError
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])
    with own_random_state(2):
        assert draw() != first


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("abacus", "--device abacus: no such device"),
        ("cuda:99", "--device cuda:99: not on this machine"),
        ("meta", "--device meta: not on this machine"),
    ],
)
def test_a_device_that_is_not_there_is_refused(wanted: str, told: str) -> None:
    with pytest.raises(GapDoctorError, match=told):
        choose_device(wanted)


def test_auto_without_an_accelerator_is_the_cpu() -> None:
    assert choose_device("cpu") == CPU
    if not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        assert choose_device("auto", nn.Linear(1, 1)) == CPU
