"""The page of each fix, in `docs/fixes/` and in `gapdoctor explain`."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import gapdoctor
from gapdoctor.cli import fix_pages, manual, measured
from gapdoctor.domain.causes import Cause

DOCS = Path(__file__).parents[2] / "docs"
FIXES = Path(gapdoctor.__file__).parent / "fixes"
PAGES = manual.all_pages()
MEMBERS = [page for page in PAGES if page.kind == "fix"]
EACH = pytest.mark.parametrize("page", MEMBERS, ids=lambda page: page.name)

COUNT = {
    "fix": "add_dropout", "cause": "overfitting", "faults": 9, "helped": 7, "harmed": 1,
    "expected": 0.25, "share": 0.114, "difference": -0.0304, "of_a_later_version": None,
}  # fmt: skip
NONE = {"code": "", "faults": 0, "counts": []}


@pytest.fixture(scope="module")
def built() -> dict[str, str]:
    return fix_pages.fix_pages(MEMBERS, PAGES)


@pytest.fixture
def dropout(tmp_path: Path) -> Path:
    """The file of a fix, in a folder of its own where a made-up clinic can be written down."""
    return Path(shutil.copy(FIXES / "add_dropout.py", tmp_path))


def write_down(fix: Path, **parts: object) -> manual.ManualPage:
    fix.with_name(measured.NAME).write_text(json.dumps(parts))
    return manual.plugin_page("fix", fix)


def part(*counts: dict[str, object]) -> dict[str, object]:
    return {"code": "c0de", "faults": 20, "counts": counts}


def section(text: str, heading: str) -> str:
    return text.split(f"\n## {heading}\n\n")[1].split("\n## ")[0]


def markdown(page: manual.ManualPage) -> str:
    return fix_pages.fix_page(page, {cause: f"../causes.md#{cause}" for cause in Cause})


def test_every_fix_has_a_page_and_a_line_in_the_index(built):
    assert set(built) == {"README.md", *(f"{page.name}.md" for page in MEMBERS)}
    for page in MEMBERS:
        row = next(x for x in built["README.md"].splitlines() if x.startswith(f"| [`{page.name}`]"))
        assert page.title in row
        assert all(f"[`{cause}`](../causes.md#{cause})" in row for cause in page.treats)


@pytest.mark.parametrize("cause", Cause)
def test_the_index_tells_which_fixes_treat_a_cause(built, cause):
    line = next(x for x in built["README.md"].splitlines() if x.startswith(f"- [`{cause}`]"))
    named = re.findall(r"\((\w+)\.md\)", line)
    assert named == [page.name for page in MEMBERS if cause in page.treats]


@EACH
def test_a_page_says_when_it_helps_when_not_what_was_measured_and_whose_idea_it_is(built, page):
    text = built[f"{page.name}.md"]
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert [x for x in headings if x != "Tried together with"] == [
        "When it helps", "When it does not", "Measured", "Sources", "Limits",
    ]  # fmt: skip
    assert all(section(text, heading).strip() for heading in headings)


@EACH
def test_sources_are_told_once_each_and_with_their_year_or_as_a_thread(page):
    text = dict(page.sections)["Sources"]
    sources = re.split(r"\n(?=- )", text)
    assert all(re.search(r"^- .+ (19|20)\d\d, \"|^- [\w./-]+#\d+: ", x) for x in sources)
    assert len({source.split(",")[0] for source in sources}) == len(sources)
    papers = re.findall(r"\d{4}\.\d{4,5}", text)
    assert len(set(papers)) == len(papers)


@EACH
def test_whoever_is_cited_is_among_the_sources(page):
    sources = " ".join(dict(page.sections)["Sources"].split()).removeprefix("- ").split(" - ")
    told = " ".join(text for heading, text in page.sections if heading != "Sources")
    told = " ".join([*told.split(), *(reason for _, reason in page.needs)])
    cited = re.findall(r"([A-Z][\w-]+)(?: et al\.| & [A-Z]\w+)? \(?((?:19|20)\d\d)\b", told)
    for author, year in cited:
        assert any(x.startswith(author) and f" {year}, " in x for x in sources), (author, year)


@EACH
def test_links_lead_somewhere(built, page):
    text = built[f"{page.name}.md"] + built["README.md"]
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        url = urlsplit(link)
        if url.scheme:
            assert url.netloc in ("arxiv.org", "github.com")
            continue
        target = DOCS / "fixes" / url.path
        assert target.is_file(), link
        words = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        anchors = [re.sub(r"[^\w -]", "", word).lower().replace(" ", "-") for word in words]
        assert not url.fragment or url.fragment in anchors, link


@EACH
def test_the_page_tells_what_the_class_says(page):
    """The file is read without running it: what is read must be what runs."""
    from gapdoctor.fixes._base import all_fixes

    fix = next(fix for fix in all_fixes() if fix.name == page.name)
    assert page.treats == tuple(map(str, fix.treats))
    assert dict(page.needs) == dict(fix.needs)


def test_a_fix_that_needs_another_says_why(built, gapdoctor):
    pages = [page for page in MEMBERS if page.needs]
    assert pages
    for page in pages:
        told = section(built[f"{page.name}.md"], "Tried together with")
        for name, reason in page.needs:
            assert f"[`{name}`]({name}.md): {reason}" in told
        shown = " ".join(gapdoctor("explain", page.name).stdout.split())
        assert f"Tried together with - `{page.needs[0][0]}`: {page.needs[0][1]}" in shown


def test_what_the_clinic_measured_is_a_table(dropout):
    later = COUNT | {"faults": 4, "helped": 3, "harmed": 0, "share": -0.5, "difference": 0.02}
    page = write_down(dropout, tuning=part(COUNT), reporting=part(later))
    told = section(markdown(page), "Measured")
    cause = "[`overfitting`](../causes.md#overfitting)"
    assert f"\n| tuning | {cause} | 9 | 7 | 1 | 25 % | 11 % | −0.030 |\n" in told
    assert f"\n| reporting | {cause} | 4 | 3 | 0 | 25 % | −50 % | +0.020 |\n" in told
    assert "Not measured in the clinic: [`lack_of_regularization`]" in told
    assert "`python -m tests.clinic record`" in told
    assert "(../accuracy.md)" in told


def test_explain_tells_it_in_a_line_each(dropout):
    page = write_down(dropout, tuning=part(COUNT), reporting=NONE)
    assert (
        "\nMeasured\n"
        "  - In the clinic: helped 7 of 9 faults of overfitting, harmed 1 (tuning part).\n"
        "  - Not measured there: lack_of_regularization.\n"
        "\n"
        "  The plan goes by the tuning part; the reporting part chose nothing.\n"
        "\nSources\n"
    ) in manual.to_text(page, 80)


@pytest.mark.parametrize(
    "parts",
    [{}, {"tuning": NONE, "reporting": NONE}, {"tuning": part(COUNT | {"fix": "stop_early"})}],
    ids=["no part", "no fix", "another fix"],
)
def test_what_was_not_measured_is_said_to_be_so(dropout, parts):
    page = write_down(dropout, **parts)
    assert section(markdown(page), "Measured").strip() == "It was not measured in the clinic."
    assert "\nMeasured\n  It was not measured in the clinic.\n" in manual.to_text(page, 80)


def test_without_the_file_nothing_was_measured(dropout):
    assert manual.plugin_page("fix", dropout).measured == ()


def test_the_index_names_the_code_that_was_measured(dropout):
    write_down(dropout, tuning=part(COUNT), reporting=NONE)
    parts = measured.read_parts(dropout.parent)
    assert "\n| tuning | 20 | `c0de` |\n\n" in fix_pages.index([], {}, parts)
    assert "No fix was measured yet." in fix_pages.index([], {}, ())


def test_the_plan_and_the_manual_read_the_same_file():
    from gapdoctor.fixes import _clinic

    assert _clinic.FILE == FIXES / measured.NAME
    counts = [c for p in measured.read_parts(FIXES) for many in p.by_fix.values() for c in many]
    for count in counts:
        assert count.cause in set(Cause)
        assert count.helped + count.harmed <= count.faults


def test_another_fix_and_a_paper_are_linked_to_and_the_page_itself_is_not(built):
    text = built["cross_validate.md"]
    assert "[`stop_early`](stop_early.md)" in text
    assert "[arXiv 1810.10082](https://arxiv.org/abs/1810.10082)" in text
    assert "(cross_validate.md)" not in text
    assert "(https://github.com/mr-eggplant/FOA/issues/2)" in built["match_preprocessing.md"]
