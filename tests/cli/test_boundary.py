"""The one error boundary: what each failure says, and its exit code."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from gapdoctor.cli import app
from gapdoctor.errors import CheckpointError, IncompleteRun, UserCodeError

RunFailing = Callable[[BaseException], int]


@pytest.fixture
def run_failing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RunFailing:
    """Run a command that raises what it is given; logs land in `tmp_path`."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def run(error: BaseException) -> int:
        built = typer.Typer(rich_markup_mode=None)

        @built.command()
        def fail() -> None:
            raise error

        @built.command()
        def succeed() -> None: ...

        monkeypatch.setattr(app, "build", lambda: built)
        return app.run(["fail"])

    return run


def test_an_expected_failure_is_two_lines_and_its_exit_code(run_failing, capsys):
    assert run_failing(CheckpointError("a.pth: damaged", "save it again")) == 2
    assert capsys.readouterr() == ("", "gapdoctor: a.pth: damaged\ntry: save it again\n")


def test_an_expected_failure_without_a_hint_is_one_line(run_failing, capsys):
    assert run_failing(IncompleteRun("two of six trials failed")) == 3
    assert capsys.readouterr().err == "gapdoctor: two of six trials failed\n"


def test_names_from_a_file_cannot_move_the_cursor(run_failing, capsys):
    run_failing(CheckpointError("key \x1b[2J\u202egnp: unknown", "see \x07"))
    assert capsys.readouterr().err == (
        "gapdoctor: key \\x1b[2J\\u202egnp: unknown\ntry: see \\x07\n"
    )


def test_an_internal_error_is_one_line_naming_the_log(run_failing, capsys, tmp_path):
    assert run_failing(ZeroDivisionError("division by zero")) == 3
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    named = re.fullmatch(
        r"gapdoctor: internal error: ZeroDivisionError: division by zero; "
        r"traceback and versions are in (.+\.log)\n",
        told,
    )
    assert named is not None
    log = Path(named[1]).read_text()
    assert log.startswith("command: gapdoctor fail\n")
    assert "Traceback (most recent call last)" in log
    assert re.search(r"^torch \d", log, flags=re.MULTILINE)


def test_an_error_in_the_users_code_names_its_traceback(run_failing, capsys):
    error = UserCodeError("run.py:3: KeyError: 'x'", "see run.py")
    error.__cause__ = KeyError("x")
    assert run_failing(error) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "gapdoctor: run.py:3: KeyError: 'x'"
    log = re.fullmatch(r"try: see run.py \(traceback: (.+)\)", lines[1])
    assert log is not None
    assert "KeyError: 'x'" in Path(log[1]).read_text()


def test_a_file_that_may_not_be_read_is_no_internal_error(run_failing, capsys):
    assert run_failing(PermissionError(13, "Permission denied", "data.npz")) == 2
    assert capsys.readouterr().err.startswith("gapdoctor: data.npz: Permission denied\ntry: ")


def test_out_of_memory_says_what_to_try(run_failing, capsys):
    assert run_failing(MemoryError()) == 3
    assert capsys.readouterr().err == (
        "gapdoctor: out of memory\ntry: a smaller --batch-size or --max-samples\n"
    )


def test_a_full_disk_is_told_as_such(run_failing, capsys):
    assert run_failing(OSError(errno.ENOSPC, "No space left on device")) == 2
    assert capsys.readouterr().err == (
        "gapdoctor: cannot write: No space left on device\ntry: free some space\n"
    )


def test_an_error_is_told_even_where_no_log_can_be_written(run_failing, capsys, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/nowhere/at/all")
    assert run_failing(ZeroDivisionError()) == 3
    told = capsys.readouterr().err
    assert told.startswith("gapdoctor: internal error: ZeroDivisionError; traceback")
    assert "no log (No such file or directory)" in told


def test_an_interruption_says_what_was_kept(run_failing, capsys):
    assert run_failing(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "gapdoctor: interrupted; nothing was written\n"


def test_user_code_that_exits_does_not_end_in_success(run_failing, capsys):
    assert run_failing(SystemExit(0)) == 2
    assert "called sys.exit(0)" in capsys.readouterr().err


def test_a_threshold_ends_with_its_code(run_failing, capsys):
    assert run_failing(typer.Exit(1)) == 1
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["diagnoze"], "no such command 'diagnoze'", "gapdoctor diagnose, or gapdoctor --help"),
        (
            ["diagnose", "--maxsamples", "3"],
            "no such option: --maxsamples",
            "--max-samples, or gapdoctor diagnose --help",
        ),
        (["--verson"], "no such option: --verson", "--version, or gapdoctor --help"),
        (
            ["diagnose", "--device", "gpu"],
            "invalid value for '--device': 'gpu' is not one of 'auto', 'cpu', 'cuda', 'mps'",
            "gapdoctor diagnose --help",
        ),
        (
            ["diagnose", "--fail-on"],
            "option '--fail-on' requires an argument",
            "gapdoctor diagnose --help",
        ),
        (["report"], "missing argument 'FOLDER|JSON'", "gapdoctor report --help"),
    ],
)
def test_wrong_usage_has_the_same_shape(capsys, arguments, message, hint):
    assert app.run(arguments) == 2
    assert capsys.readouterr() == ("", f"gapdoctor: {message}\ntry: {hint}\n")


@pytest.mark.parametrize("option", ["--seed=-1", "--max-samples=0", "--batch-size=none"])
def test_numbers_out_of_range_are_wrong_usage(capsys, option):
    assert app.run(["diagnose", option]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"gapdoctor: invalid value for '{option.split('=')[0]}': ")
    assert told.endswith("try: gapdoctor diagnose --help\n")


def test_no_command_shows_the_help_on_stderr(capsys):
    assert app.run([]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("Usage: gapdoctor ")


def test_a_reader_that_leaves_is_no_error(command):
    """`gapdoctor explain | head -0`: no traceback, and the code of what was done."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [command, "explain"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.name != "posix", reason="closes a descriptor")
def test_a_closed_stdout_is_no_error(command):
    done = subprocess.run(
        [command, "explain"], preexec_fn=lambda: os.close(1), stderr=subprocess.PIPE, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_stdout_is_told(command):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [command, "explain"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr.startswith("gapdoctor: cannot write: ")
    assert done.stderr.count("\n") == 2


def test_python_m_is_the_same_command(gapdoctor):
    done = subprocess.run(
        [sys.executable, "-m", "gapdoctor", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == gapdoctor("--version").stdout
