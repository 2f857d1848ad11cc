from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from gapdoctor.corrections._base import Context, Correction


def test_grey_is_the_luma_of_the_pixels_not_of_the_normalised_values(
    pixels: Callable[..., Tensor],
    imagenet: Callable[[Tensor], Tensor],
    context: Callable[..., Context],
    offered: Callable[..., dict],
) -> None:
    raw = pixels(60, 0)
    rows = imagenet(raw)
    (candidate,) = offered("grayscale", context(rows, rows)).values()
    assert candidate.text == "grayscale(imagenet)"
    wanted = imagenet(functional.rgb_to_grayscale(raw, num_output_channels=3))
    torch.testing.assert_close(candidate.do(rows), wanted, rtol=0, atol=1e-3)


def test_a_fourth_channel_stays(damage: Callable[..., Tensor]) -> None:
    batch = torch.tensor([1.0, 0.0, 0.0, 0.4]).reshape(1, 4, 1, 1)
    grey = damage("grayscale", "none", batch).flatten()
    torch.testing.assert_close(grey, torch.tensor([0.299, 0.299, 0.299, 0.4]))


def test_no_range_is_an_error(corrections: dict[str, Correction]) -> None:
    with pytest.raises(ValueError, match="unknown pixel range"):
        corrections["grayscale"].parse("")
