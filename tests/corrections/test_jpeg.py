from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gapdoctor.corrections._base import Context, Correction


def test_pictures_are_what_pillow_reads_again(
    pixels: Callable[..., Tensor],
    imagenet: Callable[[Tensor], Tensor],
    damage: Callable[..., Tensor],
) -> None:
    raw = pixels(1, 0)
    written = BytesIO()
    Image.fromarray((255 * raw[0]).round().byte().permute(1, 2, 0).numpy()).save(
        written, "JPEG", quality=20
    )
    read = torch.from_numpy(np.array(Image.open(written))).permute(2, 0, 1)[None] / 255
    made = damage("jpeg", "20, imagenet", imagenet(raw))
    torch.testing.assert_close(made, imagenet(read), rtol=0, atol=1e-5)


def test_lower_quality_hurts_more(
    pixels: Callable[..., Tensor], context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    rows = pixels(10, 0)
    found = offered("jpeg", context(rows, rows))
    assert list(found) == ["60, none", "40, none", "20, none", "10, none"]
    lost = [float((c.do(rows) - rows).square().mean()) for c in found.values()]
    assert 0 < lost[0] < lost[1] < lost[2] < lost[3]


def test_one_channel_with_and_without_its_axis(
    pixels: Callable[..., Tensor], damage: Callable[..., Tensor]
) -> None:
    rows = pixels(3, 0, 1)
    torch.testing.assert_close(
        damage("jpeg", "40, none", rows[:, 0]), damage("jpeg", "40, none", rows)[:, 0]
    )


def test_a_fourth_channel_stays(
    pixels: Callable[..., Tensor], damage: Callable[..., Tensor]
) -> None:
    rows = pixels(3, 0, 4)
    made = damage("jpeg", "10, none", rows)
    assert torch.equal(made[:, 3], rows[:, 3])
    assert not torch.allclose(made[:, :3], rows[:, :3], atol=1e-3)


def test_no_rows_stay_none(damage: Callable[..., Tensor]) -> None:
    assert damage("jpeg", "10, none", torch.zeros(0, 3, 8, 8)).shape == (0, 3, 8, 8)


@pytest.mark.parametrize("argument", ["", "20", "0, none", "101, none", "20.5, none", "x, none"])
def test_no_quality_is_an_error(argument: str, corrections: dict[str, Correction]) -> None:
    with pytest.raises(ValueError, match=r"a quality and a range|whole quality|not a number"):
        corrections["jpeg"].parse(argument)
