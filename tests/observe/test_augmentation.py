"""Augmentation: what each known name does to a batch, and what becomes of a user's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import torch

from gapdoctor import Recipe
from gapdoctor.errors import UserCodeError
from gapdoctor.observe.augmentation import augmentation_of, crop, erase, flip, noise
from gapdoctor.observe.borrow import own_random_state

STEPS = [flip, crop, noise, erase]


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with own_random_state(0):
        yield


def pictures(n: int = 200, side: int = 16) -> torch.Tensor:
    """No pixel is zero, so that what comes in from outside shows."""
    return torch.rand(n, 3, side, side) + 1


def test_flip_mirrors_about_half_of_the_rows() -> None:
    batch = pictures()
    found = flip(batch)
    same, mirrored = (
        (found == other).flatten(1).all(dim=1) for other in (batch, batch.flip(dims=(-1,)))
    )
    assert bool((same ^ mirrored).all())
    assert 70 < int(mirrored.sum()) < 130


def test_crop_shifts_each_row_by_an_eighth_at_most_and_lets_zeros_in() -> None:
    batch = pictures()
    shifts = []
    for before, after in zip(batch, crop(batch), strict=True):
        kept = (after[0] != 0).nonzero()
        top, left = (int(v) for v in kept.min(dim=0).values)
        high, wide = (int(v) + 1 for v in kept.max(dim=0).values)
        down = top if top else high - 16
        right = left if left else wide - 16
        moved = torch.roll(before, (down, right), dims=(-2, -1))
        assert torch.equal(after[:, top:high, left:wide], moved[:, top:high, left:wide])
        assert int((after == 0).sum()) == 3 * (16 * 16 - (high - top) * (wide - left))
        shifts.append((down, right))
    assert {s for pair in shifts for s in pair} == {-2, -1, 0, 1, 2}
    assert len(set(shifts)) == 25  # both axes move on their own


def test_crop_leaves_a_side_that_counts_channels() -> None:
    series = torch.rand(50, 3, 32) + 1
    found = crop(series)
    assert not torch.equal(found, series)
    assert bool(((found == 0).all(dim=1) == (found == 0).any(dim=1)).all())  # channels together


def test_noise_is_a_tenth_of_the_spread_of_the_batch() -> None:
    batch = pictures()
    added = noise(batch) - batch
    assert float(added.std() / batch.std()) == pytest.approx(0.1, rel=0.02)
    assert float(added.mean()) == pytest.approx(0, abs=1e-3)


def test_noise_on_a_table_is_a_tenth_of_each_column() -> None:
    table = torch.randn(4_000, 3) * torch.tensor([1.0, 1_000.0, 0.0])
    added = (noise(table) - table).std(dim=0)
    assert added.tolist() == pytest.approx([0.1, 100.0, 0.0], rel=0.1)


def test_noise_on_one_row_has_no_spread_to_go_by() -> None:
    row = torch.rand(1, 5)
    assert torch.equal(noise(row), row)


def test_erase_zeroes_one_square_of_a_quarter_of_the_side() -> None:
    found = erase(pictures())
    for after in found:
        gone = (after == 0).all(dim=0)
        assert torch.equal(gone, (after == 0).any(dim=0))
        top, left = (int(v) for v in gone.nonzero().min(dim=0).values)
        assert int(gone.sum()) == 16
        assert bool(gone[top : top + 4, left : left + 4].all())
    assert len({tuple((x[0] == 0).nonzero()[0].tolist()) for x in found}) > 50


@pytest.mark.parametrize("step", STEPS)
def test_a_step_leaves_the_batch_it_was_given_alone(step: Callable[..., torch.Tensor]) -> None:
    batch = pictures(40)
    kept = batch.clone()
    found = step(batch)
    assert (found.shape, found.dtype) == (batch.shape, batch.dtype)
    assert not torch.equal(found, batch)
    assert torch.equal(batch, kept)


@pytest.mark.parametrize("step", [crop, erase])
def test_columns_of_a_table_have_no_places(step: Callable[..., torch.Tensor]) -> None:
    table = torch.rand(20, 8)
    assert torch.equal(step(table), table)


@pytest.mark.parametrize("shape", [(20, 8), (20, 3, 16, 16)])
def test_whole_numbers_take_no_noise(shape: tuple[int, ...]) -> None:
    tokens = torch.randint(1, 100, shape)
    assert torch.equal(noise(tokens), tokens)


@pytest.mark.parametrize("step", STEPS)
def test_the_same_seed_gives_the_same_views(step: Callable[..., torch.Tensor]) -> None:
    batch = pictures(20)
    views = []
    for _ in range(2):
        with own_random_state(7):
            views.append(step(batch))
    assert torch.equal(*views)


# -- what the recipe says --------------------------------------------------------------------


def of(planted: ModuleType, names: Any, own: Any = None) -> Any:
    return augmentation_of(planted.healthy(20, recipe=Recipe(augment=names), augment=own))


def test_no_augmentation_is_none_and_an_unknown_one_a_reason(planted: ModuleType) -> None:
    assert of(planted, ()) is None
    assert "is not known" in of(planted, None)
    assert of(planted, ("flip", "mixup")) == (
        "the augmentation 'mixup' cannot be replayed; name it as file.py:function"
    )


def test_known_names_are_done_one_after_the_other(planted: ModuleType) -> None:
    batch = pictures(30)
    both = of(planted, ("flip", "noise"))
    with own_random_state(3):
        found = both(batch)
    with own_random_state(3):
        assert torch.equal(found, noise(flip(batch)))


def test_one_name_needs_no_list(planted: ModuleType) -> None:
    batch, augment = pictures(30), of(planted, "erase")
    with own_random_state(3):
        found = augment(batch)
    with own_random_state(3):
        assert torch.equal(found, erase(batch))


def test_the_user_s_own_is_called_row_by_row_on_a_copy(planted: ModuleType) -> None:
    batch = pictures(5)
    kept, shapes = batch.clone(), []

    def own(x: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(x.shape))
        return x.mul_(2)

    found = of(planted, "mine.py:own", own)(batch)
    assert torch.equal(found, 2 * kept)
    assert torch.equal(batch, kept)
    assert shapes == [(3, 16, 16)] * 5


def test_the_user_s_own_may_give_an_array(planted: ModuleType) -> None:
    batch = pictures(5)
    found = of(planted, None, lambda x: x.numpy()[..., ::-1].copy())(batch)
    assert torch.equal(found, batch.flip(dims=(-1,)))


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (lambda x: x @ x, "RuntimeError on a sample of shape 3×16×8"),
        (lambda x: None, "recipe.augment: "),
        (lambda x: "no tensor", "recipe.augment: TypeError"),
        (lambda x: x[..., : int(torch.randint(1, 8, ()))], "recipe.augment: RuntimeError"),
    ],
)
def test_an_own_augmentation_that_fails_is_named_with_the_shape(
    planted: ModuleType, own: Any, message: str
) -> None:
    augment = of(planted, None, own)
    with pytest.raises(UserCodeError, match=message) as failed:
        augment(torch.rand(30, 3, 16, 8))
    assert "one model-ready tensor" in failed.value.hint
