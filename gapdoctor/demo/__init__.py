"""The bundled pair: a teacher and an overfitted student of scikit-learn's handwritten digits."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from gapdoctor.errors import OutputError
from gapdoctor.files import write_bytes

CONFIG = "gapdoctor.toml"
CHECKPOINT = "checkpoint.pth"


def prepare(folder: Path) -> Path:
    """Copy the bundled pair into `folder` and return the path of the student's checkpoint.

    A folder that this made before is completed where files are missing, and otherwise left as it
    is; what was edited there is never overwritten.

    Parameters
    ----------
    folder : Path
        A missing or empty folder, or one that this made.

    Raises
    ------
    OutputError
        When the folder holds something else, one of its files differs from the bundled one, or
        it cannot be written.
    """
    pair = _bundled()
    _check_free(folder, pair)
    for name, content in pair.items():
        path = folder / name
        if not path.exists():
            write_bytes(path, content)
        elif _content(path) != content:
            raise OutputError(
                f"{path}: differs from the bundled one",
                f"gapdoctor diagnose {folder / CHECKPOINT} reads it as it is; "
                "for the bundled pair name another folder with --out",
            )
    return folder / CHECKPOINT


def _bundled() -> dict[str, bytes]:
    """Name and content of each file; the config first, since a folder is known by it."""
    found = [f for f in files("gapdoctor.demo").joinpath("pair").iterdir() if f.is_file()]
    found.sort(key=lambda f: (f.name != CONFIG, f.name))
    return {f.name: f.read_bytes() for f in found}


def _check_free(folder: Path, pair: dict[str, bytes]) -> None:
    hint = "name a folder that is missing or empty with --out"
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: is not a folder", hint)
        if not folder.exists() or not any(folder.iterdir()):
            return
        is_ours = (folder / CONFIG).is_file()
    except OSError as error:
        raise OutputError(f"{folder}: cannot be read: {error.strerror or error}", hint) from error
    if not is_ours or _first_line(_content(folder / CONFIG)) != _first_line(pair[CONFIG]):
        raise OutputError(f"{folder}: is not empty and holds no bundled pair", hint)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be read: {error.strerror or error}", "name another folder with --out"
        ) from error


def _first_line(content: bytes) -> bytes:
    return content.partition(b"\n")[0].strip()
