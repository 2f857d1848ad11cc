"""The page that `diagnose` prints."""

import re
from dataclasses import replace

import pytest
from rich.cells import cell_len

from gapdoctor.domain.diagnosis import ModelRecord
from gapdoctor.report.blocks import Column, Grid, Section
from gapdoctor.report.terminal import page, screen


def test_no_line_is_longer_than_the_terminal(diagnosis) -> None:
    for width in (60, 80):
        for line in page(diagnosis, width=width).splitlines():
            longest_word = max((cell_len(word) for word in line.split()), default=0)
            assert cell_len(line) <= width or longest_word > width // 2


def test_base_fits_into_eighty_columns(make) -> None:
    for name in ("base", "dwarfed", "healthy", "not_finite", "shared_gap"):
        assert max(cell_len(line) for line in page(make(name)).splitlines()) <= 80


def test_without_color_there_is_no_control_character(diagnosis) -> None:
    assert not re.search(
        r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page(diagnosis)
    )


def test_color_adds_nothing_but_color(make) -> None:
    coloured = page(make("base"), color=True)

    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == page(make("base"))


def test_hostile_names_colour_nothing(make) -> None:
    escapes = set(re.findall(r"\x1b\[[\d;]*m", page(make("hostile"), color=True)))

    assert "\x1b[31m" not in escapes
    assert r"red\x1b[31m\x07" in page(make("hostile"), color=True)


def test_a_path_is_never_wrapped(make) -> None:
    path = "runs/" + "a-very-long-folder-name/" * 8 + "checkpoint.pth"
    text = page(replace(make("base"), student=ModelRecord(path, None, None)), width=40)

    assert any(line.strip() == path for line in text.splitlines())


def test_wide_letters_count_twice(make) -> None:
    wide = replace(make("base"), causes=(replace(make("base").causes[0], summary="猫 " * 100),))

    assert max(cell_len(line) for line in page(wide).splitlines()) <= 80


@pytest.mark.parametrize("name", ["base", "dwarfed"])
def test_warnings_stand_above_the_ranking(make, name: str) -> None:
    text = page(make(name))

    assert 0 < text.index("\nWarnings\n") < text.index("\nRanked causes\n")


def test_the_bars_start_where_the_one_before_ended(make) -> None:
    lines = page(make("base")).splitlines()
    at = next(i for i, line in enumerate(lines) if "Teacher, held-out" in line)
    teacher, cause = lines[at], lines[at + 1]

    assert teacher.rindex("█") + 1 == cause.index("▓")


def test_a_dwarfing_bar_is_broken(make) -> None:
    lines = [line for line in page(make("dwarfed")).splitlines() if "▓//▓" in line]

    assert len(lines) == 1
    assert "Preprocessing mismatch" in lines[0]


def test_room_goes_to_the_column_where_it_saves_lines() -> None:
    long, note = f"{20 * 'a'} {30 * 'b'}", "one two three four five"
    grid = Grid("", (Column("Name"), Column("Note")), ((long, "one"), ("c", note), ("d", note)))
    lines = screen([Section("x", "X", (grid,))], width=64).splitlines()

    assert sum(note in line for line in lines) == 2
    assert [line.split() for line in lines[1:3]] == [["Name", "Note"], [20 * "a", "one"]]
