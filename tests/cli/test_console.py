"""Streams and progress."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from gapdoctor.cli import console
from gapdoctor.observe.progress import Progress

DRAW = """
import sys, time
from gapdoctor.cli.console import progress_for
progress = progress_for(quiet="-q" in sys.argv, verbose="-v" in sys.argv)
progress.stage("loading", 0)
progress.stage("looking [/x]", 1000)
progress.advance(400)
time.sleep(0.2)
progress.advance(400)
progress.note("used [bold] 800 rows")
time.sleep(0.3)
progress.stage("asking", 3)
progress.advance(3)
progress.close()
print("the result")
"""


def in_a_terminal(*arguments: str, env: dict[str, str] | None = None) -> tuple[str, str]:
    """Run DRAW with a terminal as stderr; return stdout and what the terminal got."""
    pty = pytest.importorskip("pty")
    screen, end = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", DRAW, *arguments],
        stdout=subprocess.PIPE,
        stderr=end,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100", **(env or {})},
        text=True,
        check=True,
    )
    os.close(end)
    shown = b""
    while True:
        try:
            piece = os.read(screen, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(screen)
    return done.stdout, shown.decode()


def test_a_terminal_gets_bars_with_percent_rate_and_time_left():
    out, shown = in_a_terminal(env={"NO_COLOR": "1"})
    assert out == "the result\n"
    assert "looking [/x]" in shown
    assert "80%" in shown
    assert "/s" in shown
    assert "0:00:0" in shown
    assert "used [bold] 800 rows" in shown
    assert "asking" in shown


def test_no_color_is_honoured():
    colours = [f"\x1b[{n}m" for n in ("31", "32", "35", "36", "1;31", "38;5;237")]
    _, plain = in_a_terminal(env={"NO_COLOR": "1"})
    _, coloured = in_a_terminal(env={"NO_COLOR": ""})
    assert not any(code in plain for code in colours)
    assert any(code in coloured for code in colours)


def test_quiet_shows_nothing():
    assert in_a_terminal("-q") == ("the result\n", "")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ([], "used [bold] 800 rows\n"),
        (["-v"], "loading\nlooking [/x] (1000)\nused [bold] 800 rows\nasking (3)\n"),
        (["-q"], ""),
    ],
)
def test_a_log_gets_lines_and_no_bars(flags, told):
    done = subprocess.run(
        [sys.executable, "-c", DRAW, *flags], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("the result\n", told)


def test_every_kind_of_progress_can_be_closed_twice_and_unused():
    for progress in (Progress(), console.LineProgress(stages=True), console.BarProgress()):
        progress.advance()
        progress.close()
        progress.close()


def test_what_user_code_prints_does_not_reach_stdout():
    script = (
        "import os, subprocess, sys\n"
        "from gapdoctor.cli.console import say, stdout_for_results\n"
        "with stdout_for_results():\n"
        "    print('from python')\n"
        "    os.write(1, b'from below\\n')\n"
        "    subprocess.run([sys.executable, '-c', 'print(\"from a child\")'])\n"
        "say('the result')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "the result\n"
    assert sorted(done.stderr.splitlines()) == ["from a child", "from below", "from python"]


def test_stdout_is_given_back_after_an_error(capsys):
    def user_code() -> None:
        print("noise")
        raise ValueError("in user code")

    with pytest.raises(ValueError, match="in user code"), console.stdout_for_results():
        user_code()
    print("result")
    assert capsys.readouterr() == ("result\n", "noise\n")


def test_paths_stay_whole(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    path = "a/" * 60 + "report.html"
    console.say(path)
    assert capsys.readouterr().out == f"{path}\n"


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colour_is_for_terminals_that_want_it(monkeypatch, environment, wanted):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert console.wants_color("stdout") is wanted


def test_a_pipe_gets_no_colour(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert console.wants_color("stdout") is False
