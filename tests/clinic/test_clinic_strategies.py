"""Every strategy tried: attempts, the rounds they are trained in, files, record and page."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import gapdoctor
from gapdoctor.domain.trials import CONTROL
from tests.clinic import (
    evaluations,
    healing_results,
    page,
    record,
    results,
    strategies_page,
    strategies_results,
    strategies_run,
)
from tests.clinic.attempts import Attempt, attempt_from, compact
from tests.clinic.committing import FOLDER
from tests.clinic.entries import Entry
from tests.clinic.every_fix import every_fix
from tests.clinic.fixable import SETTINGS
from tests.clinic.healing import Healed
from tests.clinic.healing_cases import HealingCase, name_of
from tests.clinic.models import usual
from tests.clinic.parts import CELLS
from tests.clinic.record import Tried
from tests.clinic.running import Choice
from tests.clinic.store import write_json
from tests.clinic.strategies import Strategies, strategies_key, strategies_of

COMMITTED = results.KEPT
DIGITS = next(c for c in CELLS if c.name == "digits/plain_mlp")
USUAL = usual(DIGITS, 3)
HELPED = Attempt(
    "add_dropout", "overfitting", 0.8, 0.4, 0.25, False, 3, -0.1, -0.15, -0.05, 0.02
)  # fmt: skip
HARMED = replace(HELPED, seeds=1, difference=0.3, low=0.2, high=0.4, accuracy_difference=-0.1)
OPEN = replace(HELPED, difference=-0.04, low=-0.1, high=0.02, expected_share=0.35)
UNASKED = Attempt("increase_capacity", seeds=3, difference=0.5, low=0.4, high=0.6)
FREE = Attempt("scale_temperature", "optimization", 0.6, 0.2, 0.5, free=True, reason="no gain")
FAILED = Attempt("add_dropout", "overfitting", 0.8, 0.4, 0.25, error="out of memory")


@pytest.fixture(autouse=True)
def own_results(own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep results and the log of a test apart from the committed ones."""
    monkeypatch.setattr(results, "KEPT", tmp_path / "results")
    monkeypatch.setattr(evaluations, "FILE", tmp_path / "evaluations.jsonl")
    shutil.copytree(FOLDER / "networks", tmp_path / "networks")  # teachers need no training
    return tmp_path


def entry(fault: str = "few_rows", severity: str = "mild", **fields: Any) -> Entry:
    return Entry(DIGITS.name, fault, severity, **{"spec": USUAL, "training_knob": 0.5, **fields})


def case(fault: str, *attempts: Attempt, **fields: Any) -> Strategies:
    name = f"{DIGITS.name}/{fault}/mild"
    known: dict[str, Any] = {"fixable": True, "damage": 0.5, "code": "c0de", "seconds": 9.0}
    return Strategies(name, "a", f"key of {name}", **{**known, **fields}, attempts=attempts)


# -- attempts ----------------------------------------------------------------------------------


def test_the_whole_interval_decides() -> None:
    assert [a.verdict for a in (HELPED, HARMED, OPEN)] == ["helped", "harmed", "open"]
    assert [a.verdict for a in (FREE, FAILED)] == ["open", "open"]
    assert HELPED.treats_found
    assert not UNASKED.treats_found


def test_what_came_back_is_a_share_of_the_cause() -> None:
    assert HELPED.given_back == pytest.approx(0.25)
    assert replace(HARMED, difference=9.0).given_back == -1.0
    assert replace(HELPED, difference=-9.0).given_back == 1.0
    assert FREE.given_back == 0.0


def test_an_attempt_is_read_as_it_was_written() -> None:
    for one in (HELPED, UNASKED, FREE, FAILED):
        assert attempt_from(json.loads(json.dumps(compact(one)))) == one
    assert "error" not in compact(HELPED)


# -- rounds ------------------------------------------------------------------------------------


def test_more_seeds_are_for_what_half_a_speaks_for() -> None:
    spec = USUAL.changed({"epochs": 3, "augmented": False}, width=8, rows=200)
    given = HealingCase(entry("few_rows", spec=spec)).given
    diagnosis = gapdoctor.diagnose(given, progress=False)
    names = ("add_dropout", "train_longer", "lower_learning_rate", "scale_temperature")
    with tempfile.TemporaryDirectory() as folder:
        found = every_fix(given, diagnosis, None, SETTINGS, Path(folder), only=names, mended=True)
    arms = {fix: arm for (fix, _), arm in found.arms.items()}
    assert {start for _, start in found.arms} == {"scratch"}
    assert arms[CONTROL].seeds == (0, 1, 2)
    on_first = {c.plan.id: c.fix.only([0]).loss_on_a < c.control.only([0]).loss_on_a
                for c in found.comparisons}  # fmt: skip
    assert on_first == {fix: arms[fix].seeds == (0, 1, 2) for fix in on_first}
    assert set(on_first.values()) == {True, False}
    attempts = {a.fix: a for a in found.attempts()}
    assert {fix: a.seeds for fix, a in attempts.items() if not a.free} == {
        fix: len(arms[fix].seeds) for fix in on_first
    }
    assert attempts["train_longer"].verdict == "helped"
    assert attempts["lower_learning_rate"].verdict == "harmed"
    assert all(a.low < a.difference < a.high for a in attempts.values() if a.difference)


def test_a_case_that_raises_is_told_of() -> None:
    broken = entry("gamma", spec=replace(USUAL, teacher="nobody"))
    found = strategies_of(broken)
    assert (found.name, found.key) == (name_of(broken), strategies_key(broken))
    assert "nobody" in found.error
    assert not found.attempts


# -- the command -------------------------------------------------------------------------------


def plant(*entries: Entry) -> None:
    faults: dict[str, dict[str, list[Any]]] = {}
    for one in entries:
        step = "doubles" if "+" in one.fault else one.fault
        faults.setdefault(step, {"kept": [], "dropped": []})["kept"].append(one.to_json())
    write_json(f"planted/{DIGITS.part}-{DIGITS.source}-{DIGITS.family}.json", faults)


def test_faults_of_training_alone_can_be_asked_for() -> None:
    plant(entry(), entry("exported_order"), entry("few_rows+normalize", "double"))
    choice = Choice("tuning")
    assert len(strategies_run.entries_of(choice)) == 3
    assert [e.fault for e in strategies_run.entries_of(choice, trained_only=True)] == ["few_rows"]


def test_what_is_finished_is_kept_and_gone_on_with(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(entry(), entry("narrow"), entry("lr_too_low"))
    monkeypatch.setattr(strategies_run, "healing_hash", lambda: "c0de")
    asked: list[str] = []

    def tried(one: Entry, treating: bool) -> Strategies:
        asked.append(one.fault)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return replace(case(one.fault, HELPED), key=strategies_key(one), treating=treating)

    monkeypatch.setattr(strategies_run, "strategies_of", tried)
    with pytest.raises(KeyboardInterrupt):
        strategies_run.try_part(Choice("tuning"))
    (cell,) = strategies_results.read_kept("tuning")
    assert [c.name.split("/")[2] for c in cell.cases] == ["few_rows", "narrow"]
    assert (cell.of, cell.code) == (3, "c0de")
    strategies_run.try_part(Choice("tuning"), resume=True)
    assert asked[3:] == ["lr_too_low"]
    (cell,) = strategies_results.read_kept("tuning")
    assert len(cell.cases) == 3
    assert "2 of 3 known from before" in capsys.readouterr().out
    strategies_run.try_part(Choice("tuning", name="narrow"))
    assert asked[4:] == ["narrow"]
    assert len(strategies_results.read_kept("tuning")[0].cases) == 3, "a part of a cell is no cell"


def test_results_are_read_as_they_were_kept() -> None:
    found = [case("few_rows", HELPED, UNASKED, causes=("overfitting",)), case("narrow", error="no")]
    strategies_results.keep("tuning", found, {DIGITS.name: 7})
    (cell,) = strategies_results.read_kept("tuning")
    assert cell.cases == tuple(found)
    strategies_results.write_working("tuning", found)
    assert strategies_results.read_working("tuning") == found


def test_what_heal_tried_is_kept_with_it() -> None:
    name = f"{DIGITS.name}/few_rows/mild"
    healed = Healed(name, "a", "k", True, 0.5, times=2.0, code="c", attempts=(HELPED, FREE))
    healing_results.keep("tuning", [DIGITS], [healed], [])
    assert healing_results.read_kept("tuning")[0].healed == (healed,)


# -- record ------------------------------------------------------------------------------------


def test_counts_are_those_computed_by_hand() -> None:
    assert json.loads(record.record_text()) == {
        part: {"code": "", "faults": 0, "counts": []} for part in ("tuning", "reporting")
    }
    unmended = replace(HARMED, fix="train_longer", unmended=True)
    found = [
        case("few_rows", HELPED, UNASKED, FAILED, unmended),
        case("narrow", HARMED), case("lr_too_low", OPEN, FREE),
    ]  # fmt: skip
    strategies_results.keep("tuning", found, {DIGITS.name: 3})
    told = json.loads(record.record_text())
    assert told["tuning"] == {"code": "c0de", "faults": 3, "counts": [
        {"fix": "add_dropout", "cause": "overfitting", "faults": 3, "helped": 1, "harmed": 1,
         "expected": 0.2833, "share": round((0.25 - 0.75 + 0.1) / 3, 4),
         "gained": round(0.35 / 3, 4), "difference": -0.04},
        {"fix": "scale_temperature", "cause": "optimization", "faults": 1, "helped": 0,
         "harmed": 0, "expected": 0.5, "share": 0.0, "gained": 0.0,
         "difference": 0.0},
    ]}  # fmt: skip
    assert told["reporting"]["counts"] == []
    text = record.record_text()
    assert [line.count('"fix"') for line in text.splitlines()].count(1) == 2, "a count a line"


def test_where_the_control_is_the_cure_no_training_counts() -> None:
    found = [case("shuffled_targets", HARMED, FREE)]
    strategies_results.keep("tuning", found, {DIGITS.name: 1})
    told = json.loads(record.record_text())["tuning"]
    assert [one["fix"] for one in told["counts"]] == ["scale_temperature"]
    assert (
        "trainings: 1, on faults of the training code (shuffled_targets)" in page.page_of_results()
    )


def test_heal_adds_the_free_fixes_of_other_faults() -> None:
    def healed(fault: str) -> Healed:
        name = f"{DIGITS.name}/{fault}/mild"
        return Healed(name, "a", name, True, 0.5, times=2.0, code="c", attempts=(HELPED, FREE))

    healing_results.keep("tuning", [DIGITS], [healed("few_rows"), healed("gamma")], [])
    assert len(record.tried_in("tuning")) == 4
    strategies_results.keep("tuning", [case("few_rows", HELPED)], {DIGITS.name: 1})
    found = [(t.fault.split("/")[2], t.attempt.fix) for t in record.tried_in("tuning")]
    assert found == [("few_rows", "add_dropout"), ("gamma", "scale_temperature")]


def test_the_committed_record_is_that_of_the_committed_results(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(results, "KEPT", COMMITTED)
    written = record.FILE.read_text(encoding="utf-8")
    assert written == record.record_text(), "python -m tests.clinic record"


# -- page --------------------------------------------------------------------------------------


def test_the_page_shows_nothing_where_nothing_was_tried() -> None:
    assert strategies_page.section({"reporting": [], "tuning": []}) == []
    assert "Every strategy" not in page.page_of_results()


def test_the_page_lists_what_lost() -> None:
    unmended = replace(HARMED, fix="train_longer", unmended=True)
    found = [case("few_rows", HELPED, UNASKED, unmended), case("narrow", HARMED, FAILED)]
    strategies_results.keep("tuning", found, {DIGITS.name: 2})
    text = page.page_of_results()
    assert "## Every strategy, tried" in text
    assert "3 attempts on 2 faults; code c0de." in text
    assert "| add_dropout | 2 | 1 | 1 | 0 | +0.100 | +0.300 |" in text
    assert "| increase_capacity | 1 | 0 | 1 | 0 | +0.500 | +0.500 |" in text
    lost = text[text.index("The 2 attempts that lost") :]
    assert lost.index("increase_capacity") < lost.index("add_dropout"), "the worst first"
    assert ("| digits/plain_mlp/narrow/mild | add_dropout | overfitting | 1 "
            "| +0.300 [+0.200, +0.400] | -10.0 points |") in text  # fmt: skip
    assert "Not counted, trainings: 1, where a free fix was verified" in text
    assert "out of memory" in text


def test_a_long_list_is_folded_away() -> None:
    found = [Tried(f"data/student/few_rows/{n}", HARMED, "c") for n in range(strategies_page.LONG)]
    text = "\n".join(strategies_page.section({"tuning": found}))
    assert "<summary>The 20 attempts that lost</summary>\n\n| fault" in text
    assert "<details>" not in "\n".join(strategies_page.section({"tuning": found[:3]}))
