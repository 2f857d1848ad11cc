"""The names of things: `where:what`, a table `{ call, args, batched }`, a path. Read, not run."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gapdoctor.errors import ConfigError

LIBRARIES = ("torchvision", "timm", "hf")
PROGRAMS = ("torchscript", "exported")
"""`[student] model` may say so: then the checkpoint is the model."""
TRAIN_PIPELINE = "train"
"""`[preprocess] inference` may say so: the train pipeline, whatever gives it, at inference too."""

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True, slots=True)
class FileName:
    """A file or folder that the config names."""

    path: Path
    named: str
    """As the user wrote it."""
    place: str = ""
    """File, line and key (or the setting), for messages."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A thing that the config names, not yet looked up."""

    key: str
    """Dotted key, such as `data.train`."""
    place: str
    """File, line and key (or the setting), for messages."""
    name: str
    """As the user wrote it."""
    where: str
    """`file.py`, `package.module`, a library, or a path."""
    what: str
    """Dotted name inside `where`; empty for a path."""
    base: Path
    """Folder that relative paths start from."""
    args: Mapping[str, Any] | None = None
    """Of the call that a table asks for; None for a string."""
    batched: bool = False
    arg_places: Mapping[str, str] = field(default_factory=dict)
    """Where each argument stands, for messages."""

    @property
    def path(self) -> Path:
        """The file or folder of a `file.py` or a path."""
        return self.base / Path(self.where).expanduser()

    @property
    def is_program(self) -> bool:
        """Whether the checkpoint itself is the model (`torchscript`, `exported`)."""
        return self.name in PROGRAMS and self.key.endswith(".model")

    @property
    def is_path(self) -> bool:
        """Whether a data file or folder is meant."""
        return not self.what and not self.is_program

    @property
    def is_code_file(self) -> bool:
        """Whether `where` is a Python file."""
        return bool(self.what) and self.where.endswith(".py")


def split_name(name: str) -> tuple[str, str]:
    """Return `where` and `what` of `where:what`; `what` is empty where a path is meant."""
    head, _, rest = name.partition(":")
    if head in LIBRARIES and rest:
        return head, rest
    where, colon, what = name.rpartition(":")
    if colon and where and _NAME.fullmatch(what):
        return where, what
    return name, ""


def is_module(where: str) -> bool:
    """Return whether `where` reads as `package.module`."""
    return _NAME.fullmatch(where) is not None


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like `name`, if any is."""
    known = list(known)
    lower = {k.lower(): k for k in reversed(known)}
    found = difflib.get_close_matches(name.lower(), lower, 1, 0.6)
    return lower[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return a hint: the nearest known name, else `otherwise`, else the list of the known."""
    known = list(known)
    found = nearest(name, known)
    if found is not None:
        return f"did you mean {found}?"
    return otherwise or (f"known: {', '.join(known)}" if known else "")


def require_file(file: FileName, *, folder: bool = False) -> None:
    """Raise where a named file does not exist, before anything heavy is imported.

    Parameters
    ----------
    file : FileName
        What the config or the command line names.
    folder : bool
        A folder will do as well.

    Raises
    ------
    ConfigError
        With the nearest name in the folder as the hint.
    """
    lead = f"{file.place}: " if file.place else ""
    try:
        if file.path.is_file() or (folder and file.path.is_dir()):
            return
        exists = file.path.exists()
    except OSError as error:
        raise ConfigError(f"{lead}{file.named}: {error.strerror}", "check the path") from error
    if file.path.is_dir():
        raise ConfigError(f"{lead}{file.named} is a folder, not a file", "name a file in it")
    if exists:
        raise ConfigError(f"{lead}{file.named} is not a regular file", "copy it to a file first")
    raise ConfigError(f"{lead}{file.named}: no such file", _where_to_look(file))


def _where_to_look(file: FileName) -> str:
    folder = file.path.parent
    if not (folder.is_dir() and os.access(folder, os.R_OK)):
        return f"there is no readable folder {shown(folder)}"
    found = nearest(file.path.name, sorted(p.name for p in folder.iterdir()))
    if found is not None:
        return f"did you mean {shown(folder / found)}?"
    return f"looked in {folder.absolute()}"


def shown(path: Path) -> str:
    """Return a path as short as it can be opened by: relative to the working directory or whole."""
    try:
        short = path.absolute().relative_to(Path.cwd())
    except (ValueError, OSError):
        return str(path)
    return str(short)
