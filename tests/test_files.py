"""Files appear whole or not at all, and a folder belongs to one process at a time."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gapdoctor import files
from gapdoctor.errors import OutputError


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_file_is_written_whole_into_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "a.bin"
    files.write_bytes(path, b"one")
    files.write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert names(path.parent) == ["a.bin"]


def test_text_is_utf8(tmp_path: Path) -> None:
    files.write_text(tmp_path / "a.txt", "α × β")
    assert (tmp_path / "a.txt").read_bytes() == "α × β".encode()


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_a_file_may_be_read_by_those_whom_the_umask_lets(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        files.write_bytes(tmp_path / "a", b"")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    path = tmp_path / "a.json"
    files.write_bytes(path, b"old")

    def full(_: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", full)
    kind = OutputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(kind, match="No space left" if kind is OutputError else None):
        files.write_bytes(path, b"new and longer")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.json"]


def test_where_no_file_can_be_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file.a: cannot write: "):
        files.write_bytes(tmp_path / "file" / "a", b"")
    with pytest.raises(OutputError, match="cannot write"):
        files.write_bytes(tmp_path, b"")  # a folder stands there


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5_000
    (tmp_path / "a").write_bytes(content)
    assert files.sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def owner(folder: Path) -> str:
    return (folder / ".lock").read_text()


def test_a_lock_is_held_and_given_back(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    with files.locked(folder):
        assert owner(folder) == str(os.getpid())
    assert names(folder) == []
    with pytest.raises(KeyError), files.locked(folder):
        raise KeyError
    assert names(folder) == []


def test_a_living_process_keeps_its_lock(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("1")  # init lives for ever, and is not ours
    with (
        pytest.raises(OutputError, match="process 1 is writing there"),
        files.locked(tmp_path),
    ):
        pass
    assert owner(tmp_path) == "1"


@pytest.mark.parametrize("left", ["", "rubbish", "9" * 30, "٣"])
def test_a_lock_that_names_nobody_is_taken(tmp_path: Path, left: str) -> None:
    (tmp_path / ".lock").write_text(left, encoding="utf-8")
    with files.locked(tmp_path):
        assert owner(tmp_path) == str(os.getpid())


def test_the_lock_of_a_dead_process_is_taken(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / ".lock").write_text(str(dead.pid))
    with files.locked(tmp_path):
        assert owner(tmp_path) == str(os.getpid())


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match="file: cannot write"),
        files.locked(tmp_path / "file"),
    ):
        pass
