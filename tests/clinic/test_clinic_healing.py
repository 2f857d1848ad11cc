"""The evaluation of `fix`: its cases, its scores, its files, one tiny case from end to end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gapdoctor.domain.recipe import Recipe
from gapdoctor.domain.trials import Plan, TrialSpec
from tests.clinic import evaluations, healing_results, healing_run, page, results
from tests.clinic.data import SOURCES
from tests.clinic.entries import Entry
from tests.clinic.every_fix import as_long
from tests.clinic.healing import Healed, healed_of, key_of_entry
from tests.clinic.healing_cases import (
    HealingCase,
    chosen_entries,
    heldout_rows,
    name_of,
    reference_spec,
)
from tests.clinic.healing_random import DRAWS, draws_of
from tests.clinic.healing_run import heal_part, spread
from tests.clinic.healing_score import AIMS, median_interval, score_healing, summary
from tests.clinic.models import usual
from tests.clinic.parts import CELLS
from tests.clinic.running import Choice
from tests.clinic.store import write_json

DIGITS = next(c for c in CELLS if c.name == "digits/plain_mlp")
USUAL = usual(DIGITS, 3)


@pytest.fixture(autouse=True)
def own_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep results and the log of a test apart from the committed ones."""
    monkeypatch.setattr(results, "KEPT", tmp_path / "results")
    monkeypatch.setattr(evaluations, "FILE", tmp_path / "evaluations.jsonl")
    return tmp_path


def entry(fault: str = "exported_order", severity: str = "severe", **fields: Any) -> Entry:
    return Entry(DIGITS.name, fault, severity, **{"spec": USUAL, "knob": 1, **fields})


def healed(fault: str = "rotate", cluster: str = "a", **fields: Any) -> Healed:
    known: dict[str, Any] = {"fixable": True, "damage": 0.5, "times": 2.0, "seconds": 60.0}
    name = f"{DIGITS.name}/{fault}/mild"
    return Healed(name, cluster, f"key of {name}", **{**known, **fields})


def wrote(change: float, half: float = 0.05, **fields: Any) -> dict[str, Any]:
    return {
        "chosen": "match_preprocessing", "change": change, "change_low": change - half,
        "change_high": change + half, "accuracy_change": 0.1, "accuracy_change_high": 0.2, **fields,
    }  # fmt: skip


# -- cases -------------------------------------------------------------------------------------


def test_one_case_a_fault_and_severity_without_shifts_and_healthy_pairs() -> None:
    entries = [
        entry(), entry(knob=2), entry(severity="mild"), entry("healthy", "usual"),
        entry("covariate_shift"), entry("class_priors"), entry("narrow+rotate", "double"),
    ]  # fmt: skip
    found = [(e.fault, e.severity, e.knob) for e in chosen_entries(entries)]
    assert found == [
        ("exported_order", "severe", 1),
        ("exported_order", "mild", 1),
        ("narrow+rotate", "double", 1),
    ]
    assert len(chosen_entries(entries, "exported_order")) == 2


@pytest.mark.parametrize("source", ["digits", "tables"])
def test_the_third_set_holds_no_row_that_a_case_is_given(source: str) -> None:
    given, third = heldout_rows(SOURCES[source])
    flat = [rows.raw.reshape(len(rows), -1) for rows in (given, third)]
    seen = {row.tobytes() for row in flat[0]}
    assert not any(row.tobytes() in seen for row in flat[1])
    pool = SOURCES[source].pool().raw
    seen = {row.tobytes() for row in pool.reshape(len(pool), -1)}
    assert not any(row.tobytes() in seen for row in flat[1])
    np.testing.assert_array_equal(given.raw, SOURCES[source].heldout().raw[: len(given)])
    shares = [np.bincount(rows.labels) / len(rows) for rows in (given, third)]
    assert np.abs(shares[0] - shares[1]).max() < 0.1


def test_the_reference_is_the_student_without_the_fault() -> None:
    assert reference_spec(entry()) == USUAL
    few = USUAL.changed({"epochs": 160}, rows=100)
    assert reference_spec(entry("few_rows", spec=few, training_knob=0.1)) == USUAL
    double = entry("few_rows+normalize", spec=few, training_knob=0.1)
    assert reference_spec(double) == USUAL


# -- random fixes ------------------------------------------------------------------------------


def test_draws_are_of_the_size_asked_for_and_the_same_each_time() -> None:
    names = ["a", "b", "c", "d", "e"]
    draws = draws_of(names, 2)
    assert len(draws) == DRAWS
    assert {len(drawn) for drawn in draws} == {2}
    assert len(set(draws)) > 3
    assert draws == draws_of(names, 2)
    assert draws_of(names, 9) == [frozenset(names)] * DRAWS


def test_random_fixes_train_as_long_as_those_of_the_plan() -> None:
    def trials(epochs: int) -> tuple[TrialSpec, ...]:
        recipe = Recipe(epochs=epochs)
        whole = TrialSpec("increase_capacity", 0, "scratch", Recipe(epochs=40), 40)
        return (
            TrialSpec("control", 0, "checkpoint", recipe, epochs),
            TrialSpec("train_longer", 0, "checkpoint", Recipe(epochs=2 * epochs), 2 * epochs),
            whole,
        )

    plan = Plan("", 0, "checkpoint", "", 9.0, Recipe(), (), (), trials(5))
    found = as_long(trials(20), plan)
    assert [spec.epochs for spec in found] == [5, 10, 40]
    assert [spec.recipe.epochs for spec in found] == [5, 10, 40]
    assert as_long(trials(20), replace(plan, trials=())) == list(trials(20))


def test_random_fixes_are_spread_over_the_cases() -> None:
    assert spread(3, 5) == {0, 1, 2}
    assert spread(10, 4) == {0, 2, 5, 7}
    assert spread(10, 0) == frozenset()


# -- scores ------------------------------------------------------------------------------------


def test_scores_are_those_computed_by_hand() -> None:
    half = ("add_dropout",) * 5 + ("control",) * 2 + ("",) * 3
    scores = score_healing([
        healed("rotate", "a", **wrote(-0.5), draws=half),            # all of it
        healed("flip", "b", **wrote(-0.4), draws=("",) * 10),        # 80 %
        healed("scale", "c", **wrote(-0.1, 0.2), times=7.0, augmented=True),  # 20 %, too dear
        healed("flip", "d", draws=("",) * 10, times=3.5),            # not healed, too dear
        healed("flip", "d", **wrote(-0.2, chosen="control")),        # by the control, 40 %
        healed("gamma", "e", fixable=False, damage=-0.1, times=float("nan")),
    ])  # fmt: skip
    assert (scores.cases, scores.fixable, scores.compared) == (6, 5, 3)
    assert (scores.healed.hits, scores.healed.cases, scores.healed.clusters) == (3, 5, 4)
    assert (scores.written.hits, scores.written.cases) == (4, 5)
    assert scores.written_by_chance == pytest.approx(0.7 / 3)
    # Wilson's interval of a share of 0.6 in 4: (p + z²/2n ± z·sqrt(p(1−p)/n + z²/4n²)) / (1 + z²/n)
    assert scores.healed.interval.low == pytest.approx(0.2046, abs=1e-4)
    assert scores.healed.interval.high == pytest.approx(0.8974, abs=1e-4)
    assert scores.by_chance.value == pytest.approx(0.5 / 3)
    assert scores.ahead.value == pytest.approx((0.5 + 1.0 + 0.0) / 3)
    assert scores.recovered.value == pytest.approx(0.4)  # of 100, 80, 40, 20 and 0 %
    assert scores.recovered_where_healed.value == pytest.approx(0.6)
    assert not scores.no_better.hits + scores.worse.hits
    assert (scores.within_cost.hits, scores.within_cost.cases) == (3, 5)
    assert scores.times == (3.5, 7.0)
    assert scores.minutes == pytest.approx(6.0)
    assert {n: (s.hits, s.cases) for n, s in scores.by_fault.items()} == {
        "rotate": (1, 1), "flip": (1, 3), "scale": (1, 1)
    }  # fmt: skip
    reached = {aim.label: aim.met(scores) for aim in AIMS}
    assert not reached["fixable faults with a verified fix"]
    assert not reached["ahead of as many fixes at random"], "too few cases"
    assert reached["made worse"]
    assert "MISSED" in summary(scores)


def test_what_got_worse_counts_as_such() -> None:
    by_chance = healed(**wrote(0.02))
    surely = healed(**wrote(0.2))
    less_right = healed(**wrote(-0.1, accuracy_change_high=-0.01))
    assert (by_chance.no_better, by_chance.worse) == (True, False)
    assert (surely.no_better, surely.worse) == (True, True)
    assert (less_right.no_better, less_right.worse) == (False, True)
    scores = score_healing([by_chance, surely, less_right])
    assert (scores.no_better.hits, scores.worse.hits) == (2, 2)


def test_nothing_gives_no_case() -> None:
    scores = score_healing([])
    assert "no case" in summary(scores)
    assert "MISSED" not in summary(scores)
    assert np.isnan(median_interval([]).value)


# -- files, page -------------------------------------------------------------------------------


def test_results_are_kept_by_cell_and_read_again(own_results: Path) -> None:
    found = [
        healed(
            "rotate", **wrote(-0.5, 0.25), draws=("control", ""), code="c", tried=("add_dropout",)
        ),
        healed("gamma", fixable=False, times=float("nan"), why_not="by chance", code="c"),
    ]
    healing_results.keep("tuning", [DIGITS], found, [entry()])
    (cell,) = healing_results.read_kept("tuning")
    assert (cell.cell, cell.code, cell.of) == (DIGITS.name, "c", 1)
    assert cell.healed[0] == found[0]
    assert np.isnan(cell.healed[1].times)
    assert cell.healed[1].why_not == "by chance"
    assert "NaN" not in healing_results.kept_file("tuning").read_text()


def test_the_page_lists_the_aims_before_anything_was_evaluated() -> None:
    text = page.page({"reporting": [], "tuning": []})
    assert "Not evaluated yet: the reporting and the tuning part." in text
    assert all(aim.label in text and aim.aim in text for aim in AIMS)


def test_the_page_tells_what_was_healed() -> None:
    healing_results.keep("tuning", [DIGITS], [healed(**wrote(-0.4), code="c"), healed("flip")], [])
    text = page.page_of_results()
    assert "Not evaluated yet: the reporting part." in text
    assert "| digits/plain_mlp/rotate/mild | 0.50 | – | match_preprocessing |" in text
    assert "| 80% |" in text
    assert "1/2 = 50.0%" in text


def test_a_look_at_the_reporting_part_is_written_down(
    own_results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healing_run, "healing_hash", lambda: "c0de")
    monkeypatch.setattr(
        healing_run, "healed_of", lambda e, _: replace(healed(**wrote(-0.4)), key=key_of_entry(e))
    )
    cell = next(c for c in CELLS if c.part == "reporting")
    mine = replace(entry(), cell=cell.name, spec=usual(cell, 503))
    write_json(
        f"planted/{cell.part}-{cell.source}-{cell.family}.json",
        {"exported_order": {"kept": [mine.to_json()], "dropped": []}},
    )
    heal_part(Choice("reporting", kind=cell.name, limit=1))
    (look,) = evaluations.evaluations()
    assert "`fix`" in look.what
    assert (look.pairs, look.of, look.code) == (1, 1, "c0de")
    assert not healing_results.read_kept("reporting"), "a part of a cell is no result of it"
    (line,) = json.loads(healing_results.working_file("reporting").read_text())
    assert line["key"] == key_of_entry(mine)
    assert "`fix`" in page.page_of_results()
    heal_part(Choice("reporting", kind=cell.name, limit=1), resume=True, random=0)
    assert len(evaluations.evaluations()) == 1, "nothing new was looked at"


# -- from end to end ---------------------------------------------------------------------------


def test_a_wrong_class_order_is_healed() -> None:
    spec = USUAL.changed({"epochs": 6, "augmented": False}, width=8)
    found = healed_of(entry(spec=spec), with_random=False)
    assert found.error is None
    assert found.fixable, found.why_not
    assert found.name == name_of(entry())
    assert found.chosen is not None
    assert "reorder_classes" in found.verified
    assert found.recovered > 0.9
    assert not found.no_better
    assert np.isfinite(found.times)


def test_a_case_holds_other_rows_than_it_is_measured_on() -> None:
    case = HealingCase(entry(spec=USUAL.changed({"epochs": 1}, width=4, rows=100)))
    given, third = case.given, case.third
    assert given.heldout is not None
    assert third.heldout is not None
    assert len(given.heldout[1]) == 447
    assert len(third.heldout[1]) == 250
    assert given.student_factory is not None
    assert given.recipe is not None
