"""What a failure says: one line that tells what is wrong, one that tells what to try."""

from __future__ import annotations

import errno
import os
import platform
import shlex
import sys
import tempfile
import traceback
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import metadata
from typing import Any

import typer

from gapdoctor.errors import GapDoctorError, UserCodeError

USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[2]
"""The base of what typer raises for bad usage; it has no public name in every version."""

_PACKAGES = ("gapdoctor", "torch", "torchvision", "numpy", "scipy", "scikit-learn", "pandas")


@dataclass
class Session:
    """One run of the command line."""

    arguments: tuple[str, ...]
    """What was typed after `gapdoctor`."""
    kept: str = "nothing was written"
    """What an interruption leaves, for the line that tells of it."""

    @property
    def command(self) -> str:
        """The command as typed, quoted for a shell."""
        return shlex.join(["gapdoctor", *self.arguments])


def failure_lines(error: Exception, session: Session) -> tuple[list[str], int]:
    """Return the lines for stderr and the exit code."""
    if isinstance(error, USAGE_ERROR):
        message, hint = _usage(error, session)
        return _two_lines(message, hint), 2
    if isinstance(error, GapDoctorError):
        hint = error.hint
        if isinstance(error, UserCodeError) and error.__cause__ is not None:
            hint = f"{hint} (traceback: {write_log(error, session)})".lstrip()
        return _two_lines(error.message, hint), error.exit_code
    kind = type(error).__name__
    if isinstance(error, MemoryError) or kind == "OutOfMemoryError":
        return _two_lines("out of memory", "a smaller --batch-size or --max-samples"), 3
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return _two_lines(f"cannot write: {error.strerror}", "free some space"), 2
    log = write_log(error, session)
    if isinstance(error, OSError) and error.filename is not None:
        message = f"{error.filename}: {error.strerror or kind}"
        return _two_lines(message, f"see whether it may be read and written (traceback: {log})"), 2
    told = f"internal error: {kind}: {error}" if str(error) else f"internal error: {kind}"
    return [_plain(f"gapdoctor: {told}; traceback and versions are in {log}")], 3


def stopped_by_user_code(stop: SystemExit, session: Session) -> str:
    """Return the line for code that the config names and that called `sys.exit`."""
    log = write_log(stop, session)
    return _plain(f"gapdoctor: the config's code called sys.exit({stop.code!r}); see {log}")


def write_log(error: BaseException, session: Session) -> str:
    """Write traceback, versions and command to a log file; return its path."""
    try:
        handle, path = tempfile.mkstemp(prefix="gapdoctor-", suffix=".log")
    except OSError as failure:
        return f"no log ({failure.strerror})"
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as log:
        log.write(f"command: {session.command}\n")
        log.write(f"python {sys.version}\nplatform {platform.platform()}\n")
        for package in _PACKAGES:
            log.write(f"{package} {_version(package)}\n")
        log.write("\n")
        log.writelines(traceback.format_exception(error))
    return path


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _two_lines(message: str, hint: str) -> list[str]:
    lines = [_plain(f"gapdoctor: {message}")]
    return [*lines, _plain(f"try: {hint}")] if hint else lines


def _plain(line: str) -> str:
    """Names from a file may hold escape sequences and line breaks: show them, obey none."""
    squashed = " ".join(line.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in squashed)


def _usage(error: Any, session: Session) -> tuple[str, str]:
    """Return message and hint of what typer calls a usage error."""
    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx is not None else f"gapdoctor {session.arguments[0]}"
    message = error.format_message().replace("Value error, ", "")
    message = message.split("(Possible options")[0].split("Did you mean")[0].strip().rstrip(".")
    nearest = _nearest(error, ctx)
    hint = f"{path} --help"
    return message[:1].lower() + message[1:], f"{nearest}, or {hint}" if nearest else hint


def _nearest(error: Any, ctx: Any) -> str:
    """Return the known option or command nearest to what was typed, if any is near."""
    if ctx is None:
        return ""
    option = getattr(error, "option_name", None)
    if option is not None:
        known = [name for p in ctx.command.params for name in (*p.opts, *p.secondary_opts)]
        typed, prefix = option, ""
    elif hasattr(ctx.command, "commands") and "'" in str(error.message):
        known = list(ctx.command.commands)
        typed, prefix = str(error.message).split("'")[1], "gapdoctor "
    else:
        return ""
    near = get_close_matches(typed, known, n=1)
    return prefix + near[0] if near else ""
