"""Augmentation: what each known name does to a batch, and what becomes of a user's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import torch

from gapdoctor import Recipe
from gapdoctor.corrections._base import kind_of
from gapdoctor.errors import UserCodeError
from gapdoctor.observe.augmentation import (
    KNOWN,
    augmentation_by,
    augmentation_of,
    color_jitter,
    crop,
    default_augmentation,
    erase,
    flip,
    frequency_mask,
    noise,
    rotate,
    scale,
    time_mask,
)
from gapdoctor.observe.borrow import own_random_state

STEPS = list(KNOWN.values())


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


def test_rotate_turns_around_the_middle_by_ten_degrees_at_most() -> None:
    rows, columns = torch.meshgrid(torch.arange(33.0), torch.arange(33.0), indexing="ij")
    spot = torch.exp(-((rows - 16) ** 2 + (columns - 26) ** 2) / 4)  # right of the middle
    found = rotate(spot.expand(100, 1, 33, 33))
    weight = found.sum(dim=(1, 2, 3))
    down = (found[:, 0] * (rows - 16)).sum(dim=(1, 2)) / weight
    right = (found[:, 0] * (columns - 16)).sum(dim=(1, 2)) / weight
    angle = torch.rad2deg(torch.atan2(down, right))
    assert torch.allclose((down**2 + right**2).sqrt(), torch.tensor(10.0), atol=0.1)
    assert float(angle.abs().max()) < 10.1
    assert float(angle.min()) < -8
    assert float(angle.max()) > 8


def test_rotate_turns_an_oblong_without_stretching_it() -> None:
    rows, columns = torch.meshgrid(torch.arange(17.0), torch.arange(65.0), indexing="ij")
    spot = torch.exp(-((rows - 8) ** 2 + (columns - 52) ** 2) / 4)
    found = rotate(spot.expand(50, 17, 65))
    weight = found.sum(dim=(1, 2))
    down = (found * (rows - 8)).sum(dim=(1, 2)) / weight
    right = (found * (columns - 32)).sum(dim=(1, 2)) / weight
    assert torch.allclose((down**2 + right**2).sqrt(), torch.tensor(20.0), atol=0.2)


@pytest.mark.parametrize(("step", "axis"), [(time_mask, -1), (frequency_mask, -2)])
def test_a_mask_hides_one_span_behind_the_mean(step: Any, axis: int) -> None:
    batch = torch.rand(300, 1, 24, 40)
    widths = set()
    for before, after in zip(batch[:, 0], step(batch)[:, 0], strict=True):
        hidden = (after != before).any(dim=0 if axis == -1 else 1).nonzero().flatten().tolist()
        widths.add(len(hidden))
        assert hidden == list(range(hidden[0], hidden[0] + len(hidden))) if hidden else True
        gone = after[:, hidden] if axis == -1 else after[hidden]
        assert torch.allclose(gone, before.mean())
    assert widths == set(range(24 // 8 + 1 if axis == -2 else 40 // 8 + 1))


def test_scale_multiplies_each_row_by_one_factor() -> None:
    table = torch.rand(2_000, 5) + 1
    factor = scale(table) / table
    assert torch.allclose(factor, factor[:, :1].expand_as(factor))
    assert float(factor[:, 0].mean()) == pytest.approx(1.0, abs=0.01)
    assert float(factor[:, 0].std()) == pytest.approx(0.1, rel=0.05)


def test_color_jitter_moves_colours_and_no_place() -> None:
    batch = torch.rand(40, 4, 6, 6)
    found = color_jitter(batch)
    assert torch.equal(found[:, 3], batch[:, 3])  # a fourth channel is no colour
    for before, after in zip(batch[:, :3], found[:, :3], strict=True):
        grey, made = before.mean(dim=0), after.mean(dim=0)
        fit = torch.stack([grey.flatten(), torch.ones(36)], dim=1)
        solved = torch.linalg.lstsq(fit, made.flatten()[:, None]).solution
        assert torch.allclose(fit @ solved, made.flatten()[:, None], atol=1e-4)
        assert 0.79 < float(solved[0]) < 1.21
    assert torch.equal(color_jitter(batch[:, :1]), batch[:, :1])


@pytest.mark.parametrize("step", STEPS)
def test_a_batch_stays_on_its_device(step: Callable[..., torch.Tensor]) -> None:
    found = step(torch.empty(3, 3, 16, 16, device="meta"))
    assert (found.device.type, found.shape) == ("meta", (3, 3, 16, 16))


@pytest.mark.parametrize("step", [crop, erase, rotate, color_jitter, time_mask, frequency_mask])
def test_columns_of_a_table_have_no_places(step: Callable[..., torch.Tensor]) -> None:
    table = torch.rand(20, 8)
    assert torch.equal(step(table), table)


@pytest.mark.parametrize("step", [noise, scale, rotate, color_jitter, time_mask, frequency_mask])
@pytest.mark.parametrize("shape", [(20, 8), (20, 3, 16, 16)])
def test_whole_numbers_have_no_shades(
    step: Callable[..., torch.Tensor], shape: tuple[int, ...]
) -> None:
    tokens = torch.randint(1, 100, shape)
    assert torch.equal(step(tokens), tokens)


@pytest.mark.parametrize("step", STEPS)
def test_the_same_seed_gives_the_same_views(step: Callable[..., torch.Tensor]) -> None:
    batch = pictures(20)
    views = []
    for _ in range(2):
        with own_random_state(7):
            views.append(step(batch))
    assert torch.equal(*views)


# -- what is safe ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ((3, 32, 32), ("crop", "rotate", "noise")),
        ((1, 28, 28), ("crop", "rotate", "noise")),
        ((8, 8), ("crop", "rotate", "noise")),
        ((1, 40, 101), ("time_mask", "frequency_mask", "noise")),
        ((2, 128), ("crop", "noise")),
        ((13,), ("noise",)),
        ((5, 4, 4, 4), ()),
    ],
)
def test_what_leaves_the_label_as_it_is(shape: tuple[int, ...], names: tuple[str, ...]) -> None:
    found = default_augmentation(kind_of(shape), shape)
    assert found == names
    augment, batch = augmentation_by(found), torch.rand(6, *shape)
    assert callable(augment) == bool(names)
    if callable(augment):
        made = augment(batch)
        assert made.shape == batch.shape
        assert not torch.equal(made, batch)


def test_nothing_is_safe_to_do_to_tokens() -> None:
    assert default_augmentation("columns", (64,), floating=False) == ()


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


@pytest.mark.parametrize("name", ["own", "run.py:augment"])
def test_the_user_s_own_may_stand_among_names(planted: ModuleType, name: str) -> None:
    batch, both = pictures(30), of(planted, (name, "crop"), lambda x: x + 1)
    with own_random_state(3):
        found = both(batch)
    with own_random_state(3):
        assert torch.equal(found, crop(batch + 1))
    assert f"{name!r} cannot be replayed" in of(planted, (name, "crop"))


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
