"""Two diagnoses side by side."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from rich.cells import cell_len

from gapdoctor import report
from gapdoctor.domain.diagnosis import DataRecord, HalfUse, Halves, SplitUse
from gapdoctor.domain.findings import Interval, Skipped, Warning_
from gapdoctor.errors import GapDoctorError
from gapdoctor.report import compare

NAMES = ("before.json", "after.json")


@pytest.fixture
def pair(make, fix_runs):
    """A pair of diagnoses, the second healed of its first cause."""
    before = make("base")
    return before, fix_runs.after(before)


@pytest.mark.parametrize(("format_", "ending"), [("md", "md"), ("text", "txt"), ("json", "json")])
def test_texts_are_as_expected(pair, expect, format_: str, ending: str) -> None:
    expect(f"comparison.{ending}", report.render_comparison(compare(*pair, names=NAMES), format_))


def test_what_healed_what_is_new_what_remains(pair) -> None:
    before, after = pair
    found = compare(before, after, names=NAMES)
    assert found.trend == "better"
    assert {str(c.id): c.state for c in found.causes} == {
        "overfitting": "remains",
        "preprocessing_mismatch": "healed",
        "lack_of_regularization": "unlikely",
    }
    assert [(w.id, w.state) for w in found.warnings] == [("heldout_chose_the_checkpoint", "gone")]
    assert [r.key for r in found.recipe] == ["weight_decay"]

    back = compare(after, before, names=NAMES)
    assert back.trend == "worse"
    states = {str(c.id): c.state for c in back.causes}
    assert states["preprocessing_mismatch"] == "new"


def test_the_same_twice_is_no_change(make) -> None:
    found = compare(make("base"), make("base"), names=NAMES)
    assert found.trend == "open"
    assert all(m.difference == 0 and m.trend == "open" for m in found.measured)
    assert {c.state for c in found.causes} <= {"remains", "unlikely"}
    assert not found.cautions
    assert not found.recipe


def test_accuracy_is_better_where_it_is_higher(pair) -> None:
    found = compare(*pair, names=NAMES)
    assert found.of("student_heldout_accuracy").trend == "better"
    assert found.of("student_heldout_loss").trend == "better"
    assert compare(*reversed(pair), names=NAMES).of("student_heldout_accuracy").trend == "worse"


def test_a_cause_whose_probes_could_not_run_did_not_heal(pair) -> None:
    before, after = pair
    first = before.causes[0]
    spoke = {e.probe for e in first.evidence if e.speaks == "for"}
    skipped = tuple(Skipped(probe, "the budget was used up") for probe in sorted(spoke))
    found = compare(before, replace(after, skipped=skipped), names=NAMES)
    change = next(c for c in found.causes if c.id == first.id)
    assert (change.state, set(change.unasked)) == ("not asked", spoke)
    shown = " ".join(report.render_comparison(found, "text").split())
    assert "spoke for it and could not run after." in shown


def classes(diagnosis, names):
    return replace(diagnosis, data=replace(diagnosis.data, classes=tuple(names)))


def rows(diagnosis, **samples):
    return replace(
        diagnosis,
        data=DataRecord(
            SplitUse(samples.get("train", 50000), 4000),
            SplitUse(samples.get("heldout", 10000), 4000),
            diagnosis.data.classes,
        ),
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: classes(d, ("a", "b")), "10 classes before, 2 after"),
        (
            lambda d: classes(d, ("x", *d.data.classes[1:])),
            "class 0 is 'airplane' before and 'x' after",
        ),
        (lambda d: rows(d, heldout=9000), "10,000 held-out rows before, 9,000 after"),
        (lambda d: rows(d, train=1), "50,000 train rows before, 1 after"),
        (
            lambda d: replace(d, halves=Halves(HalfUse(9, "heldout"), HalfUse(9, "test"))),
            "one reports on test data, the other on held-out data",
        ),
    ],
)
def test_other_data_are_refused(make, change, told: str) -> None:
    with pytest.raises(GapDoctorError) as caught:
        compare(make("base"), change(make("base")), names=NAMES)
    assert caught.value.message == f"after.json cannot be compared with before.json: {told}"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: replace(d, teacher=replace(d.teacher, sha256="ef" * 32)), "The teachers differ"),
        (lambda d: replace(d, seed=3), "Other rows were looked at"),
        (lambda d: replace(d, version="9.9"), "gapdoctor 0.1.0 before, 9.9 after"),
        (lambda d: replace(d, warnings=(Warning_("leak", "Rows leak.", voids=True),)), "`leak`"),
        (
            lambda d: replace(
                d, metrics=tuple(replace(m, loss=Interval(9, 8, 10)) for m in d.metrics)
            ),
            "The teacher's own held-out loss moved",
        ),
    ],
)
def test_what_makes_it_less_than_exact_is_told(make, change, told: str) -> None:
    found = compare(make("base"), change(make("base")), names=NAMES)
    assert any(told in caution for caution in found.cautions)


def test_fewer_rows_of_the_same_order_are_no_caution(make) -> None:
    """A healed pair is told from its first rows, a sick one from all of them."""
    before = make("base")
    fewer = replace(before.data, train=replace(before.data.train, used=100))
    assert compare(before, replace(before, data=fewer), names=NAMES).cautions == ()


@pytest.mark.parametrize("name", ["base", "hostile", "not_finite", "healthy", "inconclusive"])
def test_any_two_records_can_be_shown(make, name: str) -> None:
    before, after = make("base"), classes(make(name), make("base").data.classes)
    found = compare(before, replace(after, data=before.data), names=NAMES)
    for format_ in ("text", "md", "html", "json"):
        assert report.render_comparison(found, format_)
    json.loads(report.render_comparison(found, "json"))
    for width in (80, 72):
        from gapdoctor.report.comparison_sections import render_comparison

        lines = render_comparison(found, "text", width=width).splitlines()
        assert max(map(cell_len, lines)) <= width or name == "hostile"
