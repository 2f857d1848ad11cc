from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gapdoctor.corrections._base import Context, Correction
from gapdoctor.errors import DataError

MIXED = [3, 0, 1, 2, 5, 4]


def test_columns_of_other_units_are_put_back(
    table: Callable[..., tuple[Tensor, Tensor]],
    context: Callable[..., Context],
    offered: Callable[..., dict],
) -> None:
    train, heldout = table(400, 0)[0], table(200, 1)[0]
    (candidate,) = offered("permute_columns", context(train, heldout[:, MIXED])).values()
    assert candidate.argument == "1 2 3 0 5 4"
    assert candidate.fitted == 6
    assert torch.equal(candidate.undo(heldout[:, MIXED]), heldout)


def test_standardised_columns_are_told_apart_by_their_classes(
    context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    generator = torch.Generator().manual_seed(0)
    lean = torch.tensor([[2.0, 0, -2], [0, -2, 2], [-2, 2, 0]])
    labels = [torch.arange(300) % 3, torch.arange(240) % 3]
    rows = [lean[y] + torch.randn(len(y), 3, generator=generator) for y in labels]
    train, heldout = ((r - r.mean(0)) / r.std(0) for r in rows)
    wrong = heldout[:, [2, 0, 1]]
    assert offered("permute_columns", context(train, wrong)) == {}
    (candidate,) = offered("permute_columns", context(train, wrong, tuple(labels))).values()
    assert candidate.argument == "1 2 0"


def test_a_class_that_one_split_lacks_is_left_out(
    table: Callable[..., tuple[Tensor, Tensor]],
    context: Callable[..., Context],
    offered: Callable[..., dict],
) -> None:
    (train, first), (heldout, second) = table(400, 0), table(200, 1)
    some = second < 2
    made = context(train, heldout[some][:, MIXED], (first, second[some]))
    candidate, *_ = offered("permute_columns", made).values()
    assert candidate.argument == "1 2 3 0 5 4"


def test_columns_scaled_after_the_mix_are_found_by_their_shapes(
    context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    generator = torch.Generator().manual_seed(0)

    def make(count: int) -> Tensor:
        noise = torch.randn(count, 4, generator=generator)
        return torch.stack(
            [noise[:, 0], noise[:, 1].exp(), -(noise[:, 2].exp()), (noise[:, 3] > 0).float()], dim=1
        )

    train, heldout = make(800), make(800)
    mean, std = train.mean(0), train.std(0)
    wrong = (7 * heldout[:, [1, 2, 3, 0]] - mean) / std
    (candidate,) = offered("permute_columns", context((train - mean) / std, wrong)).values()
    assert candidate.argument.startswith("3 0 1 2;")
    assert candidate.fitted == 4 + 8
    left = (candidate.undo(wrong) - (heldout - mean) / std).abs().mean()
    assert left < 0.15


def test_columns_found_by_their_values_are_rescaled_as_well(
    context: Callable[..., Context], offered: Callable[..., dict]
) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(900) % 3

    def make() -> Tensor:
        rows = torch.randn(900, 4, generator=generator)
        rows[:, 1] += 2 * (labels - 1)
        rows[:, 2] = 1.3 * rows[:, 2] + 2.4 * (1 - labels) + 0.8
        return rows

    train, heldout = make(), make()
    mean, std = train.mean(0), train.std(0)
    wrong = (heldout[:, [0, 2, 1, 3]] - mean) / std
    made = context((train - mean) / std, wrong, (labels, labels))
    found = list(offered("permute_columns", made).values())
    assert [c.argument.partition(";")[0] for c in found] == ["0 2 1 3"] * 2
    off = [float((c.undo(wrong) - (heldout - mean) / std).abs().mean()) for c in found]
    assert off[1] < 0.1 < off[0]


def test_columns_in_order_are_offered_nothing(
    table: Callable[..., tuple[Tensor, Tensor]],
    context: Callable[..., Context],
    offered: Callable[..., dict],
) -> None:
    (train, first), (heldout, second) = table(200, 0), table(100, 1)
    assert offered("permute_columns", context(train, heldout, (first, second))) == {}
    standard = [(r - r.mean(0)) / r.std(0) for r in (train, heldout)]
    assert offered("permute_columns", context(*standard, (first, second))) == {}


def test_other_columns_than_written_are_an_error(mend: Callable[..., Tensor]) -> None:
    with pytest.raises(DataError, match="an order of 2 columns for 3"):
        mend("permute_columns", "1 0", torch.zeros(1, 3))


@pytest.mark.parametrize("argument", ["", "0 0", "1 2", "0.5 1", "1 0; 1 1", "1 0; 1; 1 1"])
def test_no_order_is_an_error(argument: str, corrections: dict[str, Correction]) -> None:
    with pytest.raises(ValueError, match=r"each column number|takes the order|missing"):
        corrections["permute_columns"].parse(argument)
