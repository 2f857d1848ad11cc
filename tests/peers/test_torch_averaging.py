"""Averaged weights and BatchNorm statistics against `torch.optim.swa_utils`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from gapdoctor.domain.recipe import Average
from gapdoctor.training.averaging import renew_statistics

Averaged = Callable[..., nn.Module]


def flat(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten().clone() for p in model.parameters()])


@pytest.mark.parametrize("after", [0, 6, 9])
def test_the_plain_mean(averaged: Averaged, small: nn.Module, after: int) -> None:
    theirs, steps = AveragedModel(small), iter(range(12))

    def tell(student: nn.Module) -> None:
        if next(steps) >= after:
            theirs.update_parameters(student)

    ours = averaged(small, tell, average=Average.SWA, average_from=after / 12)
    assert torch.allclose(flat(ours), flat(theirs), atol=1e-6)


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.99])
def test_the_moving_average(averaged: Averaged, small: nn.Module, decay: float) -> None:
    """Torch's begins with the first weights w, which linger with decayⁿ, instead of with nothing.

    ours = (theirs − decayⁿ·w) / (1 − decayⁿ) after n = 12 steps.
    """
    how = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    theirs, first = AveragedModel(small, multi_avg_fn=how), []

    def tell(student: nn.Module) -> None:
        first.append(flat(student))
        theirs.update_parameters(student)

    ours = averaged(small, tell, average=Average.EMA, average_decay=decay)
    left = decay**12
    assert torch.allclose(flat(ours), (flat(theirs) - left * first[0]) / (1 - left), atol=1e-5)


def network(dropout: float) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(dropout), nn.Flatten(),
        nn.Linear(36, 6), nn.BatchNorm1d(6), nn.Linear(6, 3),
    )  # fmt: skip


def pictures() -> list[torch.Tensor]:
    chance = torch.Generator().manual_seed(0)
    return [torch.randn(n, 3, 5, 5, generator=chance) for n in (17, 17, 16)]


def statistics(model: nn.Module) -> dict[str, Any]:
    return {name: value.tolist() for name, value in model.named_buffers()}


def test_batchnorm_statistics() -> None:
    batches = pictures()
    ours, theirs = network(0.0).train(), network(0.0)
    renew_statistics(ours, batches)
    update_bn(batches, theirs)
    assert statistics(ours) == statistics(theirs)
    assert statistics(ours) != statistics(network(0.0))


def test_torch_takes_them_under_dropout_and_we_without() -> None:
    """`update_bn` puts every module in train mode, so that statistics of the 6 units differ."""
    batches = pictures()
    ours, theirs, off = network(0.5).train(), network(0.5), network(0.0)
    renew_statistics(ours, batches)
    update_bn(batches, off)
    assert statistics(ours) == statistics(off)
    update_bn(batches, theirs)
    mine, other = ours[6].running_var, theirs[6].running_var
    assert torch.equal(ours[1].running_var, theirs[1].running_var)  # type: ignore[arg-type]
    assert (other > mine).all()  # type: ignore[operator]


def test_an_averaged_model_with_its_statistics(averaged: Averaged, inputs: torch.Tensor) -> None:
    """As it is done by hand: average, then `update_bn` over the train rows."""
    torch.manual_seed(0)
    student = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
    theirs = AveragedModel(student)
    ours = averaged(
        student, theirs.update_parameters, average=Average.SWA, average_from=0.0, batch_size=50
    )
    update_bn([inputs], theirs)
    for (name, value), other in zip(
        ours.state_dict().items(), theirs.module.state_dict().values(), strict=True
    ):
        assert torch.allclose(value, other, rtol=1e-4, atol=1e-6), name
