from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gapdoctor.corrections._base import Context, Correction


def test_colours_are_reversed_and_a_fourth_channel_stays(mend: Callable[..., Tensor]) -> None:
    batch = torch.arange(4.0).reshape(1, 4, 1, 1)
    assert mend("swap_channels", "", batch).flatten().tolist() == [2, 1, 0, 3]


def test_a_swap_before_normalising_comes_back(
    pixels: Callable[..., Tensor],
    imagenet: Callable[[Tensor], Tensor],
    context: Callable[..., Context],
    offered: Callable[..., dict],
) -> None:
    train, raw = imagenet(pixels(60, 0)), pixels(9, 1)
    wrong = imagenet(raw.flip(1))
    found = offered("swap_channels", context(train, wrong))
    assert list(found) == ["", "imagenet"]
    torch.testing.assert_close(found["imagenet"].undo(wrong), imagenet(raw), rtol=0, atol=1e-5)


def test_one_swap_is_enough_where_channels_share_black_and_white(
    pixels: Callable[..., Tensor], context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    rows = pixels(60, 0)
    assert list(offered("swap_channels", context(rows, rows))) == [""]


def test_an_argument_is_a_range(corrections: dict[str, Correction]) -> None:
    with pytest.raises(ValueError, match="unknown pixel range 'bgr'"):
        corrections["swap_channels"].parse("bgr")
