from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gapdoctor.corrections._pixels import PAIRS, PixelRange, pairs_for
from gapdoctor.corrections._statistics import Statistics


def by(pair: str, pixels: Tensor) -> Tensor:
    mean, std = (torch.tensor(side).reshape(-1, 1, 1) for side in PAIRS[pair])
    return (pixels - mean) / std


@pytest.mark.parametrize("pair", pairs_for(3))
@pytest.mark.parametrize("reach", [(0.0, 1.0), (20 / 255, 250 / 255), (0.0, 200 / 255)])
def test_a_usual_pair_is_recognised_though_no_pixel_is_black_or_white(
    pair: str, reach: tuple[float, float], pixels: Callable[..., Tensor]
) -> None:
    low, high = reach
    some = (255 * (low + (high - low) * pixels(60, 0))).round() / 255
    assert PixelRange.of(Statistics.of(by(pair, some))).text == pair


@pytest.mark.parametrize("pair", ["mnist", "fashion_mnist", "half", "none"])
def test_grey_pairs(pair: str, pixels: Callable[..., Tensor]) -> None:
    assert PixelRange.of(Statistics.of(by(pair, pixels(60, 0, 1)))).text == pair


def test_pixels_that_were_resized_after_bytes_are_recognised(
    pixels: Callable[..., Tensor],
) -> None:
    smooth = 0.03 + 0.95 * pixels(60, 0) ** 1.01
    assert PixelRange.of(Statistics.of(by("imagenet", smooth))).text == "imagenet"


def test_rows_standardised_by_themselves_keep_their_own_range(
    pixels: Callable[..., Tensor],
) -> None:
    raw = pixels(60, 0)
    mean, std = raw.mean(dim=(0, 2, 3)), raw.std(dim=(0, 2, 3))
    rows = (raw - mean.reshape(-1, 1, 1)) / std.reshape(-1, 1, 1)
    found = PixelRange.of(Statistics.of(rows))
    assert found.text.count(":") == 1
    torch.testing.assert_close(found.pixels(rows), raw, rtol=0, atol=1e-4)


def test_pixels_and_back(pixels: Callable[..., Tensor]) -> None:
    rows = pixels(3, 0) * 3 - 1
    for text in ("imagenet", "0:16", "0 -1 -2:1 2 3"):
        span = PixelRange.parse(text)
        torch.testing.assert_close(span.ready(span.pixels(rows)), rows, rtol=1e-4, atol=1e-5)


def test_black_and_white_of_imagenet() -> None:
    span = PixelRange.parse("imagenet")
    assert span.black == pytest.approx((-2.1179, -2.0357, -1.8044), abs=1e-4)
    assert span.white == pytest.approx((2.2489, 2.4286, 2.64), abs=1e-4)
