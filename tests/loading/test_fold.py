"""Temperature and class order in the weights of the head."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gapdoctor.errors import CheckpointError
from gapdoctor.loading.writing import fold
from gapdoctor.observe.head import find_head
from gapdoctor.stats.assignment import reorder


def model(*, bias: bool = True) -> nn.Sequential:
    torch.manual_seed(4)
    return nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3, bias=bias))


INPUTS = torch.randn(50, 5, generator=torch.Generator().manual_seed(1))


def logits(net: nn.Module) -> Tensor:
    with torch.no_grad():
        out: Tensor = net(INPUTS)
    return out


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("order", [None, (2, 0, 1)])
@pytest.mark.parametrize("temperature", [1.0, 2.0, 0.37, 1e3])
def test_the_folded_student_gives_the_very_logits(bias, order, temperature):
    net = model(bias=bias)
    before = logits(net)
    folded = fold(net, find_head(net, INPUTS, "student"), temperature=temperature, order=order)
    assert (folded.output_temperature, folded.order_left, folded.reason) == (1.0, False, "")
    assert torch.equal(logits(net), before), "the model itself is unchanged"
    net.load_state_dict(folded.weights, strict=True)
    wanted = before.numpy() / temperature
    if order is not None:
        wanted = reorder(wanted, order)
    np.testing.assert_allclose(logits(net).numpy(), wanted, rtol=3e-6, atol=3e-6 / temperature)


def test_a_power_of_two_is_exact():
    net = model()
    before = logits(net)
    net.load_state_dict(fold(net, net[2], temperature=4.0).weights)
    assert torch.equal(logits(net), before / 4.0)


def test_nothing_to_fold_changes_nothing():
    net = model()
    folded = fold(net, None, order=(0, 1, 2))
    assert not folded.order_left
    assert all(torch.equal(folded.weights[k], v) for k, v in net.state_dict().items())


class Scaled(nn.Module):
    """Its logits come out of a product, not of a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = model()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = 2.0 * self.inner(x)
        return out


def test_without_a_linear_head_the_temperature_goes_to_the_config():
    net = Scaled()
    folded = fold(net, find_head(net, INPUTS, "student"), temperature=2.0, order=(2, 0, 1))
    assert (folded.output_temperature, folded.order_left) == (2.0, True)
    assert folded.reason == "The logits do not come straight from a linear layer."
    assert all(torch.equal(folded.weights[k], v) for k, v in net.state_dict().items())


def test_a_shared_or_computed_head_is_not_touched():
    tied = nn.Sequential(nn.Linear(3, 3, bias=False), nn.ReLU(), nn.Linear(3, 3, bias=False))
    tied[2].weight = tied[0].weight
    assert fold(tied, tied[2], temperature=2.0).reason.startswith("The head shares its weights")
    computed = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)))
    assert "parametrization" in fold(computed, computed[0], temperature=2.0).reason


@pytest.mark.parametrize(("temperature", "order"), [(0.0, None), (1.0, (0, 0, 1)), (1.0, (0, 1))])
def test_what_cannot_be_is_refused(temperature, order):
    net = model()
    with pytest.raises(CheckpointError):
        fold(net, net[2], temperature=temperature, order=order)
