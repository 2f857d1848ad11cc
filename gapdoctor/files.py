"""Files that appear whole or not at all. Imports nothing else of ours but the errors."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gapdoctor.errors import OutputError

_CHUNK = 1 << 20


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` so that `path` holds the old file or the whole new one at any instant.

    Parameters
    ----------
    path : Path
        Where to write; its folder is made when missing.
    content : bytes
        The whole file.

    Raises
    ------
    OutputError
        When the disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(name, 0o666 & ~_umask())  # noqa: PTH101 - mkstemp gives 0600
            os.replace(name, path)  # noqa: PTH105
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)  # noqa: PTH108
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from error


def write_text(path: Path, content: str) -> None:
    """Write `content` as UTF-8; whole or not at all (see `write_bytes`)."""
    write_bytes(path, content.encode("utf-8"))


def sha256(path: Path) -> str:
    """Return the hex digest of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; a second run on it is an error, a dead owner's lock is taken.

    Raises
    ------
    OutputError
        When another living process holds the folder.
    """
    lock = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _take(lock)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _take(lock: Path) -> None:
    try:
        with lock.open("x") as stream:
            stream.write(str(os.getpid()))
    except FileExistsError:
        owner = _owner(lock)
        if owner is not None and owner != os.getpid() and _is_alive(owner):
            raise OutputError(
                f"{lock.parent}: process {owner} is writing there",
                "wait for it, or name another folder with --out",
            ) from None
        lock.unlink(missing_ok=True)
        _take(lock)


def _owner(lock: Path) -> int | None:
    try:
        text = lock.read_text(errors="replace").strip()
    except FileNotFoundError:  # its owner has just finished
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _is_alive(pid: int) -> bool:
    if os.name != "posix":
        return True  # elsewhere, signal 0 is no question but an interruption
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _cannot_write(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path}: cannot write: {error.strerror or error}",
        "free some space or name another folder with --out",
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """A rename survives a power cut only once the folder itself is on disk."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
