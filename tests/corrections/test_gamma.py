from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gapdoctor.corrections._base import Context, Correction


@pytest.mark.parametrize(
    ("planted", "argument"),
    [(2.2, "1/2.2"), (1 / 2.2, "2.2"), (2.0, "1/2"), (0.5, "2")],
)
def test_a_gamma_of_normalised_pictures_comes_back(
    planted: float,
    argument: str,
    pixels: Callable[..., Tensor],
    imagenet: Callable[[Tensor], Tensor],
    context: Callable[..., Context],
    offered: Callable[..., dict],
) -> None:
    raw = pixels(60, 0)
    wrong = imagenet(raw**planted)
    candidate = offered("gamma", context(imagenet(raw), wrong))[f"{argument}, imagenet"]
    assert candidate.fitted == 1
    torch.testing.assert_close(candidate.undo(wrong), imagenet(raw), rtol=0, atol=1e-2)


def test_only_powers_towards_train_are_offered(
    pixels: Callable[..., Tensor], context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    found = offered("gamma", context(pixels(200, 0), pixels(200, 1) ** 2.2))
    assert list(found) == ["1/2.2, none", "1/2, none"]


def test_below_black_is_black(mend: Callable[..., Tensor]) -> None:
    batch = torch.tensor([[[-0.5, 0.25, 1.0]]])
    assert mend("gamma", "1/2, none", batch).tolist() == [[[0.0, 0.5, 1.0]]]


@pytest.mark.parametrize("argument", ["", "2.2", "0, none", "-1, none"])
def test_no_power_is_an_error(argument: str, corrections: dict[str, Correction]) -> None:
    with pytest.raises(ValueError, match=r"takes a power and a range|above zero"):
        corrections["gamma"].parse(argument)
