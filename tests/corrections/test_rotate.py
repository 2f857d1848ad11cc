from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gapdoctor.corrections._base import Context, Correction
from gapdoctor.errors import DataError


def test_a_quarter_turn_is_counter_clockwise(mend: Callable[..., Tensor]) -> None:
    batch = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    assert mend("rotate", "90", batch).tolist() == [[[2.0, 4.0], [1.0, 3.0]]]


@pytest.mark.parametrize(("wrong", "right"), [("90", "270"), ("180", "180"), ("270", "90")])
def test_two_turns_make_a_whole_one(
    wrong: str, right: str, pixels: Callable[..., Tensor], mend: Callable[..., Tensor]
) -> None:
    rows = pixels(3, 0)
    assert torch.equal(mend("rotate", right, mend("rotate", wrong, rows)), rows)


def test_samples_that_are_not_square_are_turned_upside_down_only(
    pixels: Callable[..., Tensor], context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    rows = pixels(4, 0, height=9, width=12)
    assert list(offered("rotate", context(rows, rows))) == ["180"]


def test_a_quarter_turn_of_what_is_not_square_is_an_error(mend: Callable[..., Tensor]) -> None:
    with pytest.raises(DataError, match="samples of 4×6 are not square"):
        mend("rotate", "90", torch.zeros(1, 4, 6))


def test_other_angles_are_an_error(corrections: dict[str, Correction]) -> None:
    with pytest.raises(ValueError, match="unknown angle '45'; one of: 90, 180, 270"):
        corrections["rotate"].parse("45")
