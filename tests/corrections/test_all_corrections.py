"""What holds for every correction found, whatever it corrects."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gapdoctor.corrections._base import (
    Candidate,
    Context,
    Correction,
    Kind,
    all_candidates,
    all_corrections,
)
from gapdoctor.corrections._parse import parse_correction
from gapdoctor.discovery import plugin_names

NAMES = plugin_names("gapdoctor.corrections")
KINDS = ["image", "rgba", "map", "plane", "narrow", "columns", "other"]


@pytest.fixture(scope="module")
def both(
    pixels: Callable[..., Tensor],
    power: Callable[[int, int], Tensor],
    table: Callable[[int, int], tuple[Tensor, Tensor]],
) -> dict[str, tuple[Tensor, Tensor]]:
    """Train and held-out rows of each kind; the latter darker, so that much is offered."""
    shuffled = table(300, 1)[0][:, [3, 0, 1, 2, 4, 5]]
    return {
        "image": (pixels(120, 0) * 2 - 0.7, 0.3 * pixels(80, 1)),
        "rgba": (pixels(60, 0, 4), 0.3 * pixels(40, 1, 4)),
        "map": (pixels(120, 0, 1), pixels(80, 1, 1) ** 2),
        "plane": (10 * power(60, 0).log10(), power(40, 1)),
        "narrow": (pixels(60, 0, 1, 9, 20), 0.5 * pixels(40, 1, 1, 9, 20)),
        "columns": (table(400, 0)[0], shuffled),
        "other": (pixels(20, 0, 2), 3 * pixels(20, 1, 2)),
    }


@pytest.fixture(scope="module")
def contexts(
    both: dict[str, tuple[Tensor, Tensor]], context: Callable[..., Context]
) -> dict[str, Context]:
    """The context of each kind."""
    return {kind: context(*rows) for kind, rows in both.items()}


def apply(candidate: Candidate, train: Tensor, heldout: Tensor) -> Tensor:
    """The candidate on the rows that it is meant for."""
    if candidate.undo is not None:
        return candidate.undo(heldout)
    assert candidate.do is not None
    return candidate.do(train)


def test_the_ids_of_the_contract_are_there() -> None:
    promised = {
        "rescale_input", "normalize", "swap_channels", "rotate", "flip", "invert", "brightness",
        "gamma", "match_statistics", "crop_zoom", "interpolation", "low_resolution", "jpeg",
        "grayscale", "db_scale", "permute_columns",
    }  # fmt: skip
    assert promised <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_file_name_is_name_and_page_is_written(
    name: str, corrections: dict[str, Correction]
) -> None:
    correction = corrections[name]
    page = inspect.getdoc(type(correction))
    assert correction.name == name
    assert page is not None
    assert page.splitlines()[0].endswith(".")
    assert len(page) > 150


def test_every_correction_is_offered_somewhere(contexts: dict[str, Context]) -> None:
    found = {c.correction for context in contexts.values() for c in all_candidates(context)}
    assert found == set(NAMES)


@pytest.mark.parametrize("kind", KINDS)
def test_only_corrections_of_the_kind_are_offered(
    kind: str, contexts: dict[str, Context], corrections: dict[str, Correction]
) -> None:
    found = all_candidates(contexts[kind])
    assert found
    assert all(contexts[kind].kind in corrections[c.correction].kinds for c in found)


@pytest.mark.parametrize("kind", KINDS)
def test_candidates_keep_shape_and_type_and_leave_the_batch_alone(
    kind: str, contexts: dict[str, Context], both: dict[str, tuple[Tensor, Tensor]]
) -> None:
    train, heldout = both[kind]
    before = train.clone(), heldout.clone()
    for candidate in all_candidates(contexts[kind]):
        made = apply(candidate, train, heldout)
        given = heldout if candidate.undo is not None else train
        assert made.shape == given.shape, candidate.text
        assert made.dtype == given.dtype, candidate.text
        assert torch.isfinite(made).all(), candidate.text
    assert torch.equal(train, before[0])
    assert torch.equal(heldout, before[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("kind", ["image", "plane", "columns"])
def test_candidates_keep_other_types(
    kind: str,
    dtype: torch.dtype,
    contexts: dict[str, Context],
    both: dict[str, tuple[Tensor, Tensor]],
) -> None:
    train, heldout = (rows[:3].to(dtype) for rows in both[kind])
    for candidate in all_candidates(contexts[kind]):
        assert apply(candidate, train, heldout).dtype == dtype, candidate.text


@pytest.mark.parametrize("kind", KINDS)
def test_exactly_one_of_undo_and_do(kind: str, contexts: dict[str, Context]) -> None:
    for candidate in all_candidates(contexts[kind]):
        assert (candidate.undo is None) != (candidate.do is None), candidate.text
        assert candidate.fitted >= 0
        assert candidate.label


@pytest.mark.parametrize("kind", KINDS)
def test_the_text_says_the_whole_of_it(
    kind: str, contexts: dict[str, Context], both: dict[str, tuple[Tensor, Tensor]]
) -> None:
    for candidate in all_candidates(contexts[kind]):
        again = parse_correction(candidate.text)
        assert again.text == candidate.text
        assert (again.label, again.fitted) == (candidate.label, candidate.fitted)
        assert torch.equal(apply(again, *both[kind]), apply(candidate, *both[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_candidate_treats_each_row_alone(
    kind: str, contexts: dict[str, Context], both: dict[str, tuple[Tensor, Tensor]]
) -> None:
    train, heldout = both[kind]
    for candidate in all_candidates(contexts[kind]):
        whole = apply(candidate, train, heldout)
        part = apply(candidate, train[:2], heldout[:2])
        torch.testing.assert_close(whole[:2], part, msg=candidate.text)


@pytest.mark.parametrize("kind", KINDS)
def test_the_grid_is_the_same_at_each_call(
    kind: str, both: dict[str, tuple[Tensor, Tensor]], context: Callable[..., Context]
) -> None:
    first, again = (all_candidates(context(*both[kind])) for _ in range(2))
    texts = [c.text for c in first]
    assert texts == [c.text for c in again]
    assert len(set(texts)) == len(texts)
    assert [c.correction for c in first] == sorted(c.correction for c in first)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("argument", ["nonsense", "-1, none", "nan", "1/0", "a; b", ")(", "0 0"])
def test_a_wrong_argument_is_a_value_error(
    name: str, argument: str, corrections: dict[str, Correction]
) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        corrections[name].parse(argument)


@pytest.mark.parametrize("kind", KINDS)
def test_clean_rows_are_offered_no_fitted_change_of_order_or_scale(
    kind: str, both: dict[str, tuple[Tensor, Tensor]], context: Callable[..., Context]
) -> None:
    rows = both[kind][0]
    found = {c.correction for c in all_candidates(context(rows, rows))}
    assert not found & {"permute_columns", "db_scale", "gamma", "brightness", "match_statistics"}


@pytest.mark.parametrize("value", [0.0, 3.0])
@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 8, 8), (2, 2), (5,), (4, 1, 1), (3, 1, 2)])
def test_rows_of_one_value_break_nothing(
    shape: tuple[int, ...], value: float, context: Callable[..., Context]
) -> None:
    rows = torch.full((4, *shape), value)
    for candidate in all_candidates(context(rows, rows)):
        assert torch.isfinite(apply(candidate, rows, rows)).all(), candidate.text


def test_every_kind_of_sample_is_known(contexts: dict[str, Context]) -> None:
    assert {context.kind for context in contexts.values()} == set(Kind)
    assert [c.name for c in all_corrections()] == NAMES
