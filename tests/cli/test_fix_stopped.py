"""`fix --apply` that is stopped or runs out of room: real processes, real signals, a full disk."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gapdoctor.cli import app

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts processes, fills a disk")

RECIPE = """
[recipe]
epochs = 12
batch_size = 16
optimizer = "sgd"
lr = 0.1
weight_decay = 0.0
schedule = "constant"
task_weight = 0.5
temperature = 1.0
augment = ["noise"]
dropout = 0.0
early_stopping = 0
"""
FIX = ("fix", "--apply", "student.pth", "--only", "add_weight_decay", "--seeds", "3",
       "--start", "scratch", "--format", "json")  # fmt: skip
OUT = Path("student.gapdoctor")


@pytest.fixture(scope="module")
def write(write_pair) -> Callable[[Path], Path]:
    """Write a student that falls behind its teacher, and a recipe of short trainings."""

    def write(folder: Path) -> Path:
        write_pair(folder, scale=0.1)
        with (folder / "gapdoctor.toml").open("a") as config:
            config.write(RECIPE)
        return folder

    return write


@pytest.fixture
def pair(write, tmp_path, monkeypatch) -> Path:
    """The pair, in the working directory."""
    monkeypatch.chdir(write(tmp_path / "pair"))
    return tmp_path / "pair"


def told(folder: Path) -> dict[str, Any]:
    """What `fix.json` says but for clocks and the command."""
    found = json.loads((folder / "fix.json").read_text())
    plan = {k: v for k, v in found.pop("plan").items() if k not in ("pace", "expected_seconds")}
    plan["fixes"] = [{**f, "expected_seconds": 0} for f in plan["fixes"]]
    trials = [{**t, "seconds": 0} for t in found.pop("trials")]
    clocks = ("created", "command", "cost")
    return {k: v for k, v in found.items() if k not in clocks} | {"plan": plan, "trials": trials}


def done(folder: Path) -> dict[str, int]:
    """The trainings that are finished, and when."""
    return {str(f): f.stat().st_mtime_ns for f in folder.glob("trials/*/*/done.json")}


@pytest.fixture(scope="module")
def undisturbed(write, tmp_path_factory) -> dict[str, Any]:
    """What the same command says when nobody stops it."""
    with contextlib.chdir(write(tmp_path_factory.mktemp("undisturbed"))):
        assert app.run([*FIX, "-q"]) == 0
        return told(OUT)


# -- signals ---------------------------------------------------------------------------------------


def started(command: Path) -> subprocess.Popen[str]:
    """Begin the fix in a session of its own."""

    def hear() -> None:  # what a shell runs behind its back may ignore signals, and hands that on
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    return subprocess.Popen(
        [str(command), *FIX], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True, preexec_fn=hear,
    )  # fmt: skip


def stopped(command: Path, send: Callable[[int, int], None], finished: int) -> tuple[int, int, str]:
    """Run the fix, send it a SIGTERM after so many trainings; session, exit code and stderr."""
    ran = started(command)
    late = time.monotonic() + 600
    while len(done(OUT)) < finished and time.monotonic() < late:
        assert ran.poll() is None, ran.stderr.read() if ran.stderr else ""
        time.sleep(0.02)
    send(ran.pid, signal.SIGTERM)
    _, said = ran.communicate(timeout=240)
    return ran.pid, ran.returncode, said


def alive(session: int) -> list[str]:
    """The commands of a session's processes."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, own = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(own) == session and state != "Z":
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it has just ended
            continue
    return found


def left_behind(session: int) -> list[str]:
    """The commands of a session's processes that have not ended within a few seconds."""
    late = time.monotonic() + 30
    while (found := alive(session)) and time.monotonic() < late:
        time.sleep(0.1)
    return found


def test_a_schedulers_signal_loses_nothing_that_is_finished(command, pair, undisturbed):
    """Sent to the process that was started, then to all of them, as some schedulers do."""
    kept: dict[str, int] = {}
    for send in (os.kill, os.killpg):
        session, code, said = stopped(command, send, len(kept) + 1)
        assert code == 130, said
        assert said.splitlines()[-1] == (
            "gapdoctor: interrupted; what was finished is kept in student.gapdoctor; "
            "run it again to go on"
        )
        assert "Traceback" not in said
        assert not (OUT / ".lock").exists()
        assert not (OUT / "fix.json").exists()
        assert left_behind(session) == []
        assert kept.items() <= done(OUT).items()
        kept = done(OUT)
    assert app.run([*FIX, "-q"]) == 0
    assert kept.items() <= done(OUT).items()
    assert told(OUT) == undisturbed


def test_ctrl_c_while_processes_are_made_ready_is_one_line(command, pair):
    """A terminal sends it to all of them, and one of them is importing torch just then."""
    ran = started(command)
    late = time.monotonic() + 120
    while not any("forkserver" in c for c in alive(ran.pid)) and time.monotonic() < late:
        assert ran.poll() is None, ran.stderr.read() if ran.stderr else ""
        time.sleep(0.02)
    time.sleep(0.3)  # in Python by now
    os.killpg(ran.pid, signal.SIGINT)
    _, said = ran.communicate(timeout=120)
    assert ran.returncode == 130
    assert said == "gapdoctor: interrupted; nothing was written\n"
    assert left_behind(ran.pid) == []


# -- a full disk -----------------------------------------------------------------------------------

FULL = """
import json, os, subprocess, sys
from pathlib import Path
from gapdoctor.cli import app

disk, fix = Path("disk"), json.loads(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)], check=True)
out = disk / "out"
codes = [app.run(["fix", "student.pth", *fix[3:], "-q", "--out", str(out)])]
room = os.statvfs(disk)
with (disk / "filler").open("wb") as filler:
    filler.write(b"0" * (room.f_bavail * room.f_frsize - int(sys.argv[2])))
codes.append(app.run([*fix, "-q", "--out", str(out)]))
left = [str(f) for f in out.rglob("*") if f.name.endswith(".tmp")]
for file in out.rglob("*.json"):
    json.loads(file.read_text())
(disk / "filler").unlink()
codes.append(app.run([*fix, "-q", "--out", str(out)]))
record = json.loads((out / "fix.json").read_text())
Path("whole").mkdir(exist_ok=True)
Path("whole/fix.json").write_text(json.dumps(record))
Path("codes.json").write_text(json.dumps([codes, left]))
"""


def _can_mount() -> bool:
    try:
        ran = subprocess.run(
            ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"],
            capture_output=True, check=False,
        )  # fmt: skip
    except OSError:
        return False
    return ran.returncode == 0


@pytest.mark.skipif(not _can_mount(), reason="needs a file system of its own")
def test_a_full_disk_is_two_lines_and_is_gone_on_from(pair, undisturbed):
    Path("disk").mkdir()
    ran = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", FULL, json.dumps(FIX), "60000"],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    codes, left = json.loads(Path("codes.json").read_text())
    assert codes[0] == codes[2] == 0
    assert codes[1] in (2, 3), ran.stderr
    assert left == []
    assert "No space left on device" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert told(Path("whole")) == undisturbed
