"""`demo.prepare`: the bundled pair copied into a folder of the user's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gapdoctor.demo import prepare
from gapdoctor.errors import OutputError

FILES = {
    "checkpoint.pth",
    "gapdoctor.toml",
    "history.csv",
    "make_pair.py",
    "run.py",
    "teacher.pth",
}


def _state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {f.name: (f.read_bytes(), f.stat().st_mtime_ns) for f in folder.iterdir() if f.is_file()}


def test_a_missing_folder_is_made_with_the_files_of_the_pair_alone(tmp_path):
    checkpoint = prepare(tmp_path / "new" / "demo")
    assert checkpoint == tmp_path / "new" / "demo" / "checkpoint.pth"
    assert {f.name for f in checkpoint.parent.iterdir()} == FILES


def test_an_empty_folder_is_taken(tmp_path):
    prepare(tmp_path)
    assert {f.name for f in tmp_path.iterdir()} == FILES


def test_a_folder_that_it_made_is_left_as_it_is(tmp_path):
    prepare(tmp_path)
    (tmp_path / "checkpoint.gapdoctor").mkdir()
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    before = _state(tmp_path)
    assert prepare(tmp_path) == tmp_path / "checkpoint.pth"
    assert _state(tmp_path) == before


def test_a_copy_that_was_cut_short_is_completed(tmp_path):
    prepare(tmp_path)
    whole = _state(tmp_path)
    for name in FILES - {"gapdoctor.toml"}:
        (tmp_path / name).unlink()
    prepare(tmp_path)
    assert {n: c for n, (c, _) in _state(tmp_path).items()} == {n: c for n, (c, _) in whole.items()}


@pytest.mark.parametrize("name", ["run.py", "gapdoctor.toml", "checkpoint.pth"])
def test_what_was_edited_is_never_overwritten(tmp_path, name):
    prepare(tmp_path)
    path = tmp_path / name
    edited = path.read_bytes() + b"\n# edited\n"
    path.write_bytes(edited)
    with pytest.raises(OutputError, match="differs from the bundled one") as caught:
        prepare(tmp_path)
    assert str(path) in caught.value.message
    assert "--out" in caught.value.hint
    assert path.read_bytes() == edited


def test_somebody_elses_folder_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="is not empty and holds no bundled pair") as caught:
        prepare(tmp_path)
    assert "--out" in caught.value.hint
    assert [f.name for f in tmp_path.iterdir()] == ["notes.txt"]


def test_another_pairs_folder_is_refused(tmp_path):
    (tmp_path / "gapdoctor.toml").write_text("[student]\n", encoding="utf-8")
    with pytest.raises(OutputError, match="holds no bundled pair"):
        prepare(tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == ["gapdoctor.toml"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    path = tmp_path / "demo"
    path.write_text("a file", encoding="utf-8")
    with pytest.raises(OutputError, match="is not a folder"):
        prepare(path)


def test_a_folder_in_place_of_a_file_is_refused(tmp_path):
    prepare(tmp_path)
    (tmp_path / "history.csv").unlink()
    (tmp_path / "history.csv").mkdir()
    with pytest.raises(OutputError, match=r"history\.csv: cannot be read"):
        prepare(tmp_path)


def test_preparing_imports_nothing_heavy(tmp_path):
    heavy = "{'torch', 'torchvision', 'numpy', 'pandas', 'scipy', 'sklearn', 'matplotlib'}"
    code = (
        "import sys, pathlib; from gapdoctor.demo import prepare; "
        f"prepare(pathlib.Path(sys.argv[1])); print(sorted({heavy} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
