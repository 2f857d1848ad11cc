"""The first look at a file: is it one, what is it, is it whole. Imports no torch."""

from __future__ import annotations

import difflib
import hashlib
import os
import stat
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gapdoctor.errors import CheckpointError

_CHUNK = 1 << 20
_SLACK = 1 << 20
_RATIO = 4
"""Unpacked bytes that an archive may hold per byte on disk: weights do not compress, bombs do."""

_NOT_CHECKPOINTS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "run `git lfs pull`"),
    (b"<!doctype", "a web page: the download failed", "download it again"),
    (b"<html", "a web page: the download failed", "download it again"),
    (b"<?xml", "an XML file: the download failed", "download it again"),
    (b"\x89hdf", "an HDF5 file", "save the PyTorch model's state_dict() with torch.save"),
    (b"\x89png", "a PNG image", "name the checkpoint file"),
    (b"gguf", "a GGUF file", "save the PyTorch model's state_dict() with torch.save"),
    (b"\x93numpy", "a NumPy array", "name the checkpoint file"),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"bzh", "a bzip2 archive", "unpack it first"),
    (b"\xfd7zxz", "an xz archive", "unpack it first"),
)


@dataclass(frozen=True, slots=True)
class Opened:
    """A regular file that is open for reading, with what its first bytes say."""

    path: Path
    stream: BinaryIO
    size: int
    head: bytes
    sha256: str
    members: tuple[str, ...]
    """Names inside the archive; empty when it is none."""

    def member(self, name: str) -> str | None:
        """Return the whole name of `name` under the archive's single top folder."""
        return next((m for m in self.members if m.partition("/")[2] == name), None)

    def read_member(self, name: str) -> bytes:
        """Return the bytes of one member, by its whole name."""
        with zipfile.ZipFile(self.stream) as archive:
            return archive.read(name)


@contextmanager
def open_checkpoint(path: Path) -> Iterator[Opened]:
    """Open `path` when it is a regular file, of a kind that may hold weights, and undamaged.

    Raises
    ------
    CheckpointError
        When it is missing, no regular file, empty, of a known other kind, damaged, or when it
        changes while it is read.
    """
    before = _regular(path)
    try:
        stream = path.open("rb")
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}", "check its permissions") from (
            error
        )
    with stream:
        head = stream.read(512)
        _sniff(path, head)
        digest = _digest(stream)
        members = _checked_members(path, stream, before.st_size) if head[:2] == b"PK" else ()
        yield Opened(path, stream, before.st_size, head, digest, members)
        after = os.fstat(stream.fileno())
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise CheckpointError(f"{path}: changed while it was read", "wait until it is written")


def _regular(path: Path) -> os.stat_result:
    try:
        found = path.stat()
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file", _nearest(path)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable path"
        raise CheckpointError(f"{path}: {reason}", "name the checkpoint file") from error
    if stat.S_ISDIR(found.st_mode):
        raise CheckpointError(f"{path}: a folder, not a checkpoint file", _inside(path))
    if not stat.S_ISREG(found.st_mode):
        raise CheckpointError(f"{path}: not a regular file", "name the checkpoint file")
    if found.st_size == 0:
        raise CheckpointError(f"{path}: the file is empty", "save the checkpoint again")
    return found


def _nearest(path: Path) -> str:
    try:
        names = sorted(child.name for child in path.parent.iterdir())
    except OSError:
        return f"check the folder {path.parent}"
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {path.parent / near[0]}?" if near else "check the path"


def _inside(path: Path) -> str:
    endings = (".pth", ".pt", ".ckpt", ".bin", ".safetensors")
    try:
        found = sorted(child for child in path.iterdir() if child.suffix in endings)
    except OSError:
        found = []
    return f"name a file in it, such as {found[0]}" if found else "name the checkpoint file"


def _sniff(path: Path, head: bytes) -> None:
    start = head.lstrip()[:32].lower()
    for magic, what, hint in _NOT_CHECKPOINTS:
        if start.startswith(magic):
            raise CheckpointError(f"{path}: this is {what}", hint)
    if path.suffix.lower() == ".onnx":
        raise CheckpointError(
            f"{path}: this is an ONNX file", "save the PyTorch model's state_dict() with torch.save"
        )


def _digest(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    stream.seek(0)
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _checked_members(path: Path, stream: BinaryIO, size: int) -> tuple[str, ...]:
    """Torch verifies no checksum: a flipped byte would load as another weight."""
    try:
        with zipfile.ZipFile(stream) as archive:
            infos = archive.infolist()
            _check_sizes(path, infos, size)
            bad = archive.testzip()
    except CheckpointError:
        raise
    except Exception as error:
        # zipfile raises a dozen kinds on damaged bytes
        raise CheckpointError(
            f"{path}: a damaged or cut-off archive", "copy or save the checkpoint again"
        ) from error
    if bad is not None:
        raise CheckpointError(
            f"{path}: checksum mismatch in {bad}",
            "the file is damaged (or was saved with set_crc32_options(False)); save it again",
        )
    return tuple(info.filename for info in infos)


def _check_sizes(path: Path, infos: list[zipfile.ZipInfo], size: int) -> None:
    twice = [name for name, count in Counter(i.filename for i in infos).items() if count > 1]
    if twice:
        raise CheckpointError(
            f"{path}: two members of the archive are named {twice[0]}", "save the checkpoint again"
        )
    unpacked = sum(info.file_size for info in infos)
    if unpacked > _RATIO * size + _SLACK:
        raise CheckpointError(
            f"{path}: a file of {size:,} bytes that unpacks to {unpacked:,}: no weights do that",
            "save the checkpoint with torch.save",
        )
