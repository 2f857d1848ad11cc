"""Runs, what they leave on disk, and the page that is made of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.clinic import evaluations, page, results, running
from tests.clinic.building import steps
from tests.clinic.cases import Planted
from tests.clinic.entries import Dropped, Entry
from tests.clinic.models import usual
from tests.clinic.outcomes import Outcome, Said
from tests.clinic.parts import CELLS, Cell
from tests.clinic.results import CellResult
from tests.clinic.running import Choice, run_part
from tests.clinic.store import write_json
from tests.clinic.versions import clinic_hash, code_hash

ROOT = Path(__file__).resolve().parents[2]
DIGITS = next(c for c in CELLS if c.name == "digits/plain_mlp")
CODE = "0123456789ab"
SAID = Said("preprocessing_mismatch", 0.9, 0.51234567, "rotate(90)")


@pytest.fixture(autouse=True)
def own_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep results and the log of a test apart from the committed ones, and the code one code."""
    monkeypatch.setattr(running, "code_hash", lambda: CODE)
    monkeypatch.setattr(results, "KEPT", tmp_path / "results")
    monkeypatch.setattr(evaluations, "FILE", tmp_path / "evaluations.jsonl")
    return tmp_path


def said_of(cell: Cell = DIGITS, pair: str = "rotate/mild/ready", **fields: Any) -> Outcome:
    fault, severity, variant = pair.split("/", 2)
    known: dict[str, Any] = {
        "truth": ("preprocessing_mismatch",), "second": (), "also": (), "corrections": ("rotate",),
        "damage": 0.21, "excess": 0.25, "verdict": "generalization_gap", "causes": (SAID,),
        "cluster": "a", "code": "c0de", "seconds": 1.5,
    }  # fmt: skip
    from tests.clinic.data import SOURCES

    return Outcome(
        name=f"{cell.name}/{pair}", part=cell.part, kind=SOURCES[cell.source].kind,
        arch=cell.family, fault=fault, severity=severity, variant=variant, **{**known, **fields},
    )  # fmt: skip


def cell_result(cell: Cell, *outcomes: Outcome, code: str = "c0de") -> CellResult:
    said = tuple(replace(o, code=code) for o in outcomes)
    return CellResult(cell.name, code, "0.1.0", "2026-01-01T00:00:00+00:00", (), (), said)


# -- files -------------------------------------------------------------------------------------


def test_a_working_file_gives_back_what_was_written(tmp_path: Path) -> None:
    found = [said_of(key="k1"), said_of(verdict="error", causes=(), error="no rows")]
    results.write_working(tmp_path / "w.json", found)
    assert results.read_working(tmp_path / "w.json") == found
    assert results.read_working(tmp_path / "none.json") == []


def test_committed_results_are_compact_and_lose_nothing_that_is_scored() -> None:
    long = Said("preprocessing_mismatch", 0.97, 0.3, "match_statistics(" + "0.123, " * 40 + ")")
    found = [
        said_of(crashed=("shift: crashed",)),
        said_of(pair="healthy/usual again/few rows at hand", truth=(), corrections=(), causes=(),
                verdict="healthy"),
        said_of(pair="blur/mild/ready", causes=(long,), also=("overfitting",)),
        said_of(pair="flip/mild/full", verdict="error", causes=(), error="no rows", voided=True),
    ]  # fmt: skip
    results.keep("tuning", [DIGITS], found)
    (read,) = results.read_kept("tuning")
    assert read.cell == DIGITS.name
    assert read.code == "c0de"
    assert read.not_built == tuple(steps())
    assert [o.told for o in read.outcomes] == [o.told for o in found]
    plain = replace(found[0], causes=(replace(SAID, explained=0.5123),))
    assert read.outcomes[0] == plain
    assert read.outcomes[1] == found[1]
    assert read.outcomes[3] == found[3]
    assert len(results.kept_file("tuning").read_text()) < 400 * (len(found) + 1)


def test_other_cells_keep_their_results() -> None:
    other = next(c for c in CELLS if c.name == "digits/plain_cnn")
    results.keep("tuning", [other], [said_of(other)])
    results.keep("tuning", [DIGITS], [said_of(code="new")])
    assert [(c.cell, c.code) for c in results.read_kept("tuning")] == [
        ("digits/plain_cnn", "c0de"), ("digits/plain_mlp", "new"),
    ]  # fmt: skip
    results.keep("tuning", [DIGITS], [])
    assert [c.cell for c in results.read_kept("tuning")] == ["digits/plain_cnn"]


def test_a_part_is_whole_when_one_code_judged_all_its_cells() -> None:
    every = [cell_result(c, said_of(c)) for c in CELLS if c.part == "tuning"]
    assert results.is_whole("tuning", every)
    assert not results.is_whole("tuning", every[1:])
    assert not results.is_whole("tuning", [replace(every[0], code="old"), *every[1:]])
    assert not results.is_whole("tuning", [replace(every[0], not_built=("flip",)), *every[1:]])


def test_every_look_is_a_line_that_the_page_tells() -> None:
    right = [said_of(cluster=str(n)) for n in range(9)]
    evaluations.note("strokes", [*right, said_of(causes=(), cluster="9")], 12)
    evaluations.note(evaluations.WHOLE, right, 9)
    first, second = evaluations.evaluations()
    assert (first.what, first.code, first.pairs, first.of) == ("strokes", "c0de", 10, 12)
    assert first.shares["top1"].value == 0.9
    # Wilson's interval of 9 of 10 at 95 %: 0.5958 to 0.9821.
    interval = first.shares["top1"].interval
    assert (interval.low, interval.high) == pytest.approx((0.5958, 0.9821), abs=1e-4)
    assert second.what == "whole part"
    text = page.page({}, [first, second])
    assert "| strokes | c0de | 10 of 12 (stopped) | 9/10 = 90.0% [59.6%, 98.2%] |" in text
    assert "| whole part | c0de | 9 | 9/9 = 100.0% [70.1%, 100.0%] |" in text


# -- the page ----------------------------------------------------------------------------------


def test_the_page_tells_what_was_planted_missed_and_said() -> None:
    wrong = said_of(pair="flip/mild/ready", causes=(Said("overfitting", 0.6, 0.2, None),))
    healthy = said_of(pair="healthy/sgd/full", truth=(), corrections=(), causes=(),
                      verdict="healthy")  # fmt: skip
    cell = cell_result(DIGITS, said_of(), said_of(pair="rotate/mild/full"), wrong, healthy)
    gone = Dropped(DIGITS.name, "gamma", "severe", "no knob does this damage")
    text = page.page({"tuning": [replace(cell, dropped=(gone,))]}, why="Flips look alike.\n")
    assert "**The reporting part has not been evaluated.**" in text
    # One student, two of three cases: Wilson's interval of 2/3 of 1, by the formula.
    assert "| top-1 | ≥ 90 % | 2/3 = 66.7% [9.4%, 97.5%], **missed** |" in text
    assert "- tuning part: top-1, top-2 (of two faults: both), precision" in text
    assert "\n\nFlips look alike.\n" in text
    assert "| rotate | mild | 2 |" in text
    assert "| healthy | – | 1 |" in text
    assert "| digits/plain_mlp | gamma | severe | no knob does this damage |" in text
    assert (
        "| digits/plain_mlp/flip/mild/ready | 0.21 | 0.25 | preprocessing_mismatch, by rotate | "
        "generalization_gap: overfitting 0.60 (+0.20) |" in text
    )
    assert "| planted | healthy | overfitting | preprocessing mismatch |" in text
    assert "| flip |  | 1 |  |" in text
    assert "It has not been looked at." in text
    assert "| tuning | grey | digits | 10 | 1100 / 697 | plain_mlp | plain_cnn, plain_mlp |" in text


def test_the_committed_page_is_that_of_the_committed_results(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    committed = (ROOT / "docs" / "accuracy.md").read_text()
    assert committed == page.page_of_results(), "python -m tests.clinic page --out docs/accuracy.md"


@pytest.mark.parametrize("part", ["tuning", "reporting"])
def test_committed_results_stay_small(part: str) -> None:
    file = Path(results.__file__).with_name("results") / f"{part}.json"
    assert not file.exists() or file.stat().st_size <= 300_000


# -- runs --------------------------------------------------------------------------------------


def built() -> dict[str, dict[str, list[Any]]]:
    """A cell in which everything was tried and nothing planted."""
    return {name: {"kept": [], "dropped": []} for name in steps()}


def plant(*faults: tuple[str, str, Any]) -> None:
    spec = usual(DIGITS, 3).changed({"epochs": 2}, width=4, rows=200)
    done = built()
    for name, severity, knob in faults:
        entry = Entry(DIGITS.name, name, severity, spec, knob=knob)
        done[name]["kept"].append(entry.to_json())
    write_json(f"planted/tuning-{DIGITS.source}-{DIGITS.family}.json", done)


def test_a_run_goes_on_where_it_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    plant(("flip", "mild", "horizontal"))
    one = Choice("tuning", DIGITS.name)
    run_part(replace(one, limit=1))
    capsys.readouterr()
    assert not results.kept_file("tuning").exists()
    run_part(one, jobs=1, resume=True)
    assert "1 of 2 known from before" in capsys.readouterr().out
    (kept,) = results.read_kept("tuning")
    assert [o.variant for o in kept.outcomes] == ["pipelines", "ready"]
    assert kept.code == CODE
    assert kept.not_built == ()


@pytest.mark.slow
def test_two_processes_say_what_one_says_in_the_same_order(tmp_path: Path) -> None:
    plant(("flip", "mild", "horizontal"), ("rotate", "mild", 1))
    said = []
    for jobs in (1, 2):
        path = tmp_path / f"{jobs}.json"
        run_part(Choice("tuning", DIGITS.name), path, jobs)
        said.append([replace(o, seconds=0.0) for o in results.read_working(path)])
    assert len(said[0]) == 4
    assert said[0] == said[1]
    assert results.read_kept("tuning") == []  # a file of one's own leaves the page as it is


def test_what_other_code_said_is_not_taken_over(capsys: pytest.CaptureFixture[str]) -> None:
    plant(("flip", "mild", "horizontal"))
    pairs = Choice("tuning", DIGITS.name).pairs()
    others = [said_of(pair="flip/mild/ready", code="old", key=one.key) for one in pairs]
    path = results.working_file("tuning")
    results.write_working(path, others)
    same = [replace(one, code=CODE, truth=()) for one in others]
    results.write_working(path, [*others[:1], *same[1:]])
    run_part(Choice("tuning", DIGITS.name), resume=True)
    assert "1 of 2 known from before" in capsys.readouterr().out
    again = results.read_working(path)
    assert again[0].causes != (SAID,)
    assert again[1].causes == (SAID,)
    assert again[1].truth == ("preprocessing_mismatch",)  # judged by what counts as true now


def test_keys_tell_pairs_apart() -> None:
    plant(("flip", "mild", "horizontal"), ("flip", "mild", "vertical"), ("rotate", "mild", 1))
    pairs = Choice("tuning", DIGITS.name).pairs()
    assert len({p.key for p in pairs}) == len(pairs) == 6
    assert [p.key for p in Choice("tuning", DIGITS.name).pairs()] == [p.key for p in pairs]
    assert len(clinic_hash()) == len(code_hash()) == 12


def test_a_look_at_the_reporting_part_is_written_down_even_where_it_was_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(("flip", "mild", "horizontal"))
    chosen = Choice("tuning", DIGITS.name).pairs()
    monkeypatch.setattr(Choice, "pairs", lambda self: chosen)

    def stopped(pairs: Sequence[Planted], jobs: int) -> Iterator[Outcome]:
        yield said_of(pair="flip/mild/pipelines", key=pairs[0].key)
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "diagnose_all", stopped)
    with pytest.raises(KeyboardInterrupt):
        run_part(Choice("reporting", only="flip"))
    (look,) = evaluations.evaluations()
    assert (look.what, look.pairs, look.of) == ("all kinds, only flip", 1, 2)


def test_kinds_that_were_run_one_by_one_become_an_evaluation_of_the_whole_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for cell in (c for c in CELLS if c.part == "reporting"):
        write_json(f"planted/reporting-{cell.source}-{cell.family}.json", built())
    plant(("flip", "mild", "horizontal"))
    chosen = Choice("tuning", DIGITS.name).pairs()
    monkeypatch.setattr(Choice, "pairs", lambda self: chosen)
    for number, kind in enumerate(("strokes", "scenes", "sounds")):
        said = [said_of(c, cluster=c.name) for c in CELLS if c.source == kind]
        monkeypatch.setattr(running, "diagnose_all", lambda pairs, jobs, said=said: iter(said))
        run_part(Choice("reporting", kind))
        assert len(evaluations.evaluations()) == number + 1 + (kind == "sounds")
    looks = evaluations.evaluations()
    assert [one.what for one in looks] == [
        "strokes", "scenes", "sounds", "whole part, its kinds run one by one",
    ]  # fmt: skip
    assert looks[-1].shares["top1"].cases == 6


def test_nothing_planted_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    run_part(Choice("tuning", "digits"))
    assert "python -m tests.clinic build --part tuning --kind digits" in capsys.readouterr().out
    assert json.dumps(results.read_kept("tuning")) == "[]"
