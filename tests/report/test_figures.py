"""The broken axis and the logarithmic one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdoctor.report.figures import Cut, cut_between, is_lopsided


def test_an_axis_without_a_dwarfing_stretch_is_whole() -> None:
    assert cut_between([0.0, 0.31, 1.0, 1.1]) is None
    assert cut_between([0.0, 1.0]) is None
    assert cut_between([2.0]) is None
    assert cut_between([]) is None


def test_the_longest_stretch_is_cut_out() -> None:
    cut = cut_between([0.0, 1.0, 100.0, 101.0])

    assert cut == Cut(low=pytest.approx(1.4), high=pytest.approx(99.6), width=pytest.approx(0.5))


def test_scale_is_the_same_on_both_sides_of_the_cut() -> None:
    cut = Cut(low=1.0, high=99.0, width=0.5)

    assert cut.place(0.25) == 0.25
    assert cut.place(1.0) == 1.0
    assert cut.place(50.0) == 1.25
    assert cut.place(99.0) == 1.5
    assert cut.place(101.0) - cut.place(100.0) == 1.0


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=8))
def test_order_is_kept_whatever_is_cut(edges: list[float]) -> None:
    cut = cut_between(edges)
    ordered = sorted(edges)
    placed = [cut.place(x) if cut else x for x in ordered]

    assert placed == sorted(placed)


@pytest.mark.parametrize(
    ("values", "lopsided"),
    [
        ([0.1, 0.2, 10.0], True),
        ([0.1, 0.2, 2.0], False),
        ([0.0, 0.2, 10.0], False),
        ([], False),
    ],
)
def test_a_logarithmic_axis_is_for_positive_lopsided_values(values, lopsided: bool) -> None:
    assert is_lopsided(values) is lopsided
