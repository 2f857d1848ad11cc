"""Whole texts of every format, from the shared record and its variants."""

import re
import subprocess
import sys
from dataclasses import replace

import pytest

from gapdoctor import report
from gapdoctor.domain.diagnosis import Cost
from gapdoctor.errors import GapDoctorError
from gapdoctor.report.terminal import page
from gapdoctor.storage import from_json, to_json

TEXTS = (
    "base", "healthy", "inconclusive", "shared_gap", "fit_shortfall", "dwarfed", "no_history",
    "not_finite", "hostile",
)  # fmt: skip


def without_drawings(html: str) -> str:
    """Leave drawings out: where a letter stands depends on the version of matplotlib."""
    return re.sub(r"<svg.*?</svg>", "<svg></svg>", html, flags=re.DOTALL)


@pytest.mark.parametrize("name", TEXTS)
def test_markdown_is_as_expected(make, expect, name: str) -> None:
    expect(f"{name}.md", report.render(make(name), "md"))


@pytest.mark.parametrize("name", TEXTS)
def test_terminal_page_is_as_expected(make, expect, name: str) -> None:
    expect(f"{name}.txt", page(make(name)))


@pytest.mark.parametrize("name", ["base", "dwarfed", "hostile"])
def test_junit_is_as_expected(make, expect, name: str) -> None:
    expect(f"{name}.xml", report.render(make(name), "junit"))


@pytest.mark.parametrize("name", ["base", "hostile", "not_finite"])
def test_json_is_as_expected(make, expect, name: str) -> None:
    expect(f"{name}.json", report.render(make(name), "json"))


@pytest.mark.parametrize("name", ["base", "dwarfed", "hostile", "inconclusive"])
def test_html_is_as_expected(html_of, expect, name: str) -> None:
    expect(f"{name}.html", without_drawings(html_of(name)))


def test_four_formats_are_found_by_scanning() -> None:
    assert report.format_names() == ("html", "json", "junit", "md")
    assert [report.file_name(name) for name in report.format_names()] == [
        "report.html", "report.json", "report.xml", "report.md",
    ]  # fmt: skip


def test_an_unknown_format_is_an_error_with_the_nearest_name(make) -> None:
    with pytest.raises(GapDoctorError, match="'markdwon' is not known") as caught:
        report.render(make("healthy"), "markdwon")
    assert caught.value.hint == "one of html, json, junit, md"

    with pytest.raises(GapDoctorError) as caught:
        report.render(make("healthy"), "htm")
    assert caught.value.hint == "did you mean 'html'?"


@pytest.mark.parametrize("format_", ["md", "json", "junit"])
def test_a_stored_record_gives_the_same_report(diagnosis, format_: str) -> None:
    stored = from_json(to_json(diagnosis))

    assert report.render(stored, format_) == report.render(diagnosis, format_)


@pytest.mark.parametrize("name", ["base", "not_finite", "hostile"])
def test_a_stored_record_gives_the_same_page(make, html_of, name: str) -> None:
    assert report.render(from_json(to_json(make(name))), "html") == html_of(name)


@pytest.mark.parametrize("format_", ["html", "md"])
def test_two_runs_differ_in_the_marked_place_only(make, format_: str) -> None:
    first = make("base")
    second = replace(
        first,
        created="2027-12-24T18:00:00Z",
        cost=Cost(1.0, 2, 3.0),
        environment={"python": "3.13.0", "machine": "another"},
    )
    one, two = report.render(first, format_), report.render(second, format_)
    mark = "Only this part differs between two runs of the command."

    assert one != two
    assert one.partition(mark)[0] == two.partition(mark)[0]


def test_junit_tells_time_and_date_on_the_suite_only(make) -> None:
    first = make("base")
    second = replace(first, created="2027-12-24", cost=Cost(1.0, 2, 3.0), environment={})
    one, two = (report.render(d, "junit").splitlines() for d in (first, second))

    differing = [a for a, b in zip(one, two, strict=True) if a != b]

    assert len(differing) == 1
    assert differing[0].strip().startswith("<testsuite ")


def test_the_list_of_formats_and_text_formats_import_no_heavy_library() -> None:
    code = (
        "import sys, gapdoctor.report as r; r.format_names(); r.file_name('junit');"
        "import gapdoctor.report.formats.md;"
        "print([m for m in ('matplotlib', 'jinja2', 'torch', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
