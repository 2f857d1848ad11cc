"""`gapdoctor compare`: two stored diagnoses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gapdoctor.cli import app


@pytest.fixture(scope="module")
def stored(tmp_path_factory, write_pair) -> tuple[Path, Path]:
    """The folders of two diagnoses: of a student that is too unsure, and of a better one."""
    folders = []
    for scale in (0.1, 0.9):
        folder: Path = write_pair(tmp_path_factory.mktemp("stored"), scale)
        assert app.run(["diagnose", "-q", "-c", str(folder / "gapdoctor.toml")]) == 0
        folders.append(folder / "student.gapdoctor")
    return folders[0], folders[1]


def compare(*arguments: object) -> int:
    return app.run(["compare", *map(str, arguments)])


def test_a_page_tells_what_healed(stored, capsys):
    assert compare(*stored) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("✓ Better\n")
    assert "healed" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_json_alone_on_stdout(stored, capsys):
    assert compare(*stored, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "gapdoctor.comparison/1"
    assert found["trend"] == "better"
    excess = found["measured"][0]
    assert excess["id"] == "excess"
    record = json.loads((stored[0] / "diagnosis.json").read_text())
    assert excess["before"] == record["gap"]["excess"]


def test_a_folder_gets_one_file_a_format(stored, tmp_path, capsys):
    formats = [part for f in ("text", "html", "md", "json") for part in ("--format", f)]
    assert compare(*stored, *formats, "-o", tmp_path / "out") == 0
    names = [f"comparison.{ending}" for ending in ("txt", "html", "md", "json")]
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "out" / n) for n in names]
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == sorted(names)
    assert compare(*stored, "--format", "md", "-o", tmp_path / "out") == 0, "its own folder"


def test_stdout_takes_one_format(stored, capsys):
    assert compare(*stored, "--format", "md", "--json") == 2
    assert capsys.readouterr().err == (
        "gapdoctor: stdout takes one format\ntry: one --format, or a folder with --out\n"
    )


def test_other_classes_are_refused_in_two_lines(stored, tmp_path, capsys):
    record = json.loads((stored[1] / "diagnosis.json").read_text())
    record["data"]["classes"] = ["a", "b"]
    (tmp_path / "other.json").write_text(json.dumps(record))
    assert compare(stored[0], tmp_path / "other.json") == 2
    assert capsys.readouterr() == (
        "",
        f"gapdoctor: {tmp_path / 'other.json'} cannot be compared with {stored[0]}: "
        "3 classes before, 2 after\ntry: compare two diagnoses of one data set\n",
    )


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe"], ids=["empty", "no schema", "binary"])
def test_a_file_that_is_no_diagnosis_is_refused(stored, tmp_path, capsys, content):
    (tmp_path / "run.json").write_bytes(content)
    assert compare(stored[0], tmp_path / "run.json") == 2
    shown = capsys.readouterr().err
    assert "run.json" in shown.splitlines()[0]
    assert shown.count("\n") == 2


def test_nothing_there_is_told(stored, tmp_path, capsys):
    assert compare(tmp_path / "none", stored[0]) == 2
    assert "none: no such file or folder" in capsys.readouterr().err


def test_a_folder_of_somebody_else_is_refused(stored, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("keep me")
    assert compare(*stored, "--format", "md", "-o", tmp_path) == 2
    assert "holds notes.txt, which gapdoctor did not write" in capsys.readouterr().err
