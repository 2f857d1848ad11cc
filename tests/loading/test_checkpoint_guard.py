"""What is no checkpoint, or no longer one, is said in one line."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor.errors import CheckpointError
from gapdoctor.loading.checkpoint import read_checkpoint


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "student.pth"
    torch.save(nn.Linear(8, 4).state_dict(), path)
    return path


def refused(path: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert "\n" not in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint
    return caught.value


def test_a_sound_file_is_read_and_hashed(good: Path) -> None:
    import hashlib

    found = read_checkpoint(good)
    assert found.sha256 == hashlib.sha256(good.read_bytes()).hexdigest()
    assert found.size == good.stat().st_size
    assert found.entries[0].parameters == 8 * 4 + 4


def test_a_missing_file_names_the_nearest(good: Path) -> None:
    error = refused(good.with_name("studnet.pth"))
    assert "no such file" in error.message
    assert str(good) in error.hint


def test_a_missing_folder(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "nowhere" / "x.pth").message


def test_a_folder_names_a_file_in_it(good: Path) -> None:
    error = refused(good.parent)
    assert "a folder" in error.message
    assert str(good) in error.hint


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "pipe.pth"
    os.mkfifo(path)
    assert "not a regular file" in refused(path).message


def test_a_link_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "loop.pth"
    path.symlink_to(path)
    assert "symbolic link" in refused(path).message


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    assert "not a usable path" in refused(tmp_path / "a\0b.pth").message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "Git LFS"),
        (b"\n<!DOCTYPE html><html>404</html>", "web page"),
        (b"<html>404</html>", "web page"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "PNG"),
        (b"\x1f\x8b" + bytes(50), "gzip"),
        (b"GGUF" + bytes(50), "GGUF"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "HDF5"),
        (bytes(range(100, 200)), "not a checkpoint"),
        (pickle.dumps({"a": 1}), "not a checkpoint"),
        (b"PK\x03\x04" + bytes(100), "damaged or cut-off archive"),
    ],
)
def test_other_files_are_recognised(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    assert said in refused(path).message


def test_an_onnx_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x08\x07\x12\x07pytorch")
    assert "ONNX" in refused(path).message


def test_a_numpy_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x=np.zeros(3))
    assert "NumPy archive" in refused(path).hint


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_truncated_file(good: Path, kept: float) -> None:
    content = good.read_bytes()
    good.write_bytes(content[: int(kept * len(content))])
    assert "damaged or cut-off" in refused(good).message


def test_a_flipped_bit_in_the_weights(good: Path) -> None:
    content = bytearray(good.read_bytes())
    weight = torch.load(good, weights_only=True)["weight"].numpy().tobytes()
    content[content.index(weight) + 5] ^= 1
    good.write_bytes(content)
    assert "checksum mismatch in student/data/0" in refused(good).message


def test_two_members_of_one_name(good: Path) -> None:
    with zipfile.ZipFile(good, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("student/data.pkl", b"\x80\x02}.")
    assert "two members" in refused(good).message


def test_a_second_folder_in_the_archive(good: Path) -> None:
    with zipfile.ZipFile(good, "a") as archive:
        archive.writestr("other/data.pkl", b"\x80\x02}.")
    assert "several folders" in refused(good).message


def repacked(source: Path, target: Path, extra: bytes = b"") -> Path:
    with (
        zipfile.ZipFile(source) as old,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
        if extra:
            new.writestr("student/data/99", extra)
    return target


def test_a_compressed_archive(good: Path, tmp_path: Path) -> None:
    assert "compressed" in refused(repacked(good, tmp_path / "deflated.pth")).message


def test_a_zip_bomb_is_not_unpacked(good: Path, tmp_path: Path) -> None:
    bomb = repacked(good, tmp_path / "bomb.pth", extra=bytes(64 << 20))
    assert bomb.stat().st_size < 1 << 20
    assert "unpacks to" in refused(bomb).message


def test_a_file_without_weights_tells_its_keys(tmp_path: Path) -> None:
    path = tmp_path / "log.pth"
    torch.save({"epoch": 3, "losses": [1.0, 0.5]}, path)
    error = refused(path)
    assert "holds no weights" in error.message
    assert "epoch, losses" in error.hint


@pytest.mark.parametrize("content", [None, [], {}, torch.zeros(3), "text", 3])
def test_objects_that_are_no_weights(tmp_path: Path, content: object) -> None:
    path = tmp_path / "odd.pth"
    torch.save(content, path)
    assert "holds no weights" in refused(path).message


def test_a_file_that_changes_while_it_is_read(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gapdoctor.loading.checkpoint import _candidates

    def grow(tree: object) -> bool:
        with good.open("ab") as stream:
            stream.write(b"more")
        return False

    monkeypatch.setattr(_candidates, "_looks_like_weights", grow)
    torch.save({"odd": nn.Linear(2, 2).state_dict(), "model": nn.Linear(2, 2).state_dict()}, good)
    assert "changed while it was read" in refused(good).message
