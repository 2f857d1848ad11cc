"""Records to and from disk, and the folder of a run."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.domain.findings import Interval, Table
from gapdoctor.domain.recipe import Optimizer, Recipe, RecipeRecord
from gapdoctor.errors import GapDoctorError, OutputError
from gapdoctor.storage import from_json, prepare_folder, to_json, write_run
from gapdoctor.storage.codec import plain

EXPECTED = Path(__file__).parent / "report" / "expected"


@pytest.fixture
def text() -> str:
    return (EXPECTED / "base.json").read_text(encoding="utf-8")


@pytest.fixture
def record(text: str) -> Diagnosis:
    return from_json(text)


# -- diagnosis.json ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["base", "hostile", "not_finite"])
def test_reading_and_writing_again_gives_the_same_text(name: str) -> None:
    stored = (EXPECTED / f"{name}.json").read_text(encoding="utf-8")

    assert to_json(from_json(stored)) == stored


def test_a_record_survives(record: Diagnosis) -> None:
    assert from_json(to_json(record)) == record
    assert record.causes[2].alternative_to is Cause.OVERFITTING
    assert record.recipe.recipe.optimizer is Optimizer.SGD
    assert record.recipe.recipe.augment == ("flip", "crop")
    assert record.recipe.source("lr") == "checkpoint"
    assert record.recipe.source("dropout") == "unknown"
    assert record.tables["history"].columns[0] == "epoch"


def test_numbers_have_six_digits_and_nothing_is_not_finite(record: Diagnosis) -> None:
    unexplained = Interval(0.123456789, math.nan, -math.inf)
    content = json.loads(to_json(replace(record, unexplained=unexplained)))

    assert content["unexplained"] == {"value": 0.123457, "low": None, "high": None}


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (0.1234567, 0.123457),
        (1234567.0, 1234570.0),
        (11173962, 11173962),
        (-0.0, 0.0),
        (1e-300, 1e-300),
        (True, True),
        (None, None),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.float64(math.nan), None),
        (Optimizer.ADAM, "adam"),
        ((1, (2.0, "a")), [1, [2.0, "a"]]),
        ({"a": math.inf}, {"a": None}),
        (Path("a/b"), "a/b"),
    ],
)
def test_plain_values(value: object, stored: object) -> None:
    found = plain(value)

    assert found == stored
    assert type(found) is type(stored)


@given(st.floats())
def test_rounding_twice_is_rounding_once(value: float) -> None:
    once = plain(value)

    assert plain(once) == once


def test_the_text_is_ascii_and_ends_with_a_newline(record: Diagnosis) -> None:
    odd = replace(record, command="diagnose 猫\u202e\udc80.pth")
    written = to_json(odd)

    assert written.isascii()
    assert written.endswith("}\n")
    assert from_json(written).command == odd.command


def test_tables_keep_their_columns_and_their_order(record: Diagnosis) -> None:
    tables = {"b": Table(("y", "x"), ((1, "a"), (None, "b"))), "a": Table(("z",), ())}
    written = to_json(replace(record, tables=tables))
    read = from_json(written).tables

    assert list(read) == ["a", "b"]
    assert read["b"] == tables["b"]
    assert read["a"] == Table((), ())


def test_an_unknown_recipe_is_written_as_such(record: Diagnosis) -> None:
    written = to_json(replace(record, recipe=RecipeRecord(Recipe())))

    assert json.loads(written)["recipe"]["lr"] == {"value": None, "source": "unknown"}
    assert from_json(written).recipe == RecipeRecord(Recipe(), {})


def test_keys_of_a_later_version_are_passed_over(text: str, record: Diagnosis) -> None:
    content = json.loads(text)
    content["new"] = 1
    content["gap"]["new"] = {}
    content["recipe"]["new"] = {"value": 1, "source": "config"}

    assert from_json(json.dumps(content)) == record


def changed(text: str, *path: Any, to: object) -> str:
    content = json.loads(text)
    place = content
    for key in path[:-1]:
        place = place[key]
    if to is KeyError:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return json.dumps(content)


@pytest.mark.parametrize(
    ("path", "to", "message"),
    [
        (("gap", "limit"), "much", "gap.limit: expected a number, found 'much'"),
        (("gap", "limit"), True, "gap.limit: expected a number, found True"),
        (("gap", "excess"), 0.3, "gap.excess: expected an object, found 0.3"),
        (("gap", "excess", "low"), KeyError, "gap.excess.low: missing"),
        (("pair", "teacher"), KeyError, "pair.teacher: missing"),
        (("pair",), KeyError, "pair: missing"),
        (("seed",), 1.5, "seed: expected a whole number, found 1.5"),
        (("data", "classes"), "cat", "data.classes: expected a list, found 'cat'"),
        (("data", "classes", 1), 3, r"data.classes\[1\]: expected text, found 3"),
        (("verdict",), "healthi", "verdict: 'healthi' is not known"),
        (("causes", 0, "id"), "overfiting", r"causes\[0\].id: 'overfiting' is not known"),
        (("causes", 0, "severity"), None, r"causes\[0\].severity: null is not known"),
        (("warnings", 0, "voids"), 1, r"warnings\[0\].voids: expected true or false, found 1"),
        (("recipe", "lr"), 0.1, "recipe.lr: expected an object, found 0.1"),
        (("recipe", "lr", "source"), "guess", "recipe.lr.source: 'guess' is not known"),
        (("recipe", "optimizer", "value"), "sdg", "recipe.optimizer.value: 'sdg' is not known"),
        (("recipe", "betas", "value"), [0.9], "recipe.betas.value: expected a list of 2, found a"),
        (("tables", "history"), {}, "tables.history: expected a list, found an object"),
        (("tables", "history", 1), {"a": 1}, r"tables.history\[1\]: expected the keys epoch"),
        (("schema",), "gapdoctor.diagnosis/9", "schema is 'gapdoctor.diagnosis/9', not"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(text: str, path, to, message: str) -> None:
    with pytest.raises(GapDoctorError, match=message) as caught:
        from_json(changed(text, *path, to=to), "run/diagnosis.json")

    assert caught.value.message.startswith("run/diagnosis.json: ")
    assert caught.value.hint
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: not JSON"),
        ('{"schema":\n oops}', "line 2: not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "the file: expected an object, found a list of 0"),
        ("{}", "schema is None, not 'gapdoctor.diagnosis/1'"),
        ('{"schema": ' + "9" * 5000 + "}", "not JSON"),
    ],
)
def test_what_is_no_diagnosis_is_told_in_one_line(content: str, message: str) -> None:
    with pytest.raises(GapDoctorError, match=message):
        from_json(content)


def test_the_nearest_name_is_the_hint(text: str) -> None:
    with pytest.raises(GapDoctorError) as caught:
        from_json(changed(text, "causes", 0, "id", to="overfiting"))

    assert caught.value.hint == "did you mean 'overfitting'?"


# -- the folder --------------------------------------------------------------------------------


FILES = {
    "diagnosis.json": b'{"schema": "gapdoctor.diagnosis/1"}',
    "report.html": b'<meta name="generator" content="gapdoctor 0.1.0">',
    "report.md": b"# gapdoctor: healthy",
    "charts/waterfall.png": b"png",
}


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def test_a_run_is_written_whole(tmp_path: Path) -> None:
    write_run(tmp_path / "out", FILES)

    assert tree(tmp_path / "out") == FILES


def test_what_an_earlier_run_wrote_and_this_one_does_not_is_removed(tmp_path: Path) -> None:
    write_run(tmp_path, FILES | {"charts/history.png": b"old", "report.xml": b"old"})
    (tmp_path / "plan.json").write_text("{}")
    (tmp_path / "charts" / "mine.svg").write_text("kept")
    now = {"diagnosis.json": b"{}", "report.md": b"new", "charts/split.png": b"new"}
    write_run(tmp_path, now)

    assert tree(tmp_path) == now | {"plan.json": b"{}", "charts/mine.svg": b"kept"}


def test_the_folder_of_charts_goes_with_the_last_chart(tmp_path: Path) -> None:
    write_run(tmp_path, FILES)
    write_run(tmp_path, {"diagnosis.json": b"{}"})

    assert [p.name for p in tmp_path.iterdir()] == ["diagnosis.json"]


def test_the_record_is_written_last(tmp_path: Path) -> None:
    """A report that cannot be written leaves the old record where it was."""
    (tmp_path / "report.md").mkdir()
    (tmp_path / "diagnosis.json").write_bytes(b"old")

    with pytest.raises(OutputError, match=r"report\.md: cannot write"):
        write_run(tmp_path, FILES)

    assert (tmp_path / "diagnosis.json").read_bytes() == b"old"


@pytest.mark.parametrize("name", ["../x", "/x", "charts/../../x"])
def test_a_name_that_leads_out_is_a_bug(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="leads out of the folder"):
        write_run(tmp_path, {name: b""})


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    prepare_folder(tmp_path / "a" / "b", [])

    assert (tmp_path / "a" / "b").is_dir()


def test_an_empty_folder_and_a_lock_are_usable(tmp_path: Path) -> None:
    prepare_folder(tmp_path, [])
    (tmp_path / ".lock").write_text("1")
    (tmp_path / ".report.md.ab12.tmp").write_text("")

    prepare_folder(tmp_path, [])


def test_a_folder_that_gapdoctor_wrote_is_usable(tmp_path: Path) -> None:
    write_run(tmp_path, FILES)
    (tmp_path / "trials").mkdir()

    prepare_folder(tmp_path, [])


@pytest.mark.parametrize("kept", [["report.html"], ["report.html", "report.md"], ["report.md"]])
def test_an_interrupted_first_run_is_usable(tmp_path: Path, kept: list[str]) -> None:
    write_run(tmp_path, {name: FILES[name] for name in [*kept, "charts/waterfall.png"]})

    prepare_folder(tmp_path, [])


@pytest.mark.parametrize(
    "files",
    [
        {"notes.txt": b""},
        {"charts/mine.png": b""},
        {"report.html": b"<h1>Quarterly report</h1>"},
        {"report.html": FILES["report.html"], "notes.txt": b""},
        {"diagnosis.json": b"not json"},
        {"diagnosis.json": b'{"schema": "somebody/1"}'},
        {"diagnosis.json": b"[]"},
    ],
)
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    with pytest.raises(OutputError, match="not empty, and not written by gapdoctor") as caught:
        prepare_folder(tmp_path, [])
    assert caught.value.exit_code == 2
    assert caught.value.hint == "name another folder with --out"
    assert tree(tmp_path) == files


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_text("x")

    with pytest.raises(OutputError, match="is a file, not a folder"):
        prepare_folder(file, [])


def test_a_folder_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(OutputError, match="Not a directory"):
        prepare_folder(tmp_path / "file" / "out", [])


def test_a_folder_that_holds_an_input_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path, FILES)
    inside = tmp_path / "student.fixed.pth"
    inside.write_bytes(b"")

    with pytest.raises(OutputError, match=r"holds the input .*student\.fixed\.pth"):
        prepare_folder(tmp_path, [Path("elsewhere.pth"), inside])


def test_a_link_to_the_folder_of_an_input_is_seen_through(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "checkpoint.pth").write_bytes(b"")
    link = tmp_path / "link"
    link.symlink_to(real)

    with pytest.raises(OutputError, match="inputs are never written to"):
        prepare_folder(link, [real / "checkpoint.pth"])


def test_a_folder_beside_its_input_is_usable(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pth"
    checkpoint.write_bytes(b"")

    prepare_folder(tmp_path / "checkpoint.gapdoctor", [checkpoint])
