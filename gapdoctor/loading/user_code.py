"""Where the user's code ends and ours begins: its errors, told with its own lines."""

from __future__ import annotations

import os
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gapdoctor.errors import GapDoctorError, UserCodeError
from gapdoctor.loading.where import shown

_LONGEST = 300
_ROOTS = tuple(
    f"{root}{os.sep}"
    for root in sorted(
        {
            str(Path(__file__).parents[1]),
            *(sysconfig.get_path(k) for k in ("stdlib", "platstdlib", "purelib", "platlib")),
        }
    )
)
"""Folders whose code is not the user's: Python's, the installed packages', ours."""
_SITES = frozenset({"site-packages", "dist-packages"})


def is_installed(file: str) -> bool:
    """Return whether a file belongs to Python, to an installed package, or to us."""
    return file.startswith(_ROOTS) or not _SITES.isdisjoint(Path(file).parts)


@contextmanager
def user_errors(doing: str, place: str = "") -> Iterator[None]:
    """Turn whatever the user's code raises into one line that names their file and line.

    Parameters
    ----------
    doing : str
        What was asked of the code, such as `importing run.py`.
    place : str
        Told instead where no line is theirs (a library's own error).

    Raises
    ------
    UserCodeError
        `file.py:12: ValueError: … (importing file.py)`.
    """
    try:
        yield
    except GapDoctorError:
        raise
    except (Exception, SystemExit) as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
        line = _line_of(error)
        begin = f"{line or place}: " if line or place else ""
        raise UserCodeError(f"{begin}{text} ({doing})", _advice(error, line)) from error


def _line_of(error: BaseException) -> str:
    """`file.py:12` of the innermost line that the user wrote; empty where none is theirs."""
    if isinstance(error, SyntaxError) and error.filename and not is_installed(error.filename):
        return f"{shown(Path(error.filename))}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if f.filename[0] != "<" and not is_installed(f.filename)]
    return f"{shown(Path(theirs[-1].filename))}:{theirs[-1].lineno}" if theirs else ""


def _advice(error: BaseException, line: str) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"install {error.name}, or run where it can be imported"
    if isinstance(error, SystemExit):
        return 'code that parses arguments or exits belongs under if __name__ == "__main__":'
    return "see that line" if line else "check the name and its arguments"
