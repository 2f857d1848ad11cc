from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from gapdoctor.corrections._base import Context, Correction


def test_a_crop_is_the_centre_resized_to_the_whole(
    pixels: Callable[..., Tensor], damage: Callable[..., Tensor]
) -> None:
    rows = pixels(4, 0)
    wanted = functional.resize(functional.center_crop(rows, [12, 12]), [16, 16], antialias=True)
    torch.testing.assert_close(damage("crop_zoom", "crop 0.75", rows), wanted)


def test_a_frame_is_zoomed_away(pixels: Callable[..., Tensor], mend: Callable[..., Tensor]) -> None:
    clean = pixels(4, 0)
    small = functional.resize(clean, [14, 14], antialias=True)
    framed = torch.nn.functional.pad(small, (1, 1, 1, 1), value=0.0)
    back = mend("crop_zoom", "pad 0.875", framed)
    assert (back - clean).abs().mean() < 0.25 * (framed - clean).abs().mean()


def test_each_share_both_ways(
    pixels: Callable[..., Tensor], context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    rows = pixels(4, 0)
    found = offered("crop_zoom", context(rows, rows))
    shares = ("0.875", "0.75", "0.65", "0.5")
    words = ("crop", "pad", "framed")
    assert list(found) == [f"{word} {share}" for word in words for share in shares]
    assert all((c.undo is not None) == c.argument.startswith("pad") for c in found.values())


def test_a_framed_picture_is_smaller_and_its_border_repeated(
    pixels: Callable[..., Tensor], damage: Callable[..., Tensor]
) -> None:
    rows = pixels(4, 0)
    made = damage("crop_zoom", "framed 0.5", rows)
    small = functional.resize(rows, [8, 8], antialias=True)
    torch.testing.assert_close(made[..., 4:12, 4:12], small)
    torch.testing.assert_close(made[..., 0, :], made[..., 4, :])
    torch.testing.assert_close(made[..., :, 15], made[..., :, 11])


def test_shares_that_make_the_same_pixels_are_tried_once(
    pixels: Callable[..., Tensor], context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    small, tiny = pixels(2, 0, 1, 4, 4), pixels(2, 0, 1, 2, 2)
    crops = [c for c in offered("crop_zoom", context(small, small)) if c.startswith("crop")]
    assert crops == ["crop 0.75", "crop 0.5"]  # 3 and 2 of 4 pixels
    assert offered("crop_zoom", context(tiny, tiny)) == {}


@pytest.mark.parametrize("argument", ["", "0.5", "crop", "crop 1", "pad 0", "zoom 0.5", "crop 2"])
def test_no_share_is_an_error(argument: str, corrections: dict[str, Correction]) -> None:
    with pytest.raises(ValueError, match=r"takes crop, pad or framed|a share below 1|above zero"):
        corrections["crop_zoom"].parse(argument)
