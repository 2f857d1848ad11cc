"""The page that `fix` prints before anything is trained."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from gapdoctor.domain.trials import Plan
from gapdoctor.report import plan_page
from gapdoctor.report.blocks import Grid, Listing
from gapdoctor.report.plan_sections import plan_sections


def flat(text: str) -> str:
    """On one line, as it was before it was wrapped."""
    return " ".join(text.split())


@pytest.fixture
def shown(make):
    """Return the page of a plan, on one line."""
    return lambda plan: flat(plan_page(make("base"), plan))


@pytest.fixture
def table(make):
    """Return the rows of a plan's table of fixes, below its heads."""

    def rows(plan: Plan) -> list[tuple[str, ...]]:
        (section,) = (s for s in plan_sections(make("base"), plan) if s.id == "fixes")
        (grid,) = (block for block in section.blocks if isinstance(block, Grid))
        return [tuple(column.title for column in grid.columns), *grid.rows]

    return rows


def slower(plan: Plan, times: float) -> Plan:
    fixes = tuple(replace(f, expected_seconds=times * f.expected_seconds) for f in plan.fixes)
    return replace(plan, fixes=fixes)


def test_the_page_is_as_expected(make, fix_runs, expect) -> None:
    expect("plan.txt", plan_page(make("base"), fix_runs.plan()))


@pytest.mark.parametrize("width", [80, 72])
def test_the_page_keeps_to_its_columns(make, fix_runs, width: int) -> None:
    text = plan_page(make("base"), fix_runs.plan(), width=width)

    assert max(map(cell_len, text.splitlines())) <= width
    assert "Nats/min" in text, "the table is not too wide for a table"


def test_each_fix_has_what_it_promises_for_which_time(table, fix_runs) -> None:
    """0.09 nats in 126 s are 0.09 / 2.1 min."""
    heads, free, first, *_ = table(fix_runs.plan())

    assert heads == ("Fix", "Expected", "Time", "Nats/min")
    assert free == ("1. match_preprocessing", "0.400 nats", "no training", "")
    assert first == ("2. add_weight_decay", "0.090 nats", "about 2 min", "0.043")


def test_long_trainings_are_counted_by_the_hour(table, fix_runs) -> None:
    """Ten times as long: 0.0043 nats a minute, 60 times that an hour."""
    heads, _, first, *_ = table(slower(fix_runs.plan(), 10))

    assert heads[-1] == "Nats/h"
    assert first[-1] == "0.257"


def test_what_is_not_known_is_said(table, fix_runs) -> None:
    plan = slower(fix_runs.plan(), 0)
    unknown = replace(plan, fixes=tuple(replace(f, expected_gain=None) for f in plan.fixes))

    assert [row[1:] for row in table(unknown)[2:]] == [("n/a", "not measured", "")] * 3


def test_the_clinic_speaks_of_the_cause_that_it_counted(shown, fix_runs) -> None:
    text = shown(fix_runs.plan())

    assert "overfitting (helped 7 of 9 such faults in the clinic, harmed 0), lack_of_regu" in text
    assert "(helped 1 of 1 such fault in the clinic, harmed 0)" in text
    assert "Dropout 0.1 before the head. Treats overfitting. Changes" in text, "it was not counted"
    assert "The clinic plants faults" in text


def test_without_counts_the_clinic_is_not_spoken_of(shown, fix_runs) -> None:
    plan = fix_runs.plan()
    text = shown(replace(plan, fixes=tuple(replace(f, clinic=None) for f in plan.fixes)))

    assert "clinic" not in text


def test_what_is_tried_together_and_what_after_it(shown, fix_runs) -> None:
    plan = fix_runs.plan()
    text = shown(plan)

    assert (
        "add_weight_decay and train_longer are tried together if each alone points the right way: "
        "Decay shows late (Krogh & Hertz 1991, NeurIPS)."
    ) in text
    assert "too little back and budget is left: train_longer." in text
    more = replace(plan.reserve[0], fix="stop_early")
    assert "is left: train_longer, then stop_early." in shown(
        replace(plan, reserve=(*plan.reserve, more))
    )
    without = shown(replace(plan, reserve=(), together=()))
    assert "tried together" not in without
    assert "too little back" not in without


def test_three_that_need_each_other(shown, fix_runs) -> None:
    group = replace(fix_runs.TOGETHER, fixes=("add_dropout", "add_weight_decay", "train_longer"))

    assert "add_dropout, add_weight_decay and train_longer are tried together" in shown(
        replace(fix_runs.plan(), together=(group,))
    )


def test_where_nothing_is_trained_no_order_of_trainings_is_told(shown, fix_runs) -> None:
    plan = fix_runs.plan()
    text = shown(replace(plan, fixes=plan.fixes[:1], trials=(), reserve=(), together=()))

    assert "1. match_preprocessing" in text
    assert "What trains nothing comes first" not in text


def test_a_plan_without_fixes_has_no_table(make, fix_runs) -> None:
    plan = fix_runs.plan()
    late = replace(plan, fixes=plan.fixes[4:], trials=(), reserve=(), together=())
    parts = {section.id: section.blocks for section in plan_sections(make("base"), late)}

    assert "fixes" not in parts
    (left_out,) = parts["skipped"]
    assert isinstance(left_out, Listing)
    assert left_out.items[0].startswith("`train_longer`: the budget does not reach it")
