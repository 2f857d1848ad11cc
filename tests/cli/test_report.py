"""`gapdoctor report`: rendering what is stored."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from gapdoctor import diagnose, fix, load_case
from gapdoctor.cli import app
from gapdoctor.domain.trials import Outcome
from gapdoctor.probes.mirror import Mirror
from gapdoctor.storage import from_json


@pytest.fixture(scope="module")
def stored(tmp_path_factory, write_pair) -> Path:
    """The folder of a diagnosis."""
    folder: Path = write_pair(tmp_path_factory.mktemp("stored"))
    assert app.run(["diagnose", "-q", "-c", str(folder / "gapdoctor.toml")]) == 0
    return folder / "student.gapdoctor"


def report(*arguments: object) -> int:
    return app.run(["report", *map(str, arguments)])


@pytest.mark.parametrize(("format_", "file"), [("html", "report.html"), ("md", "report.md")])
def test_stdout_gets_what_diagnose_wrote(stored, capsys, format_, file):
    assert report(stored, "--format", format_) == 0
    assert capsys.readouterr().out.rstrip("\n") == (stored / file).read_text().rstrip("\n")


def test_json_comes_back_byte_by_byte(stored, tmp_path, capsys):
    assert report(stored / "diagnosis.json", "--format", "json", "-o", tmp_path / "out") == 0
    assert (tmp_path / "out/report.json").read_bytes() == (stored / "diagnosis.json").read_bytes()


def test_a_folder_gets_one_file_a_format_and_their_paths_are_told(stored, tmp_path, capsys):
    out = tmp_path / ("deep/" * 30)
    formats = [part for f in ("html", "md", "json", "junit") for part in ("--format", f)]
    assert report(stored, *formats, "-o", out) == 0
    names = ["report.html", "report.md", "report.json", "report.xml"]
    assert capsys.readouterr().out.splitlines() == [str(out / name) for name in names]
    assert sorted(f.name for f in out.iterdir()) == sorted(names)
    assert ET.parse(out / "report.xml").getroot().tag in {"testsuite", "testsuites"}
    assert report(stored, "--format", "junit", "-o", out) == 0, "it wrote this folder itself"


def test_stdout_takes_exactly_one_format(stored, capsys):
    assert report(stored, "--format", "md", "--format", "html") == 2
    told = "gapdoctor: stdout takes one format\ntry: one --format, or a folder with --out\n"
    assert capsys.readouterr() == ("", told)


def test_without_a_format_stdout_gets_text_and_a_folder_the_page(stored, tmp_path, capsys):
    for run in (stored, stored / "diagnosis.json"):
        assert report(run) == 0
        shown = capsys.readouterr()
        assert shown.out.rstrip("\n") == (stored / "report.md").read_text().rstrip("\n")
        assert shown.err == ""
    assert report(stored, "-o", tmp_path / "o") == 0
    assert capsys.readouterr().out == f"{tmp_path / 'o' / 'report.html'}\n"
    assert (tmp_path / "o/report.html").read_bytes() == (stored / "report.html").read_bytes()


def test_a_format_named_twice_is_written_once(stored, tmp_path, capsys):
    assert report(stored, "--format", "md", "--format", "md", "-o", tmp_path / "o") == 0
    assert capsys.readouterr().out == f"{tmp_path / 'o' / 'report.md'}\n"


def test_a_folder_of_somebody_else_is_refused(stored, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("keep me")
    assert report(stored, "--format", "md", "-o", tmp_path) == 2
    assert "holds notes.txt, which gapdoctor did not write" in capsys.readouterr().err
    assert [f.name for f in tmp_path.iterdir()] == ["notes.txt"]


def test_the_input_is_never_written_to(stored, tmp_path, capsys):
    mine = tmp_path / "report.json"
    mine.write_bytes((stored / "diagnosis.json").read_bytes())
    assert report(mine, "--format", "json", "-o", tmp_path) == 2
    assert f"{mine}: would be overwritten" in capsys.readouterr().err


def test_a_file_is_no_folder(stored, tmp_path, capsys):
    (tmp_path / "out").write_text("")
    assert report(stored, "--format", "md", "-o", tmp_path / "out") == 2
    assert "is a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "run.json"),
        (b"{}", "run.json"),
        (b'{"schema": "gapdoctor.diagnosis/9"}', "run.json"),
        (b"\xff\xfe\x00", "run.json: not a text file"),
        (b"[" * 100_000, "run.json"),
    ],
    ids=["empty", "without a schema", "of another version", "binary", "deep"],
)
def test_another_file_is_refused_in_two_lines(tmp_path, capsys, content, told):
    (tmp_path / "run.json").write_bytes(content)
    assert report(tmp_path / "run.json", "--format", "md") == 2
    shown = capsys.readouterr().err
    assert told in shown.splitlines()[0]
    assert shown.count("\n") == 2


def test_a_folder_without_a_diagnosis_names_the_one_below(stored, capsys):
    assert report(stored.parent, "--format", "md") == 2
    assert capsys.readouterr().err == (
        f"gapdoctor: {stored.parent}: holds no diagnosis.json\ntry: gapdoctor report {stored}\n"
    )


def test_nothing_there_is_told(tmp_path, capsys):
    assert report(tmp_path / "none", "--format", "md") == 2
    assert "none: no such file or folder" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="needs named pipes")
def test_a_pipe_is_refused_rather_than_waited_for(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    assert report(tmp_path / "pipe", "--format", "md") == 2
    assert "pipe: not a regular file" in capsys.readouterr().err


def test_what_was_stored_may_hold_anything(stored, tmp_path, capsys):
    """A number that is missing or a list that is a string is told, never a traceback."""
    record = json.loads((stored / "diagnosis.json").read_text())
    for key in record:
        broken = tmp_path / "broken.json"
        broken.write_text(json.dumps({**record, key: 17}))
        code = report(broken, "--format", "md")
        assert code in {0, 2}, f"{key}: {capsys.readouterr().err}"
    capsys.readouterr()


# -- a fix run -------------------------------------------------------------------------------------


@pytest.fixture
def fixed(tmp_path, write_pair, monkeypatch) -> Path:
    """The folder of a fix run that wrote a student."""
    folder: Path = write_pair(tmp_path / "pair")
    monkeypatch.chdir(folder)
    arguments = ["fix", "--apply", "--only", "scale_temperature", "-q"]
    assert (
        app.run([*arguments, *(x for f in ("html", "md", "junit") for x in ("--format", f))]) == 0
    )
    return Path("student.gapdoctor")


def test_a_fix_run_is_rendered_as_it_was_written(fixed, capsys):
    formats = {"html": "report.html", "md": "report.md", "junit": "report.xml", "json": "fix.json"}
    for run in (fixed, fixed / "fix.json"):
        for format_, file in formats.items():
            capsys.readouterr()
            assert report(run, "--format", format_) == 0
            assert capsys.readouterr().out.rstrip("\n") == (fixed / file).read_text().rstrip("\n")
    capsys.readouterr()
    assert report(fixed / "diagnosis.json", "--format", "md") == 0
    assert "Fix verified" not in capsys.readouterr().out.splitlines()[0]


def test_a_new_diagnosis_takes_the_place_of_a_fix_run(fixed, capsys):
    assert app.run(["diagnose", "-q", "--seed", "1"]) == 0
    capsys.readouterr()
    assert report(fixed, "--format", "md") == 0
    assert capsys.readouterr().out.rstrip("\n") == (fixed / "report.md").read_text().rstrip("\n")


def test_the_diagnosis_of_what_was_written_can_be_compared(fixed, capsys):
    (fixed / ".inputs.json").unlink()  # hidden files are often not handed on
    capsys.readouterr()
    assert report(fixed, "--format", "md") == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("Fix verified")
    assert app.run(["compare", str(fixed), str(fixed / "diagnosis.fixed.json")]) == 0
    assert "healed: loss imbalance" in " ".join(capsys.readouterr().out.split())
    assert app.run(["fix", "--apply", "--only", "reorder_classes", "-q"]) == 0
    assert not (fixed / "diagnosis.fixed.json").exists()


def test_a_damaged_fix_record_is_two_lines(fixed, capsys):
    (fixed / ".inputs.json").unlink()
    (fixed / "fix.json").write_text("{}")
    capsys.readouterr()
    assert report(fixed, "--format", "md") == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


# -- a fix run of live objects ---------------------------------------------------------------------


RENDERED = {"html": "report.html", "md": "report.md", "json": "fix.json"}


def fixed_live(planted, folder: Path, **options: int) -> Outcome:
    """Heal a pair whose pipelines differ, from Python."""
    case = planted.mismatched()
    found = diagnose(case, probes=(Mirror(),), progress=False, **options)
    return fix(case, found, only=["match_preprocessing"], folder=folder)


def test_a_fix_run_from_python_is_rendered_as_it_was_written(planted, tmp_path, capsys):
    outcome = fixed_live(planted, tmp_path / "run")
    assert outcome.chosen == "match_preprocessing"
    for format_, file in RENDERED.items():
        assert report(tmp_path / "run", "--format", format_) == 0
        written = (tmp_path / "run" / file).read_text()
        assert capsys.readouterr().out.rstrip("\n") == written.rstrip("\n")
    assert "Fix verified" in (tmp_path / "run/report.md").read_text().splitlines()[0]
    assert sorted(f.name for f in (tmp_path / "run/charts").iterdir())


def test_another_run_from_python_takes_its_place(planted, tmp_path, capsys):
    run = tmp_path / "run"
    fixed_live(planted, run)
    first = {f.name: f.read_bytes() for f in run.glob("*.json")}
    fixed_live(planted, run, seed=1)
    second = {f.name: f.read_bytes() for f in run.glob("*.json")}
    assert all(first[name] != second[name] for name in ("diagnosis.json", "plan.json", "fix.json"))
    assert json.loads(second["diagnosis.json"])["seed"] == 1
    assert report(run, "--format", "md") == 0
    assert "Fix verified" in capsys.readouterr().out.splitlines()[0]


def test_from_python_a_diagnosis_that_is_stored_already_is_left_alone(fixed, capsys):
    """Of the same pair; what is said of the fixes is new."""
    before = (fixed / "diagnosis.json").stat().st_mtime_ns
    stored = from_json((fixed / "diagnosis.json").read_text())
    outcome = fix(load_case("gapdoctor.toml"), stored, only=["reorder_classes"], folder=fixed)
    assert outcome.chosen is None
    assert (fixed / "diagnosis.json").stat().st_mtime_ns == before
    capsys.readouterr()
    assert report(fixed, "--format", "md") == 0
    shown = capsys.readouterr().out
    assert shown.rstrip("\n") == (fixed / "report.md").read_text().rstrip("\n")
    assert "Fix verified" not in shown
