from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from gapdoctor.corrections._base import Context, Correction


@pytest.mark.parametrize(("factor", "side"), [("2", 8), ("3", 5), ("4", 4)])
def test_smaller_and_enlarged_as_torchvision_resizes(
    factor: str, side: int, pixels: Callable[..., Tensor], damage: Callable[..., Tensor]
) -> None:
    rows = pixels(4, 0)
    small = functional.resize(rows, [side, side], antialias=True)
    wanted = functional.resize(small, [16, 16], antialias=True)
    torch.testing.assert_close(damage("low_resolution", factor, rows), wanted)


@pytest.mark.parametrize("deviation", ["0.75", "1", "1.5", "2"])
def test_a_blurred_point_is_a_gaussian(deviation: str, damage: Callable[..., Tensor]) -> None:
    point = torch.zeros(1, 25, 31, dtype=torch.float64)
    point[0, 12, 15] = 1
    steps = torch.arange(-12, 13, dtype=torch.float64)
    row = torch.exp(-(steps**2) / (2 * float(deviation) ** 2))
    blurred = damage("low_resolution", f"blur {deviation}", point)
    torch.testing.assert_close(blurred[0, :, 15] / blurred[0, 12, 15], row, rtol=0, atol=1e-3)
    torch.testing.assert_close(blurred.sum(), torch.ones((), dtype=torch.float64))


def test_a_blur_keeps_what_is_flat_up_to_the_border(damage: Callable[..., Tensor]) -> None:
    flat = torch.full((2, 3, 6, 9), 0.7)
    torch.testing.assert_close(damage("low_resolution", "blur 2", flat), flat)


def test_factors_that_leave_one_pixel_are_not_tried(
    pixels: Callable[..., Tensor], context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    rows = pixels(2, 0, 1, 6, 20)
    found = offered("low_resolution", context(rows, rows))
    assert list(found) == ["2", "3", "blur 0.75", "blur 1", "blur 1.5", "blur 2"]


@pytest.mark.parametrize("argument", ["", "1", "blur", "blur 0", "blurred 1", "0.5"])
def test_no_factor_is_an_error(argument: str, corrections: dict[str, Correction]) -> None:
    with pytest.raises(ValueError, match=r"a factor above 1|not a number|above zero"):
        corrections["low_resolution"].parse(argument)
