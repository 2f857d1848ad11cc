"""Misjudged samples in each format: pictures on the page, lines in text, and a limit of size."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from gapdoctor import report
from gapdoctor.domain.findings import Table
from gapdoctor.report.clean import clean_text
from gapdoctor.report.formats.html import LIMIT
from gapdoctor.report.terminal import page
from gapdoctor.storage import from_json, to_json


class Images(HTMLParser):
    """The attributes of every img, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.found.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


def section(html: str) -> str:
    found = re.search(r'<section id="samples".*?</section>', html, re.DOTALL)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("name", ["samples", "hostile_samples", "lost_samples"])
def test_the_gallery_is_as_expected(html_of, expect, name: str) -> None:
    expect(f"{name}.html", section(html_of(name)))


@pytest.mark.parametrize("name", ["samples", "hostile_samples"])
def test_text_is_as_expected(make, expect, name: str) -> None:
    text = report.render(make(name), "md")
    expect(f"{name}.md", text[text.index("## Misjudged samples") : text.index("## Skipped")])
    shown = page(make(name))
    expect(f"{name}.txt", shown[shown.index("Misjudged samples") : shown.index("Skipped probes")])


def test_a_picture_tells_what_it_shows(html_of, make) -> None:
    images = Images(html_of("samples"))
    pictures = list(make("samples").pictures.values())

    assert [i["alt"] for i in images.found[:2]] == [
        "row 9000: label automobile, student says airplane (0.99), teacher automobile",
        "row 8689: label deer, student says automobile (0.97), teacher deer",
    ]
    for image, png in zip(images.found, pictures, strict=True):
        kind, _, content = str(image["src"]).partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(content) == png


def test_hostile_names_are_text_and_attributes(html_of, hostile_names) -> None:
    images = Images(html_of("hostile_samples"))

    assert len(images.found) == 24
    assert {frozenset(i) for i in images.found} == {frozenset({"src", "alt"})}
    for name in hostile_names:
        assert clean_text(name) in images.text
        assert any(clean_text(name) in str(i["alt"]) for i in images.found)


def test_nothing_is_said_of_samples_unless_asked_for(diagnosis, html_of) -> None:
    for format_ in ("md", "junit"):
        assert "isjudged" not in report.render(diagnosis, format_)
    assert "isjudged" not in page(diagnosis)


def test_no_page_without_samples_has_a_picture(html: str) -> None:
    assert Images(html).found == []
    assert "isjudged" not in html


def test_pictures_beyond_the_limit_are_left_out_and_counted(html_of, make) -> None:
    html = html_of("heavy_samples")
    shown = len(Images(html).found)
    wanted = make("heavy_samples").pictures
    one = len(base64.b64encode(wanted["sample-01.png"]))

    assert 0 < shown < 24
    assert LIMIT - 2 * one < len(html.encode("utf-8")) <= LIMIT
    assert f"{24 - shown} pictures are left out to keep this page below 500 kB." in html
    assert f"row {9000 - 311 * (shown - 1)}:" in html, "the first are kept"
    assert section(html).count('<th scope="row" class="number">') == 24, "the table has all"


def test_where_not_one_fits_the_table_stands_alone(make) -> None:
    d = make("samples")
    huge = replace(d, pictures=dict.fromkeys(d.pictures, b"\x89PNG" + bytes(LIMIT)))
    html = report.render(huge, "html")

    assert Images(html).found == []
    assert "24 pictures are left out to keep this page below 500 kB." in html
    assert "<summary>Numbers</summary>" not in section(html)


def test_one_is_told_as_one(make) -> None:
    d = make("samples")
    table = d.tables["samples"]
    short = Table(table.columns, table.rows[:2])
    html = report.render(
        replace(d, tables={"samples": short}, pictures={"sample-01.png": b"\x89PNG"}), "html"
    )

    assert "The 2 held-out rows with the largest difference of losses" in html
    assert "1 picture does not lie beside the record, in <code>charts/</code>." in html


def test_a_stored_record_gives_the_same_page(make, html_of) -> None:
    d = make("hostile_samples")
    again = replace(from_json(to_json(d)), pictures=d.pictures)

    assert report.render(again, "html") == html_of("hostile_samples")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("picture", 7),
        ("row", None),
        ("label", None),
        ("student", 3.5),
        ("student_confidence", "sure"),
        ("student_loss", None),
    ],
)
def test_a_strange_value_is_shown_as_it_is(make, column: str, value: object) -> None:
    """The record may have been written by hand."""
    d = make("samples")
    at = d.tables["samples"].columns.index(column)
    row = d.tables["samples"].rows[0]
    strange = Table(d.tables["samples"].columns, ((*row[:at], value, *row[at + 1 :]),))

    for format_ in ("md", "json"):
        assert report.render(replace(d, tables={"samples": strange}), format_)


def test_a_table_of_other_columns_is_not_drawn(make) -> None:
    d = replace(make("base"), tables={"samples": Table(("row",), ((1,),))})

    assert "Misjudged" not in report.render(d, "md")
