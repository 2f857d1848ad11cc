from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gapdoctor.corrections._base import Context, Correction


def test_a_negative_of_normalised_pictures_comes_back(
    pixels: Callable[..., Tensor],
    imagenet: Callable[[Tensor], Tensor],
    context: Callable[..., Context],
    offered: Callable[..., dict],
) -> None:
    train, raw = imagenet(pixels(60, 0)), pixels(9, 1)
    (candidate,) = offered("invert", context(train, imagenet(1 - raw))).values()
    assert candidate.text == "invert(imagenet)"
    back = candidate.undo(imagenet(1 - raw))
    torch.testing.assert_close(back, imagenet(raw), rtol=0, atol=1e-5)


def test_black_and_white_are_those_of_train_where_no_pair_fits(
    context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    train = torch.linspace(3, 19, 64).reshape(1, 8, 8)
    (candidate,) = offered("invert", context(train, train)).values()
    assert candidate.argument == "3:19"
    torch.testing.assert_close(candidate.undo(train), 22 - train)


def test_the_range_may_differ_by_channel(mend: Callable[..., Tensor]) -> None:
    batch = torch.tensor([0.0, 1.0, 5.0]).reshape(1, 3, 1, 1)
    assert mend("invert", "0 0 4:1 2 8", batch).flatten().tolist() == [1, 1, 7]


@pytest.mark.parametrize("argument", ["", "1:0", "0 0:1", "0:", "grey"])
def test_no_range_is_an_error(argument: str, corrections: dict[str, Correction]) -> None:
    with pytest.raises(ValueError, match=r"pixel range|each below it|missing"):
        corrections["invert"].parse(argument)
