"""What report.html promises: one file, no script, no network, told to a screen reader."""

import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise

from gapdoctor.report.clean import clean_text

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Every start tag with its attributes and its parents, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str], tuple[str, ...]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}, tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}, tuple(self.open)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, name: str) -> list[dict[str, str]]:
        return [attrs for tag, attrs, _ in self.tags if tag == name]


def test_it_is_small(html: str) -> None:
    assert len(html.encode("utf-8")) < 500_000


def test_it_runs_and_loads_nothing(html: str) -> None:
    page = Page(html)
    names = Counter(tag for tag, _, _ in page.tags)
    links = [v for _, attrs, _ in page.tags for k, v in attrs.items() if k in ("href", "src")]

    assert not names.keys() & {"script", "img", "iframe", "object", "embed", "form", "base"}
    assert not any(k.startswith("on") for _, attrs, _ in page.tags for k in attrs)
    assert {"http-equiv": "Content-Security-Policy", "content": POLICY} in page.all("meta")
    assert all(link.startswith("#") or link == "data:," for link in links)
    assert not re.search(r"url\((?!#)|@import", html)


def test_every_tag_is_closed_in_order(html: str) -> None:
    assert Page(html).open == []


def test_it_is_told_to_a_screen_reader(html: str) -> None:
    page = Page(html)
    names = Counter(tag for tag, _, _ in page.tags)

    assert page.all("html") == [{"lang": "en"}]
    assert names["h1"] == names["main"] == names["title"] == 1
    assert names["table"] == names["caption"]
    assert all(attrs["scope"] in ("col", "row") for attrs in page.all("th"))
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in page.all("svg"))
    assert names["svg"] == 2 * names["figure"]
    assert names["figcaption"] == names["figure"]


def test_headings_skip_no_level(html: str) -> None:
    levels = [int(tag[1]) for tag, _, _ in Page(html).tags if re.fullmatch(r"h[1-6]", tag)]

    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))


def test_the_numbers_stand_under_each_chart(html: str) -> None:
    page = Page(html)
    tables = [parents for tag, _, parents in page.tags if tag == "table" and "figure" in parents]

    assert len(tables) == len(page.all("figure"))
    assert all("details" in parents for parents in tables)


def test_no_id_stands_twice_and_every_link_has_its_target(html: str) -> None:
    page = Page(html)
    ids = Counter(attrs["id"] for _, attrs, _ in page.tags if "id" in attrs)
    links = [attrs["href"][1:] for attrs in page.all("a")]
    used = re.findall(r"url\(#([^)]+)\)", html)

    assert ids.most_common(1)[0][1] == 1
    assert set(links) <= ids.keys()
    assert set(used) <= ids.keys()


def test_hostile_names_are_text(html_of, hostile_names) -> None:
    page = Page(html_of("hostile"))

    for name in hostile_names:
        assert clean_text(name) in page.text
    assert "\u202e" not in page.text
    assert "\x1b" not in page.text


def test_the_verdict_is_the_first_thing_said(html_of) -> None:
    page = Page(html_of("base"))
    said = page.text.partition("Ranked causes")[0]

    assert "Preprocessing mismatch explains most of the gap of 0.832 nats" in said
    assert "confidence 0.97 (almost certain)" in said


def test_parts_without_content_have_no_heading(html_of) -> None:
    text = Page(html_of("no_history")).text

    assert "Learning curves" not in text
    assert "Class by class" in text


def test_twenty_classes_of_a_thousand_are_shown_and_the_rest_is_counted(html_of) -> None:
    html = html_of("many_classes")

    assert "The 20 worst classes of 1000" in html
    assert "980 classes where the student loses less are left out." in html
    assert "class 0999" in html
    assert "class 0979" not in html
