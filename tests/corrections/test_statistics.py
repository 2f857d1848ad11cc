from __future__ import annotations

import pytest
import torch

from gapdoctor.corrections._base import Kind, kind_of
from gapdoctor.corrections._statistics import Statistics, misfit, per_channel
from gapdoctor.errors import DataError


def test_known_numbers_of_columns() -> None:
    rows = torch.tensor([[0.0, 5.0], [2.0, 5.0], [4.0, 5.0]])
    found = Statistics.of(rows, torch.tensor([0, 2, 0]), classes=3)
    assert found.mean.tolist() == [2, 5]
    torch.testing.assert_close(found.std, torch.tensor([(8 / 3) ** 0.5, 0.0]))
    assert (found.low, found.high) == (0, 5)
    assert found.quantiles.shape == (2, 21)
    assert found.quantiles[0, 10] == 2
    assert found.class_means[:, [0, 2]].tolist() == [[2, 2], [5, 5]]
    assert found.class_means[:, 1].isnan().all()


@pytest.mark.parametrize(
    ("shape", "channels"),
    [((7,), 1), ((7, 5), 5), ((7, 5, 4), 1), ((7, 2, 5, 4), 2), ((7, 2, 3, 5, 4), 2)],
)
def test_channels_by_shape(shape: tuple[int, ...], channels: int) -> None:
    rows = torch.arange(torch.tensor(shape).prod()).reshape(shape).float()
    found = Statistics.of(rows)
    assert found.mean.shape == found.lows.shape == (channels,)
    assert found.class_means.shape == (channels, 0)
    torch.testing.assert_close(found.mean.mean(), rows.mean())
    assert per_channel([0.0] * channels, rows).ndim == rows.ndim


def test_quantiles_of_many_values_are_near_those_of_all() -> None:
    rows = torch.linspace(0, 1, 64 * 64 * 10).reshape(10, 1, 64, 64)
    wanted = torch.tensor([0.01, 0.25, 0.5, 0.99])
    found = Statistics.of(rows).quantiles[0, [0, 5, 10, 20]]
    torch.testing.assert_close(found, wanted, rtol=0, atol=0.02)


def test_misfit_is_in_deviations_of_train() -> None:
    train = Statistics.of(torch.randn(500, 1, generator=torch.Generator().manual_seed(0)) * 4)
    assert misfit(train.quantiles, train) == 0
    assert misfit(train.quantiles + 2 * float(train.std), train) == pytest.approx(2)


@pytest.mark.parametrize("rows", [torch.zeros(0, 3), torch.tensor([[1.0, torch.nan]])])
def test_no_values_or_lost_ones_are_an_error(rows: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="empty batch or of values that are not finite"):
        Statistics.of(rows)


def test_numbers_for_other_channels_are_an_error() -> None:
    with pytest.raises(DataError, match="for 3 channels, but a sample has 1"):
        per_channel([1.0, 2.0, 3.0], torch.zeros(2, 4, 4))


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((3, 8, 8), Kind.IMAGE),
        ((4, 8, 8), Kind.IMAGE),
        ((1, 8, 8), Kind.MAP),
        ((8, 8), Kind.MAP),
        ((8,), Kind.COLUMNS),
        ((2, 8, 8), Kind.OTHER),
        ((), Kind.OTHER),
    ],
)
def test_kinds(shape: tuple[int, ...], kind: Kind) -> None:
    assert kind_of(shape) is kind
