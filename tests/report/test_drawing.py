"""SVG and PNG: the same bytes whatever the caller's matplotlib is set to, and inert."""

import struct
from dataclasses import replace
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest

from gapdoctor import report
from gapdoctor.domain.findings import Table
from gapdoctor.report.blocks import Figure
from gapdoctor.report.drawing import HALF, NARROW, WIDE, svg
from gapdoctor.report.drawing.style import wrapped
from gapdoctor.report.fix_sections import fix_sections
from gapdoctor.report.sections import figures

KEYS = ["waterfall", "split", "history", "accuracy", "classes", "reliability", "losses"]


def figure_of(diagnosis, key: str):
    return next(f for f in figures(diagnosis) if f.key == key)


def test_there_is_a_png_a_chart(make) -> None:
    charts = report.charts(make("base"))

    assert list(charts) == [f"{key}.png" for key in KEYS]
    for name, content in charts.items():
        assert content.startswith(b"\x89PNG\r\n\x1a\n")
        width = struct.unpack(">I", content[16:20])[0]
        half = name in ("history.png", "accuracy.png", "reliability.png", "losses.png")
        assert 0.9 < width / ((HALF if half else WIDE) * 150 / 72) < 1.1


def test_a_missing_table_is_a_missing_chart(make) -> None:
    assert list(report.charts(make("healthy"))) == ["waterfall.png", "split.png"]
    assert list(report.charts(make("not_finite"))) == []


def test_the_callers_settings_change_nothing_and_are_left_alone(make) -> None:
    figure = figure_of(make("base"), "classes")
    plain = svg(figure, WIDE)

    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.facecolor": "red"}):
        before = dict(mpl.rcParams)
        other = svg(figure, WIDE)
        assert dict(mpl.rcParams) == before

    assert other == plain


@pytest.mark.parametrize("width", [NARROW, HALF, WIDE])
def test_every_chart_is_one_well_formed_element(make, width: int) -> None:
    for figure in figures(make("base")):
        root = ET.fromstring(svg(figure, width))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root.get("role") == "img"
        assert root.get("aria-label") == figure.alt
        assert float(root.get("width", "0")) == width


def test_an_element_holds_no_style_rule_no_metadata_and_no_colour_of_its_own(make) -> None:
    text = svg(figure_of(make("base"), "waterfall"), WIDE)

    assert "<style" not in text
    assert "<metadata" not in text
    assert "#010203" not in text
    assert "currentColor" in text
    assert "var(--teacher)" in text


def test_ids_bear_the_charts_name(make) -> None:
    root = ET.fromstring(svg(figure_of(make("base"), "history"), HALF, "-narrow"))
    ids = [e.get("id", "") for e in root.iter() if e.get("id")]

    assert ids
    assert all(id_.startswith("history-narrow-") for id_ in ids)


def test_a_name_is_neither_formula_nor_tag_nor_colour(make) -> None:
    names = ("$\\frac{1", "<b>&amp;", "#0072b2", 'x="0.12345"', "url(#a) 猫")
    rows = tuple((name, 0.1, 0.2 + i) for i, name in enumerate(names))
    table = Table(("class", "teacher_loss", "student_loss"), rows)
    diagnosis = replace(make("base"), tables={"per_class": table})

    root = ET.fromstring(svg(figure_of(diagnosis, "classes"), WIDE))
    words = {e.text for e in root.iter("{http://www.w3.org/2000/svg}text")}

    assert set(names) <= words


def test_a_dwarfing_bar_is_drawn_in_two_pieces(make) -> None:
    def pieces(name: str) -> int:
        figure = figure_of(make(name), "waterfall")
        return svg(figure, WIDE).count("fill: var(--cause)")

    assert pieces("base") == 2  # two causes, one piece each
    assert pieces("dwarfed") == 3


def test_bins_of_few_rows_stand_in_the_numbers_only(make) -> None:
    columns = ("model", "split", "rows", "confidence", "accuracy")
    rows = (("student", "heldout", 9, 0.55, 1.0), ("student", "heldout", 10, 0.95, 0.9))
    diagnosis = replace(make("base"), tables={"reliability": Table(columns, rows)})

    figure = figure_of(diagnosis, "reliability")

    assert [series.x for series in figure.chart.series] == [(0.95,)]
    assert len(figure.table.rows) == 2
    assert figure.note.endswith("Bins of fewer than 10 rows stand in the numbers only.")


def test_a_mean_without_interval_has_no_whisker(make) -> None:
    columns = ("label", "kind", "value", "low", "high")
    table = Table(columns, (("teacher", "teacher", 0.3, 0.3, 0.3),))
    figure = figure_of(replace(make("base"), tables={"waterfall": table}), "waterfall")

    assert figure.table.rows == (("Teacher, held-out", "0.300"),)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("waterfall", Table(("label", "kind", "value"), (("a", "b", 0.0),))),
        ("waterfall", Table(("label", "kind", "value"), (("a", "cause", -5.0),))),
        ("per_class", Table(("class", "student_loss"), (("a", 0.0), ("b", None)))),
        ("history", Table(("epoch", "heldout_loss"), ((1, 0.0),))),
        ("history", Table(("epoch", "heldout_loss"), ((1, "x"), (None, 2.0), (3, 1e30)))),
        (
            "loss_histogram",
            Table(("model", "split", "bin_low", "bin_high", "rows"),
                  (("student", "heldout", 0.0, None, 3),)),
        ),
        (
            "loss_histogram",
            Table(("model", "split", "bin_low", "bin_high", "rows"),
                  (("student", "heldout", 0.0, 1.0, 0),)),
        ),
        (
            "reliability",
            Table(("model", "split", "confidence", "accuracy"),
                  (("student", "heldout", 0.5, 1.0), ("teacher", "heldout", None, None))),
        ),
        ("reliability", Table((), ())),
        ("unheard_of", Table(("a",), ((1,),))),
    ],
)  # fmt: skip
def test_poor_tables_break_nothing(make, name: str, table: Table) -> None:
    diagnosis = replace(make("base"), tables={name: table})

    assert "</html>" in report.render(diagnosis, "html")
    assert report.render(diagnosis, "md").startswith("# gapdoctor")


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_labels_of_joint_fixes_are_broken_but_not_cut(make, fix_runs, width: int) -> None:
    parts = fix_sections(make("base"), fix_runs.three_together())
    figure = next(b for s in parts for b in s.blocks if isinstance(b, Figure))
    assert figure.key == "differences"
    root = ET.fromstring(svg(figure, width))
    words = " ".join(e.text or "" for e in root.iter("{http://www.w3.org/2000/svg}text"))

    assert "schedule_learning_rate" in words
    assert "…" not in words


def test_a_label_is_broken_between_words_and_a_word_too_long_is_cut() -> None:
    assert wrapped("one_name + another_name", 90.0) == ["one_name +", "another_name"]
    assert wrapped("a_name_longer_than_that", 90.0) == ["a_name_longer…"]
    assert wrapped("", 90.0) == [""]
