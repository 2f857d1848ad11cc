"""How a transform gets its name: differences row by row, distances of statistics, ties."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gapdoctor.corrections._base import Candidate
from gapdoctor.corrections._parse import parse_correction
from gapdoctor.errors import DataError
from gapdoctor.probes._naming import GENERIC, Limits, fitting, named, relative, summary_of
from gapdoctor.probes._search import Look, Suspect, suspects
from gapdoctor.probes._trials import Trial, most_specific

LIMITS = Limits(
    near_best=1.5, near_generic=2.0, slack=0.02, leaves=0.4, leaves_alone=0.7, clearly=1.15,
    fitted=(0.25, 0.2),
)  # fmt: skip


def scaling(factor: float, name: str = "scale", fitted: int = 0) -> Candidate:
    return Candidate(name, f"{factor:g}", f"× {factor:g}", fitted, undo=lambda x: factor * x)


def broken(batch: torch.Tensor) -> torch.Tensor:
    raise DataError("not for this shape", "")


def rows(seed: int, n: int = 200) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, 6)))


# -- row by row -------------------------------------------------------------------------------


def test_a_difference_is_counted_in_deviations_of_each_column() -> None:
    wanted = rows(0) * torch.tensor([1.0, 1, 1, 1, 1, 1000])
    off = wanted + 0.5 * wanted.std(dim=0, unbiased=False)
    assert relative(off, wanted) == pytest.approx(0.5)
    assert relative(wanted, wanted) == 0


def test_a_column_of_one_value_counts_in_the_others_deviation() -> None:
    wanted = rows(0)
    wanted[:, 0] = 3.0
    off = wanted.clone()
    off[:, 0] += wanted[:, 1:].std(dim=0, unbiased=False).mean()
    assert 0 < relative(off, wanted) < 1


def test_the_nearest_candidate_comes_first_and_undone_is_compared_with_right() -> None:
    right = rows(0)
    fits = fitting([scaling(2.0), scaling(4.0)], right / 4, right)
    assert [f[2].argument for f in fits] == ["4", "2"]
    assert fits[0][0] == pytest.approx(0)
    assert fits[0][1] == pytest.approx(0.75, abs=0.01)


def test_what_cannot_be_undone_is_done_to_right() -> None:
    right = rows(0)
    flat = Candidate("flat", "", "halved", 0, do=lambda x: x / 2)
    ((left, untouched, _),) = fitting([flat], right / 2, right)
    assert left == pytest.approx(0)
    assert untouched == pytest.approx(1.0, abs=0.01)


def test_a_candidate_for_another_shape_is_passed_over() -> None:
    right = rows(0)
    strange = Candidate("strange", "", "strange", 0, undo=broken)
    cut = Candidate("cut", "", "cut", 0, undo=lambda x: x[:, :3])
    assert [f[2].correction for f in fitting([strange, cut, scaling(1.0)], right, right)] == [
        "scale"
    ]


def fit(left: float, name: str, fitted: int = 0) -> tuple[float, float, Candidate]:
    return left, 1.0, scaling(1.0, name, fitted)


@pytest.mark.parametrize(
    ("fits", "expected", "others"),
    [
        ([fit(0.10, "a")], "a", ()),
        ([fit(0.10, "a", 2), fit(0.12, "b", 1)], "b", ("a",)),  # fewer fitted numbers
        ([fit(0.10, "a", 2), fit(0.30, "b", 1)], "a", ()),  # not near
        ([fit(0.10, GENERIC, 6), fit(0.18, "b", 1)], "b", ()),  # the generic one goes behind
        ([fit(0.01, GENERIC, 6), fit(0.19, "b", 1)], "b", ()),  # numbers of a sample
        ([fit(0.01, GENERIC, 6), fit(0.35, "b", 1)], GENERIC, ()),
        ([fit(0.45, "a")], "a", ()),  # roughly, and nothing else does
        ([fit(0.45, "a"), fit(0.50, "b")], None, ()),  # roughly, and another does as well
        ([fit(0.75, "a")], None, ()),
        ([], None, ()),
    ],
)
def test_the_most_specific_of_those_that_fit(
    fits: list[tuple[float, float, Candidate]], expected: str | None, others: tuple[str, ...]
) -> None:
    found = named(fits, LIMITS)
    assert (None if found is None else found.candidate.correction) == expected
    assert found is None or found.others == others


def test_what_differs_little_is_named_by_a_large_share_of_it_only() -> None:
    """JPEG leaves nearly any two batches near: it must explain most of what there is."""
    assert named([(0.05, 0.06, scaling(1.0))], LIMITS) is None


def test_the_summary_says_what_mends_and_what_was_done() -> None:
    assert summary_of(scaling(2.0), []).endswith("this mends them: × 2 (scale).")
    done = Candidate("jpeg", "20", "JPEG at quality 20", 0, do=lambda x: x)
    assert "as if this had been done to them: JPEG" in summary_of(done, ())
    assert summary_of(done, {"b", "a"}).endswith("As likely: a, b.")


# -- by what the inputs look like -------------------------------------------------------------


def look_at(mine: torch.Tensor) -> Look:
    return Look.at(mine, rows(1, 300))


def test_two_samples_of_one_kind_hardly_ever_differ() -> None:
    looks = [Look.at(rows(seed, 300), rows(seed + 100, 300)) for seed in range(20)]
    assert np.mean([one.apart / one.chance for one in looks]) == pytest.approx(1, abs=0.1)
    assert sum(one.differ for one in looks) <= 2


def test_chance_is_larger_with_fewer_rows() -> None:
    few = Look.at(rows(2, 50), rows(1, 300))
    assert few.chance > 1.5 * look_at(rows(2, 300)).chance
    assert not few.differ


def test_only_what_brings_the_inputs_together_is_suspected() -> None:
    look = look_at(rows(2, 300) / 3)
    assert look.differ
    found = suspects([scaling(3.0), scaling(2.0), scaling(0.5)], look, closer=0.5)
    assert [s.candidate.argument for s in found] == ["3", "2"]
    assert found[0].left < found[1].left
    assert not any(s.blind for s in found)


def test_what_leaves_the_inputs_alone_stands_behind() -> None:
    """Mirrored, these rows look as before: only a loss could tell."""
    mirrored = Candidate("mirror", "", "mirrored", 0, undo=lambda x: -x)
    look = look_at(rows(2, 300) / 3)
    assert [s.candidate.correction for s in suspects([mirrored, scaling(3.0)], look, 0.5)] == [
        "scale", "mirror",
    ]  # fmt: skip
    (alone,) = suspects([mirrored, scaling(3.0)], look_at(rows(3, 300)), 0.5)
    assert alone.blind


def test_what_cannot_be_undone_must_leave_no_more_than_chance() -> None:
    look = look_at(rows(2, 300) / 3)
    exact, rough = (
        Candidate(f"by {f}", "", "smaller", 0, do=lambda x, f=f: x / f) for f in (3.0, 1.8)
    )
    assert [s.candidate.correction for s in suspects([exact, rough], look, 0.9)] == ["by 3.0"]


def test_a_strength_off_the_grid_is_found_behind_others() -> None:
    """The only blur of the grid is farther off than no blur at all."""
    pictures = torch.rand(300, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    blur = parse_correction("low_resolution(blur 0.5)").do
    assert blur is not None
    look = Look.at(blur(pictures[:150]), pictures[150:])
    grid = [parse_correction(t) for t in ("low_resolution(4)", "low_resolution(blur 2)")]
    found = suspects(grid, look, closer=0.8)
    word, strength = found[0].candidate.argument.split()
    assert word == "blur"
    assert float(strength) == pytest.approx(0.5, rel=0.1)


def test_candidates_for_another_shape_are_never_suspected_by_looks() -> None:
    strange = Candidate("strange", "", "strange", 0, do=broken)
    assert suspects([strange], look_at(rows(2, 300) / 3), 0.9) == []


# -- by what the teacher gets back ------------------------------------------------------------


def trial(after: float, name: str, fitted: int = 0, left: float = 0.1, noise: int = 0) -> Trial:
    before = np.full(100, 2.0) + np.random.default_rng(0).normal(0, 0.1, 100)
    spread = np.random.default_rng(noise).normal(0, 0.02, 100)
    return Trial(Suspect(scaling(1.0, name, fitted), left), before, after + spread - spread.mean())


@pytest.mark.parametrize(
    ("trials", "expected", "others"),
    [
        ([trial(0.50, "a"), trial(1.00, "b")], "a", ()),
        ([trial(0.50, "a", 2), trial(0.52, "b", 0)], "b", ("a",)),
        ([trial(0.50, "a", 2), trial(0.60, "b", 0)], "a", ()),
        ([trial(0.50, GENERIC, 0), trial(0.52, "b", 2)], "b", (GENERIC,)),
        ([trial(0.50, "a", left=0.2), trial(0.50, "b", left=0.1)], "b", ("a",)),
        ([trial(2.10, "a")], None, ()),
        ([], None, ()),
    ],
)
def test_the_most_specific_of_those_that_help(
    trials: list[Trial], expected: str | None, others: tuple[str, ...]
) -> None:
    found = most_specific(trials)
    assert (None if found is None else found[0].candidate.correction) == expected
    assert found is None or found[1] == others


def test_a_turn_is_likelier_than_exchanged_axes() -> None:
    turned, mirrored = (
        Trial(Suspect(parse_correction(text), 0.1, blind=True), t.before, t.after)
        for text, t in (("rotate(90)", trial(0.51, "a")), ("flip(diagonal)", trial(0.50, "b")))
    )
    found = most_specific([mirrored, turned])
    assert found is not None
    assert found[0].candidate.text == "rotate(90)"
    assert found[1] == ("flip",)


def test_gains_of_many_nats_do_not_hide_what_is_left() -> None:
    """Both return a thousand nats and more; one leaves four."""
    before = np.random.default_rng(0).exponential(1500, 300)
    whole, part = (
        Trial(Suspect(scaling(1.0, name, fitted), 0.1), before, np.full(300, after))
        for name, fitted, after in (("whole", 50, 0.3), ("part", 2, 4.0))
    )
    assert most_specific([whole, part]) == (whole.suspect, ())


def test_more_is_asked_of_what_the_inputs_say_nothing_for() -> None:
    seen = Trial(Suspect(scaling(1.0), 0.1), np.arange(9.0), np.zeros(9))
    blind = Trial(Suspect(scaling(1.0), 0.1, blind=True), seen.before, seen.after)
    assert seen.gain == blind.gain == 4.0
    assert seen.doubt == seen.error == pytest.approx(np.arange(9).std() / np.sqrt(8))
    assert blind.doubt == 2 * seen.doubt
