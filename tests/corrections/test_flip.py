from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gapdoctor.corrections._base import Context, Correction
from gapdoctor.errors import DataError

SQUARE = [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("axis", "flipped"),
    [
        ("horizontal", [[2.0, 1.0], [4.0, 3.0]]),
        ("time", [[2.0, 1.0], [4.0, 3.0]]),
        ("vertical", [[3.0, 4.0], [1.0, 2.0]]),
        ("frequency", [[3.0, 4.0], [1.0, 2.0]]),
        ("diagonal", [[1.0, 3.0], [2.0, 4.0]]),
    ],
)
def test_axes(axis: str, flipped: list[list[float]], mend: Callable[..., Tensor]) -> None:
    assert mend("flip", axis, torch.tensor([SQUARE])).tolist() == [flipped]
    assert mend("flip", axis, torch.tensor([[SQUARE, SQUARE]])).tolist() == [[flipped, flipped]]


def test_the_diagonal_is_for_squares(
    pixels: Callable[..., Tensor],
    context: Callable[..., Context],
    offered: Callable[..., dict],
    mend: Callable[..., Tensor],
) -> None:
    square, wide = pixels(4, 0), pixels(4, 0, 1, 9, 12)
    assert list(offered("flip", context(square, square))) == ["horizontal", "vertical", "diagonal"]
    assert list(offered("flip", context(wide, wide))) == ["horizontal", "vertical"]
    with pytest.raises(DataError, match="samples of 9×12 are not square"):
        mend("flip", "diagonal", wide)


def test_an_unknown_axis_is_told_the_nearest(corrections: dict[str, Correction]) -> None:
    with pytest.raises(ValueError, match="did you mean 'horizontal'"):
        corrections["flip"].parse("horizontally")
