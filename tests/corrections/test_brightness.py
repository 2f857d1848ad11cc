from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gapdoctor.corrections._base import Context, Correction


@pytest.mark.parametrize("factor", [0.35, 0.8, 3.0])
def test_a_factor_on_the_pixels_comes_back(
    factor: float,
    pixels: Callable[..., Tensor],
    imagenet: Callable[[Tensor], Tensor],
    context: Callable[..., Context],
    offered: Callable[..., dict],
) -> None:
    raw = pixels(200, 0)
    clean, wrong = imagenet(raw), imagenet(factor * raw)
    (candidate,) = offered("brightness", context(clean, wrong)).values()
    assert candidate.fitted == 1
    torch.testing.assert_close(candidate.undo(wrong), clean, rtol=0, atol=1e-3)


def test_the_whitest_pixel_tells_the_factor_of_other_rows(
    pixels: Callable[..., Tensor], context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    train, heldout = pixels(200, 0).clamp(max=0.9), pixels(200, 1).clamp(max=0.9)
    (candidate,) = offered("brightness", context(train, 0.45 * heldout)).values()
    torch.testing.assert_close(candidate.undo(0.45 * heldout), heldout, rtol=1e-5, atol=1e-6)


def test_what_was_clipped_is_told_by_the_mean(
    pixels: Callable[..., Tensor], context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    train, heldout = pixels(200, 0), (3 * pixels(200, 1)).clamp(max=1.0)
    (candidate,) = offered("brightness", context(train, heldout)).values()
    assert float(candidate.argument.partition(",")[0]) < 0.7


def test_rows_as_bright_as_train_are_offered_nothing(
    pixels: Callable[..., Tensor], context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    assert offered("brightness", context(pixels(200, 0), pixels(200, 1))) == {}


def test_black_rows_are_offered_nothing(
    pixels: Callable[..., Tensor], context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    assert offered("brightness", context(pixels(20, 0), torch.zeros(5, 3, 16, 16))) == {}


def test_black_stays_black(mend: Callable[..., Tensor]) -> None:
    batch = torch.tensor([[[-1.0, 0.0]]])
    assert mend("brightness", "3, half", batch).tolist() == [[[-1.0, 2.0]]]


@pytest.mark.parametrize("argument", ["", "2", "0, none", "x, none", "2, none, none"])
def test_no_factor_is_an_error(argument: str, corrections: dict[str, Correction]) -> None:
    with pytest.raises(ValueError, match=r"takes a factor and a range|above zero|not a number"):
        corrections["brightness"].parse(argument)
