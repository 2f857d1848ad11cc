from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gapdoctor.corrections._base import Context, Correction


@pytest.mark.parametrize(
    ("argument", "factor"),
    [("255", 255), ("1/255", 1 / 255), ("2", 2), ("1/2", 0.5), ("16", 16), ("1/16", 1 / 16)],
)
def test_undo_multiplies(
    argument: str, factor: float, mend: Callable[[str, str, Tensor], Tensor]
) -> None:
    batch = torch.tensor([[1.0, -2.0, 0.5]])
    torch.testing.assert_close(mend("rescale_input", argument, batch), batch * factor)


def test_six_factors_where_black_is_zero(
    pixels: Callable[..., Tensor], context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    rows = pixels(50, 0)
    found = offered("rescale_input", context(rows, rows))
    assert list(found) == ["255", "1/255", "2", "1/2", "16", "1/16"]
    assert found["1/255"].label == "input ÷ 255"
    assert {c.fitted for c in found.values()} == {0}


def test_pixels_normalised_without_the_division_come_back(
    pixels: Callable[..., Tensor],
    imagenet: Callable[[Tensor], Tensor],
    context: Callable[..., Context],
    offered: Callable[..., dict],
    mend: Callable[[str, str, Tensor], Tensor],
) -> None:
    train, clean, wrong = (imagenet(p) for p in (pixels(50, 0), pixels(9, 1), 255 * pixels(9, 1)))
    assert "1/255, imagenet" in offered("rescale_input", context(train, wrong))
    back = mend("rescale_input", "1/255, imagenet", wrong)
    torch.testing.assert_close(back, clean, rtol=0, atol=1e-4)
    plain = mend("rescale_input", "1/255", wrong)
    assert (plain - clean).abs().mean() > 1  # black has moved


@pytest.mark.parametrize("argument", ["", "0", "-2", "1/0", "inf", "1/255,", "2, imagnet"])
def test_no_factor_is_an_error(argument: str, corrections: dict[str, Correction]) -> None:
    with pytest.raises(ValueError, match=r"factor|not above zero|not a number|unknown pixel range"):
        corrections["rescale_input"].parse(argument)
