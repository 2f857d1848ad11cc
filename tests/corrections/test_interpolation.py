from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode, functional

from gapdoctor.corrections._base import Context, Correction


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("nearest", InterpolationMode.NEAREST_EXACT),
        ("bilinear", InterpolationMode.BILINEAR),
        ("bicubic", InterpolationMode.BICUBIC),
    ],
)
def test_there_and_back_as_torchvision_resizes(
    name: str,
    mode: InterpolationMode,
    pixels: Callable[..., Tensor],
    damage: Callable[..., Tensor],
) -> None:
    rows = pixels(4, 0) * 4 - 2
    small = functional.resize(rows, [12, 12], interpolation=mode, antialias=False)
    wanted = functional.resize(small, [16, 16], interpolation=mode, antialias=False)
    torch.testing.assert_close(damage("interpolation", name, rows), wanted)


def test_the_damage_is_mild_and_each_filter_has_its_own(
    pixels: Callable[..., Tensor], context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    rows = pixels(20, 0)
    found = offered("interpolation", context(rows, rows))
    made = [candidate.do(rows) for candidate in found.values()]
    assert list(found) == ["nearest", "bilinear", "bicubic"]
    assert all(0 < (m - rows).abs().mean() < 0.2 * rows.std() for m in made)
    assert not torch.equal(made[1], made[2])


def test_an_unknown_filter_is_told_the_nearest(corrections: dict[str, Correction]) -> None:
    with pytest.raises(ValueError, match="did you mean 'bicubic'"):
        corrections["interpolation"].parse("cubic")
