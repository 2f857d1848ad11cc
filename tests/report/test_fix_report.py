"""What `fix` found, as reports and as a page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from rich.cells import cell_len

from gapdoctor import report
from gapdoctor.domain.findings import Interval
from gapdoctor.domain.trials import TrialRecord
from gapdoctor.errors import GapDoctorError
from gapdoctor.report.blocks import Grid
from gapdoctor.report.fix_sections import fix_page, fix_sections

OUTCOMES = ("outcome", "three_together", "nothing_verified", "control_chosen", "nothing_tried")


@pytest.mark.parametrize("name", OUTCOMES)
def test_markdown_is_as_expected(make, fix_runs, expect, name: str) -> None:
    expect(f"fix_{name}.md", report.render_fix(make("base"), getattr(fix_runs, name)(), "md"))


@pytest.mark.parametrize("name", OUTCOMES)
def test_terminal_page_is_as_expected(make, fix_runs, expect, name: str) -> None:
    before = make("base")
    after = fix_runs.after(before) if name == "outcome" else None
    expect(f"fix_{name}.txt", fix_page(before, getattr(fix_runs, name)(), after))


@pytest.mark.parametrize("name", OUTCOMES)
def test_the_page_keeps_to_its_columns(make, fix_runs, name: str) -> None:
    before = make("base")
    for width in (80, 72):
        text = fix_page(before, getattr(fix_runs, name)(), fix_runs.after(before), width=width)
        assert max(map(cell_len, text.splitlines())) <= width
        assert "…" not in text, "no name is cut"


def test_the_head_says_what_was_written(make, fix_runs) -> None:
    (first, *_) = fix_sections(make("base"), fix_runs.outcome())
    (lead,) = first.blocks
    assert lead.headline == "match_preprocessing lowers the held-out loss by 0.412 nats"
    assert [(f.label, f.value) for f in lead.facts] == [
        ("Given, held-out loss", "1.121"),
        ("Written, held-out loss", "0.709"),
        ("Written − given, in nats", "−0.412"),
        ("Smallest effect that shows", "0.034"),
    ]


def test_the_loss_in_the_head_is_the_one_that_the_improvement_starts_from(make, fix_runs) -> None:
    """Free corrections are compared with the student as it stands, trained ones at its own τ."""
    for outcome, given in ((fix_runs.outcome(), "1.121"), (fix_runs.control_chosen(), "1.101")):
        (lead,) = fix_sections(make("base"), outcome)[0].blocks
        assert lead.facts[0].value == given
        assert f"a held-out loss of {given} nats" in lead.sentence
    free = fix_runs.outcome()
    (lead,) = fix_sections(make("base"), free)[0].blocks
    assert "1.101 at the temperature that suits it best" in lead.sentence
    gained = free.given.loss_before_temperature.value + free.improvement.value
    assert lead.facts[1].value == f"{gained:.3f}"


def test_what_is_verified_but_not_written_leaves_something_to_be_needed(make, fix_runs) -> None:
    fixes = tuple(replace(f, verified=f.id == "add_dropout")
                  for f in fix_runs.nothing_verified().fixes)  # fmt: skip
    outcome = replace(fix_runs.nothing_verified(), fixes=fixes)
    assert "needed" in [s.id for s in fix_sections(make("base"), outcome)]


def test_one_seed_that_looks_better_asks_for_those_that_verify(make, fix_runs) -> None:
    outcome = fix_runs.nothing_verified()
    fixes = tuple(replace(f, seeds=1) for f in outcome.fixes)
    text = report.render_fix(make("base"), replace(outcome, fixes=fixes), "md")
    assert "More seeds (`--seeds 3`): fewer verify no training" in text
    assert "some fix seems to lower it, but none is verified" in text


def test_more_time_is_had_by_the_same_command(make, fix_runs) -> None:
    text = report.render_fix(make("base"), fix_runs.nothing_verified(), "md")
    assert "The same command goes on with the trials that are finished" in text


def test_rows_that_would_do_follow_the_square_root(make, fix_runs) -> None:
    """(0.034 / 0.017)² = 4 times the 1,987 reporting rows of the record."""
    text = report.render_fix(make("base"), fix_runs.nothing_verified(), "md")
    assert "would show with about 7,948 reporting rows; there are 1,987." in text


def test_rounds_stand_between_the_fixes_and_the_trials(make, fix_runs) -> None:
    parts = {s.id: s for s in fix_sections(make("base"), fix_runs.three_together())}
    ids = list(parts)
    assert ids.index("fixes") < ids.index("rounds") < ids.index("trials")
    (table,) = parts["rounds"].blocks
    assert [row[0] for row in table.rows] == ["1", "2", "3", "4", "5"]
    assert table.rows[0][1:] == (
        "control, add_weight_decay, rebalance_losses, add_dropout; seed 0",
        "every fix on the first seed, beside its control",
    )
    assert table.rows[2] == (
        "3", "add_weight_decay + rebalance_losses + schedule_learning_rate; seed 0",
        "together: one fix more, since add_weight_decay + rebalance_losses was better than each "
        "of its parts",
    )  # fmt: skip
    assert table.rows[3][1].endswith("; seeds 1 and 2")


def test_seeds_in_a_row_are_told_by_their_ends(make, fix_runs) -> None:
    one = replace(fix_runs.ROUNDS[0], fixes=("a",))
    said = {(4,): "seed 4", (1, 2, 3): "seeds 1 to 3", (1, 3, 4): "seeds 1, 3, 4"}
    for seeds, told in said.items():
        outcome = replace(fix_runs.outcome(), rounds=(replace(one, seeds=seeds),))
        parts = {s.id: s for s in fix_sections(make("base"), outcome)}
        assert parts["rounds"].blocks[0].rows[0][1] == f"a; {told}"


def test_a_record_without_rounds_has_no_section_of_them(make, fix_runs) -> None:
    older = replace(fix_runs.outcome(), rounds=())
    assert "rounds" not in [s.id for s in fix_sections(make("base"), older)]
    assert "in which order" not in fix_page(make("base"), older)


def test_the_promise_stands_beside_what_came(make, fix_runs) -> None:
    outcome = fix_runs.three_together()
    table = next(b for b in fix_sections(make("base"), outcome)[1].blocks if isinstance(b, Grid))
    assert [c.title for c in table.columns[2:4]] == ["Expected", "Difference (nats)"]
    assert [(row[2], row[3].split()[0]) for row in table.rows[:3]] == [
        ("unknown", "−0.161"), ("−0.090", "−0.118"), ("−0.090", "−0.081"),
    ]  # fmt: skip
    assert "the plan reckoned with" in table.note


def test_a_plan_that_promised_nothing_leaves_no_column_for_it(make, fix_runs) -> None:
    outcome = fix_runs.outcome()
    fixes = tuple(replace(f, expected_gain=None) for f in outcome.plan.fixes)
    outcome = replace(outcome, plan=replace(outcome.plan, fixes=fixes))
    table = next(b for b in fix_sections(make("base"), outcome)[1].blocks if isinstance(b, Grid))
    assert "Expected" not in [c.title for c in table.columns]
    assert "reckoned" not in table.note


def test_how_a_fix_was_verified_is_told_in_every_format(make, fix_runs) -> None:
    told = "match_preprocessing is verified, as deployed: neither student at a temperature of its"
    for text in (
        fix_page(make("base"), fix_runs.outcome()),
        report.render_fix(make("base"), fix_runs.outcome(), "md").replace("`", ""),
        re.sub(r"</?code>", "", report.render_fix(make("base"), fix_runs.outcome(), "html")),
    ):
        assert told in " ".join(text.split())


@pytest.mark.parametrize("format", ["md", "html"])
def test_joint_fixes_can_be_broken_wherever_they_are_named(make, fix_runs, format: str) -> None:
    text = report.render_fix(make("base"), fix_runs.three_together(), format)
    assert "add_weight_decay + rebalance_losses + schedule_learning_rate" in text
    assert "add_weight_decay+rebalance_losses" not in text


def test_nothing_is_needed_where_a_fix_is_verified(make, fix_runs) -> None:
    ids = [s.id for s in fix_sections(make("base"), fix_runs.outcome())]
    assert "needed" not in ids
    assert len(ids) == len(set(ids)), "each anchor stands once"


def test_curves_are_means_over_seeds_beside_the_control(make, fix_runs) -> None:
    parts = {s.id: s for s in fix_sections(make("base"), fix_runs.outcome())}
    figures = parts["curves"].blocks
    assert [f.title for f in figures] == [
        "add_weight_decay + rebalance_losses", "add_weight_decay", "rebalance_losses",
        "add_dropout",
    ]  # fmt: skip
    lines = {line.label: line for line in figures[1].chart.series}
    assert list(lines) == ["control, held-out", "control, train", "this fix, held-out",
                           "this fix, train"]  # fmt: skip
    # the levels of the seeds are 0.521, 0.525 and 0.529; 1.6 · 0.85²⁴ is left of the start
    assert lines["this fix, held-out"].y[-1] == pytest.approx(0.525 + 1.6 * 0.85**24)


def test_folds_are_told_apart_and_are_no_seeds(make, fix_runs) -> None:
    outcome = fix_runs.outcome()
    fold = TrialRecord("add_dropout", 0, "done", 9.0, 9.0, fold=(2, 5))
    curves = {**outcome.histories, fold.name: fix_runs.curve(9.0)}
    more = replace(outcome, trials=(*outcome.trials, fold), histories=curves)
    one, other = (
        {s.id: s for s in fix_sections(make("base"), o)} for o in (outcome, more)
    )  # fmt: skip
    assert one["curves"] == other["curves"]
    (grid,) = other["trials"].blocks
    assert grid.rows[-1][0] == "add_dropout, fold 2 of 5"
    assert "its student lacked" in grid.note
    assert not one["trials"].blocks[0].note


def test_a_trial_that_diverged_breaks_no_chart(make, fix_runs) -> None:
    outcome = fix_runs.outcome()
    broken = {n: tuple((e, float("inf"), float("nan"), 0.1, 0.1) for e in (1.0, 2.0))
              for n in outcome.histories}  # fmt: skip
    text = report.render_fix(make("base"), replace(outcome, histories=broken), "html")
    assert "Learning curves, each fix" not in text


def test_values_that_are_not_finite_are_told(make, fix_runs) -> None:
    nan = Interval(float("nan"), float("nan"), float("nan"))
    outcome = fix_runs.outcome()
    fixes = tuple(replace(f, difference=f.difference and nan) for f in outcome.fixes)
    lost = replace(outcome, fixes=fixes, chosen=None, improvement=None,
                   minimum_detectable_effect=float("nan"))  # fmt: skip
    for text in (report.render_fix(make("base"), lost, "md"), fix_page(make("base"), lost)):
        assert "n/a" in text
        assert "nan" not in text.lower().replace("finance", "")


def test_hostile_texts_stay_texts(make, fix_runs, hostile_names, html_of) -> None:
    html = html_of("fix_hostile")
    assert not re.search(r"<(script|img|iframe)", html)
    for name in ("fix", "fix_hostile", "comparison"):
        body = re.search(r"<main>.*</main>", html_of(name), flags=re.DOTALL)
        assert body is not None
        ET.fromstring(re.sub(r"&(?!amp;|lt;|gt;|quot;|#)", "&amp;", body[0]))
    text = report.render_fix(make("hostile"), fix_runs.hostile(hostile_names), "md")
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert len(text) <= 60_000


def test_many_trials_stay_short_enough_for_a_ticket(make, fix_runs) -> None:
    outcome = fix_runs.outcome()
    many = tuple(TrialRecord("add_dropout", i, "done", 0.6, 9.0) for i in range(2000))
    text = report.render_fix(make("base"), replace(outcome, trials=many), "md")
    assert len(text) <= 60_000
    assert "the sections" in text


def test_charts_are_png(make, fix_runs) -> None:
    drawn = report.charts(make("base"), fix_runs.outcome(), fix_runs.after(make("base")))
    assert {"differences.png", "before-after.png", "curves-add_dropout.png", "waterfall.png"} <= (
        drawn.keys()
    )
    assert all(content.startswith(b"\x89PNG") for content in drawn.values())


def test_an_unknown_format_is_refused(make, fix_runs) -> None:
    with pytest.raises(GapDoctorError, match="'pdf' is not known"):
        report.render_fix(make("base"), fix_runs.outcome(), "pdf")


def test_the_control_as_the_cure_is_not_said_to_beat_the_control(make, fix_runs) -> None:
    found = fix_runs.outcome()
    cure = replace(found.fixes[0], id="retrain_as_declared", seeds=3, verified=True)
    told = replace(found, fixes=(cure, *found.fixes[1:]), chosen=cure.id)
    parts = {s.id: s for s in fix_sections(make("base"), told)}
    (table, *_) = [b for b in parts["fixes"].blocks if isinstance(b, Grid)]
    assert table.rows[0][-1].startswith("the student as given, 3 seeds")
    assert "is the control itself" in table.note
    text = report.render_fix(make("base"), told, "md")
    assert "it is the control itself, trained anew as declared" in text
    assert "against the control" not in text.split("##")[0]


@pytest.mark.parametrize("chosen", ["add_weight_decay+rebalance_losses", "control"])
def test_what_was_mended_without_training_is_told_beside_what_stands_on_it(
    make, fix_runs, chosen: str
) -> None:
    """Most of the gain may be its alone."""
    gained = Interval(-0.66, -0.72, -0.6)
    found = replace(fix_runs.outcome(), chosen=chosen, improvement=gained)

    def sentence(told) -> str:
        return fix_sections(make("base"), told)[0].blocks[0].sentence

    told = sentence(found)
    assert "It stands on `match_preprocessing`, which by itself, without training, gives" in told
    assert "−0.412 nats" in told
    scaled = tuple(
        replace(f, id="scale_temperature") if f.id == "match_preprocessing" else f
        for f in found.fixes
    )
    alone = sentence(replace(found, fixes=scaled))
    assert "stands on" not in alone, "each arm has a temperature of its own"
