from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gapdoctor.corrections._base import Context, Correction
from gapdoctor.errors import DataError


def test_channels_get_the_mean_and_deviation_of_train(
    pixels: Callable[..., Tensor], context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    clean = pixels(50, 0)
    shift, scale = (torch.tensor(v).reshape(3, 1, 1) for v in ([1.0, -2, 3], [2.0, 0.5, 7]))
    wrong = clean * scale + shift
    (candidate,) = offered("match_statistics", context(clean, wrong)).values()
    assert candidate.fitted == 6
    torch.testing.assert_close(candidate.undo(wrong), clean, rtol=0, atol=1e-4)


def test_columns_are_matched_one_by_one_and_constant_ones_are_shifted(
    table: Callable[..., tuple[Tensor, Tensor]],
    context: Callable[..., Context],
    offered: Callable[..., dict],
) -> None:
    train = table(200, 0)[0]
    train[:, 2] = 5
    wrong = train * torch.tensor([1, 2, 1, 10, 1, 0.1]) + 3
    (candidate,) = offered("match_statistics", context(train, wrong)).values()
    assert candidate.fitted == 12
    torch.testing.assert_close(candidate.undo(wrong), train, rtol=1e-3, atol=1e-3)


def test_a_plane_is_one_channel(
    power: Callable[..., Tensor], context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    rows = power(20, 0).log()
    (candidate,) = offered("match_statistics", context(rows, 4 * rows - 1)).values()
    assert candidate.fitted == 2
    torch.testing.assert_close(candidate.undo(4 * rows - 1), rows, rtol=1e-4, atol=1e-4)


def test_rows_alike_are_offered_nothing(
    pixels: Callable[..., Tensor], context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    rows = pixels(50, 0)
    assert offered("match_statistics", context(rows, rows)) == {}


def test_other_channels_than_written_are_an_error(mend: Callable[..., Tensor]) -> None:
    with pytest.raises(DataError, match="written for 2 channels, but a sample has 3"):
        mend("match_statistics", "1 2; 3 4", torch.zeros(1, 3))


@pytest.mark.parametrize("argument", ["", "1 2", "1 2; 3", "1; x"])
def test_unequal_sides_are_an_error(argument: str, corrections: dict[str, Correction]) -> None:
    with pytest.raises(ValueError, match=r"takes factors; offsets|as many factors|not a number"):
        corrections["match_statistics"].parse(argument)
