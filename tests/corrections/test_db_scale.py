from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gapdoctor.corrections._base import Context, Correction

SCALES: dict[str, Callable[[Tensor], Tensor]] = {
    "ln": torch.log,
    "log10": torch.log10,
    "10log10": lambda x: 10 * torch.log10(x),
    "20log10": lambda x: 20 * torch.log10(x),
    "log1p": torch.log1p,
}


@pytest.mark.parametrize("name", SCALES)
def test_linear_rows_get_the_logarithm_of_train(
    name: str,
    power: Callable[..., Tensor],
    context: Callable[..., Context],
    offered: Callable[..., dict],
) -> None:
    train, heldout = SCALES[name](power(60, 0)), power(40, 1)
    found = offered("db_scale", context(train, heldout))
    (argument,) = [a for a in found if a.startswith(f"to {name},")]
    assert found[argument].fitted == 0
    wanted = SCALES[name](heldout).clamp(min=float(train.min()))
    torch.testing.assert_close(found[argument].undo(heldout), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", SCALES)
def test_logarithms_become_linear_as_train(
    name: str,
    power: Callable[..., Tensor],
    context: Callable[..., Context],
    offered: Callable[..., dict],
) -> None:
    train, heldout = power(60, 0), power(40, 1)
    found = offered("db_scale", context(train, SCALES[name](heldout)))
    (argument,) = [a for a in found if a.startswith(f"from {name},")]
    wanted = heldout.clamp(max=float(train.max()))
    made = found[argument].undo(SCALES[name](heldout))
    torch.testing.assert_close(made, wanted, rtol=1e-3, atol=1e-4)


def test_silence_falls_to_the_floor_and_loudness_to_the_ceiling(
    mend: Callable[..., Tensor],
) -> None:
    silence = torch.tensor([[[0.0, 1e-9, 1.0]]])
    assert mend("db_scale", "to 20log10, -80", silence).tolist() == [[[-80.0, -80.0, 0.0]]]
    loud = torch.tensor([[[0.0, 20.0, 1e4]]])
    torch.testing.assert_close(
        mend("db_scale", "from 20log10, 50", loud), torch.tensor([[[1.0, 10.0, 50.0]]])
    )


def test_factor_and_offset_are_fitted_where_both_are_normalised(
    power: Callable[..., Tensor], context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    def ready(rows: Tensor) -> Tensor:
        return (10 * (rows + 1e-4).log10() - 12) / 7

    train, heldout = power(60, 0), power(40, 1)
    wrong = (heldout - 3) / 20
    found = offered("db_scale", context(ready(train), wrong))
    (argument,) = [a for a in found if a.startswith("to log,")]
    assert found[argument].fitted == 3
    left = (found[argument].undo(wrong) - ready(heldout)).abs().mean()
    assert left < 0.1 * ready(heldout).std()


def test_the_fitted_scale_the_other_way_round(
    power: Callable[..., Tensor], context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    train, heldout = (power(60, 0) - 3) / 20, power(40, 1)
    found = offered("db_scale", context(train, 2 * heldout.log() - 1))
    (argument,) = [a for a in found if a.startswith("from log,")]
    assert found[argument].fitted == 2
    wanted = ((heldout - 3) / 20).clamp(max=float(train.max()))
    made = found[argument].undo(2 * heldout.log() - 1)
    assert (made - wanted).abs().mean() < 0.1 * wanted.std()


def test_columns_of_logarithms(
    power: Callable[..., Tensor], context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    train, heldout = power(60, 0)[:, :, 0], power(60, 1)[:, :, 0]
    assert any(a.startswith("to ln,") for a in offered("db_scale", context(train.log(), heldout)))


def test_rows_on_one_scale_are_offered_nothing(
    power: Callable[..., Tensor],
    pixels: Callable[..., Tensor],
    context: Callable[..., Context],
    offered: Callable[..., dict],
) -> None:
    assert offered("db_scale", context(power(60, 0), power(60, 1))) == {}
    assert offered("db_scale", context(power(60, 0).log(), power(60, 1).log())) == {}
    assert offered("db_scale", context(pixels(60, 0, 1), pixels(60, 1, 1))) == {}


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("", "takes to or from"),
        ("to", "unknown scale"),
        ("to 20log10", "takes to 20log10 and a limit"),
        ("to 20log, -80", "did you mean '20log10'"),
        ("from log, 1, 2", "takes from log, A, B, C, LIMIT"),
        ("to log, 0, 0, 0, -1", "not above zero"),
    ],
)
def test_what_it_takes_is_told(
    argument: str, said: str, corrections: dict[str, Correction]
) -> None:
    with pytest.raises(ValueError, match=said):
        corrections["db_scale"].parse(argument)
