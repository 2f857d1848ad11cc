"""report.md: short enough for a ticket, and inert."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from gapdoctor import report
from gapdoctor.domain.findings import Warning_
from gapdoctor.report.clean import clean_text
from gapdoctor.report.formats._escape import code, fenced, prose

RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


class Text(HTMLParser):
    """What a reader sees, and which tags there are."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen = ""
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.seen += data


def rendered(markdown: str) -> Text:
    return Text(RENDERER.render(markdown))


def test_it_fits_into_a_ticket(diagnosis) -> None:
    assert len(report.render(diagnosis, "md")) <= 60_000


def test_the_verdict_stands_in_the_first_three_lines(diagnosis) -> None:
    first = report.render(diagnosis, "md").splitlines()[:3]

    assert first[0].startswith("# gapdoctor: ")
    assert first[2].startswith("**The student's held-out loss")


def test_the_lowest_ranked_evidence_gives_way_and_is_counted(make) -> None:
    text = report.render(make("many_causes"), "md")

    assert "Evidence 1.30" in text
    assert "Evidence 7." not in text
    dropped = 7 * 30 - len(re.findall(r"Evidence \d\.\d+:", text))
    assert f"Left out to stay within 60,000 characters: the {dropped} lowest-ranked pieces" in text


def test_sections_give_way_where_evidence_is_not_enough(make) -> None:
    notes = tuple(f"Note {i}: " + "it is so. " * 300 for i in range(20))
    text = report.render(replace(make("base"), notes=notes), "md")

    assert len(text) <= 60_000
    assert "and the sections Notes." in text
    assert "## How to reproduce" in text


def test_even_a_flood_of_warnings_fits(make) -> None:
    flood = tuple(Warning_(f"w{i}", "it is so. " * 300) for i in range(40))
    text = report.render(replace(make("base"), warnings=flood), "md")

    assert len(text) <= 60_000
    assert text.endswith("**Cut off here; report.html holds the rest.**\n")


def test_hostile_names_are_text(make, hostile_names) -> None:
    page = rendered(report.render(make("hostile"), "md"))

    assert page.tags <= {
        "h1", "h2", "h3", "p", "strong", "code", "pre", "ul", "li", "details", "summary",
        "table", "thead", "tbody", "tr", "th", "td", "blockquote",
    }  # fmt: skip
    for name in hostile_names:
        assert clean_text(name) in page.seen


def test_every_table_row_has_the_cells_of_its_head(diagnosis) -> None:
    html = RENDERER.render(report.render(diagnosis, "md"))

    for table in re.findall(r"<table>.*?</table>", html, flags=re.DOTALL):
        rows = re.findall(r"<tr>.*?</tr>", table, flags=re.DOTALL)
        assert len({len(re.findall(r"<t[hd]", row)) for row in rows}) == 1
        assert len(rows) > 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words, 0.3 (0.1 to 0.5)", "plain words, 0.3 (0.1 to 0.5)"),
        ("a snake_case_name", "a snake_case_name"),
        ("ask @octocat about #12", "ask `@octocat` about `#12`"),
        ("see https://example.com/x", "see `https://example.com/x`"),
        ("<b>", r"\<b\>"),
        ("a|b", r"a\|b"),
        ("*a* _b_ `c", r"\*a\* \_b\_ \`c"),
        ("the `swap_channels` correction", "the `swap_channels` correction"),
        ("1. not a list", r"1\. not a list"),
        ("- not a list", r"\- not a list"),
        ("# no heading", r"\# no heading"),
        ("---", r"\---"),
        ("0.5 nats", "0.5 nats"),
        ("−0.5", "−0.5"),
        ("    no code block", "no code block"),
        ("&amp; & AT&T", r"\&amp; & AT&T"),
    ],
)
def test_prose_is_escaped_no_more_than_needed(text: str, expected: str) -> None:
    assert prose(text) == expected
    shown = rendered(prose(text)).seen.strip()
    assert shown == re.sub(r"`(\w+)`", r"\1", text).strip()


@pytest.mark.parametrize("text", ["a", "a`b", "``", "`", " a ", "a|b", r"a\|b", "a``b`", "x\\"])
def test_code_shows_what_it_holds_in_a_cell_too(text: str) -> None:
    assert rendered(code(text)).seen.strip("\n") == text
    table = rendered(f"| {code(text, in_cell=True)} | second |\n| --- | --- |").seen
    assert [line for line in table.split("\n") if line] == [text, "second"]


def test_a_code_block_holds_fences() -> None:
    text = "```\n````\nend"

    assert rendered(fenced(text)).seen.strip("\n") == text
