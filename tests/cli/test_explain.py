"""`gapdoctor explain`, and the pages that it shows."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from gapdoctor.cli import manual
from gapdoctor.domain.causes import PAGES, Cause
from gapdoctor.errors import GapDoctorError

PLUGIN = '''
"""A probe of the tests."""
from dataclasses import dataclass
from typing import ClassVar

class Helper:
    """Not the plugin."""

@dataclass(frozen=True)
class Tilt(Probe):
    """Is the floor level?

    A paragraph that is
    broken anywhere.

    - a list
    - stays a list
    """

    name: ClassVar[str] = "tilt"
    order: ClassVar[int] = 3
    angle: float = 0.05
    """Degrees above which the
    floor | is not level."""
    without_words: int = 4
    _private: int = 1
'''


@pytest.fixture
def tilt(tmp_path: Path) -> Path:
    file = tmp_path / "tilt.py"
    file.write_text(PLUGIN)
    return file


def test_a_plugin_page_is_its_docstring_and_its_limits(tilt):
    page = manual.plugin_page("probe", tilt)
    assert manual.to_text(page, 60) == (
        "tilt (probe)\n"
        "\n"
        "Is the floor level?\n"
        "\n"
        "A paragraph that is broken anywhere.\n"
        "\n"
        "- a list\n"
        "- stays a list\n"
        "\n"
        "Limits\n"
        "  angle = 0.05\n"
        "      Degrees above which the floor | is not level.\n"
        "  without_words = 4\n"
    )


def test_the_same_page_in_markdown(tilt):
    page = manual.plugin_page("probe", tilt)
    assert manual.to_markdown(page) == (
        "## `tilt`\n"
        "\n"
        "**Is the floor level?**\n"
        "\n"
        "A paragraph that is\nbroken anywhere.\n"
        "\n"
        "- a list\n- stays a list\n"
        "\n"
        "| limit | default | meaning |\n"
        "|---|---|---|\n"
        "| `angle` | `0.05` | Degrees above which the floor \\| is not level. |\n"
        "| `without_words` | `4` |  |\n"
    )


def test_lists_are_filled_and_what_else_is_set_out_stays(tilt):
    tilt.write_text(
        PLUGIN.replace(
            "    - stays a list\n",
            "    - whose items may be longer than a line of the terminal and\n"
            "      go on below their beginning\n\n"
            "    | a table | of more columns than the terminal has beside it |\n",
        )
    )
    assert manual.to_text(manual.plugin_page("probe", tilt), 40).splitlines()[6:13] == [
        "- a list",
        "- whose items may be longer than a line",
        "  of the terminal and go on below their",
        "  beginning",
        "",
        "| a table | of more columns than the terminal has beside it |",
        "",
    ]


def test_an_underlined_line_of_a_docstring_is_a_heading(tilt):
    tilt.write_text(
        PLUGIN.replace(
            "    - a list\n    - stays", "    When it helps\n    ----\n    On\n    ships"
        )
    )
    page = manual.plugin_page("probe", tilt)
    assert page.sections == (
        ("", "A paragraph that is\nbroken anywhere."),
        ("When it helps", "On\nships a list"),
    )
    assert "\n\nWhen it helps\n  On ships a list\n\nLimits\n" in manual.to_text(page, 60)
    assert "*When it helps.* On\nships a list\n" in manual.to_markdown(page)


def test_a_file_without_its_plugin_says_so(tilt):
    other = tilt.with_name("slope.py")
    tilt.rename(other)
    with pytest.raises(GapDoctorError, match=r"slope\.py: no class whose name attribute"):
        manual.plugin_page("probe", other)


def test_files_with_an_underscore_are_no_plugins(tilt):
    tilt.with_name("_base.py").write_text("")
    assert [page.name for page in manual.plugin_pages("probe", tilt.parent)] == ["tilt"]


def test_a_kind_without_a_folder_has_no_pages(tmp_path):
    assert manual.plugin_pages("fix", tmp_path / "none") == []


def test_the_pages_of_probes_tell_the_defaults_that_count():
    """The file is read without running it: what is read must be what runs."""
    from gapdoctor.probes._base import all_probes

    pages = {page.name: page for page in manual.all_pages() if page.kind == "probe"}
    probes = all_probes()
    assert sorted(pages) == sorted(probe.name for probe in probes)
    for probe in probes:
        told = {x.name: x.default for x in pages[probe.name].limits}
        assert told == {f.name: repr(getattr(probe, f.name)) for f in fields(probe)}
        assert all(limit.meaning for limit in pages[probe.name].limits), probe.name


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_a_page(gapdoctor, cause):
    page = manual.to_text(manual.find_page(cause), 80)
    assert page.startswith(f"{cause} (cause)\n\nWhat it is\n")
    squashed = " ".join(page.split())
    for part in (PAGES[cause].meaning, PAGES[cause].tell_apart, PAGES[cause].what_helps):
        assert part in squashed


def test_one_name_is_one_page():
    names = [page.name for page in manual.all_pages()]
    assert len(set(names)) == len(names)


def test_a_name_is_found_however_it_is_spelled():
    assert manual.find_page("Distribution-Shift").name == "distribution_shift"


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(GapDoctorError, match="overfiting: no cause, probe") as failure:
        manual.find_page("overfiting")
    assert failure.value.hint == "gapdoctor explain overfitting"


def test_a_name_like_no_other_gets_the_list():
    with pytest.raises(GapDoctorError) as failure:
        manual.find_page("zzzzzz")
    assert failure.value.hint == "gapdoctor explain, for the list of names"


def test_without_a_name_all_are_listed(gapdoctor):
    shown = gapdoctor("explain").stdout
    first = [line.split()[0] for line in shown.splitlines() if line[:2] == "  " != line[2:4]]
    assert [name for name in first if name in set(Cause)] == [str(cause) for cause in Cause]
    assert {"mirror", "memorisation", "history"} <= set(first)
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("kind", ["cause", *manual.PLUGIN_KINDS])
def test_pages_follow_the_width_of_the_terminal(kind):
    for page in manual.all_pages():
        if page.kind == kind:
            assert max(map(len, manual.to_text(page, 80).splitlines())) <= 80, page.name
