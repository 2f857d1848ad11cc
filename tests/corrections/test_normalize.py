from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms.functional import normalize

from gapdoctor.corrections._base import Context, Correction
from gapdoctor.corrections._pixels import PAIRS, pairs_for


def by(pair: str, pixels: Tensor) -> Tensor:
    """Pixels normalised with a pair."""
    mean, std = (list(side) * (3 // len(side)) for side in PAIRS[pair])
    return normalize(pixels, mean[: pixels.shape[1]], std[: pixels.shape[1]])


@pytest.mark.parametrize("wanted", pairs_for(3))
@pytest.mark.parametrize("given", pairs_for(3))
def test_each_pair_is_undone_into_each(
    given: str, wanted: str, pixels: Callable[..., Tensor], mend: Callable[..., Tensor]
) -> None:
    raw = pixels(5, 0)
    back = mend("normalize", f"{given} -> {wanted}", by(given, raw))
    torch.testing.assert_close(back, by(wanted, raw), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("given", ["none", "bytes", "half", "cifar10", "clip"])
def test_the_pair_of_train_rows_is_recognised_and_the_right_one_offered(
    given: str,
    pixels: Callable[..., Tensor],
    context: Callable[..., Context],
    offered: Callable[..., dict],
) -> None:
    found = offered("normalize", context(by("imagenet", pixels(90, 0)), by(given, pixels(90, 1))))
    assert f"{given} -> imagenet" in found
    assert {c.fitted for c in found.values()} == {0}


def test_normalised_twice_comes_back(
    pixels: Callable[..., Tensor],
    context: Callable[..., Context],
    offered: Callable[..., dict],
    mend: Callable[..., Tensor],
) -> None:
    once = by("imagenet", pixels(60, 1))
    assert "imagenet twice" in offered("normalize", context(once, by("imagenet", once)))
    back = mend("normalize", "imagenet twice", by("imagenet", once))
    torch.testing.assert_close(back, once, rtol=1e-4, atol=1e-4)


def test_what_would_make_no_pixels_is_not_offered(
    pixels: Callable[..., Tensor], context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    rows = by("imagenet", pixels(90, 0))
    found = offered("normalize", context(rows, rows))
    assert not {"none -> imagenet", "bytes -> imagenet", "imagenet twice"} & set(found)


def test_one_channel_knows_its_own_pairs(
    pixels: Callable[..., Tensor], context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    train, heldout = by("mnist", pixels(90, 0, 1)), pixels(90, 1, 1)
    found = offered("normalize", context(train, heldout))
    assert "none -> mnist" in found
    assert not [text for text in found if "imagenet" in text]


def test_rows_of_an_unknown_pair_are_led_to_their_own_black_and_white(
    pixels: Callable[..., Tensor],
    context: Callable[..., Context],
    offered: Callable[..., dict],
    mend: Callable[..., Tensor],
) -> None:
    train, raw = (pixels(90, 0) - 0.37) / 0.11, pixels(90, 1)
    found = [t for t in offered("normalize", context(train, raw)) if t.startswith("none -> ")]
    assert len(found) == 1
    back = mend("normalize", found[0], raw)
    torch.testing.assert_close(back, (raw - 0.37) / 0.11, rtol=0, atol=1e-2)


def test_columns_standardised_where_train_is_not_are_restored(
    table: Callable[..., tuple[Tensor, Tensor]],
    context: Callable[..., Context],
    offered: Callable[..., dict],
) -> None:
    train, heldout = table(500, 0)[0], table(300, 1)[0]
    wrong = (heldout - train.mean(0)) / train.std(0, unbiased=False)
    (candidate,) = offered("normalize", context(train, wrong)).values()
    assert candidate.argument.startswith("restore ")
    assert candidate.fitted == 0
    torch.testing.assert_close(candidate.undo(wrong), heldout, rtol=1e-4, atol=1e-3)


def test_columns_not_standardised_where_train_is_are_standardised_by_themselves(
    table: Callable[..., tuple[Tensor, Tensor]],
    context: Callable[..., Context],
    offered: Callable[..., dict],
) -> None:
    raw, heldout = table(500, 0)[0], table(300, 1)[0]
    train = (raw - raw.mean(0)) / raw.std(0)
    (candidate,) = offered("normalize", context(train, heldout)).values()
    assert candidate.argument.startswith("standardize ")
    assert candidate.fitted == 12
    back = candidate.undo(heldout)
    torch.testing.assert_close(back.mean(0), torch.zeros(6), rtol=0, atol=1e-3)
    torch.testing.assert_close(back.std(0, unbiased=False), torch.ones(6), rtol=0, atol=1e-3)


def test_columns_alike_are_offered_nothing(
    table: Callable[..., tuple[Tensor, Tensor]],
    context: Callable[..., Context],
    offered: Callable[..., dict],
) -> None:
    assert offered("normalize", context(table(300, 0)[0], table(300, 1)[0])) == {}


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("", "takes FROM -> TO"),
        ("imagenet", "takes FROM -> TO"),
        ("none -> imagnet", "did you mean 'imagenet'"),
        ("restore 1 2:3", "as many deviations"),
        ("standardize 1:0", "as many deviations above zero"),
        ("0:1 -> 2:1", "each below it"),
    ],
)
def test_what_it_takes_is_told(
    argument: str, said: str, corrections: dict[str, Correction]
) -> None:
    with pytest.raises(ValueError, match=said):
        corrections["normalize"].parse(argument)
