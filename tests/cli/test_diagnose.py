"""`gapdoctor diagnose` on a linear pair whose losses are known."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from gapdoctor.cli import app


@pytest.fixture
def pair(write_pair, tmp_path, monkeypatch) -> Path:
    """A student far behind its teacher; the working directory is its folder."""
    folder = write_pair(tmp_path / "pair", scale=0.1)
    monkeypatch.chdir(folder)
    return folder


def diagnose(*arguments: str) -> int:
    return app.run(["diagnose", *arguments])


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in sorted(folder.rglob("*"))
        if f.is_file() and "__pycache__" not in f.parts
    }


def test_the_installed_command_prints_the_page_then_the_paths(gapdoctor, write_pair, tmp_path):
    folder = write_pair(tmp_path / "a folder")
    before = hashes(folder)
    done = gapdoctor("diagnose", "student.pth", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[-3:] == [
        "student.gapdoctor/diagnosis.json",
        "student.gapdoctor/report.md",
        "student.gapdoctor/report.html",
    ]
    assert all((folder / path).is_file() for path in lines[-3:])
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in done.stdout
    record = json.loads((folder / lines[-3]).read_text())
    assert record["command"] == "gapdoctor diagnose student.pth"
    assert str(tmp_path) not in (folder / lines[-3]).read_text()
    assert {k: v for k, v in hashes(folder).items() if k in before} == before


def test_json_is_alone_on_stdout_even_when_user_code_prints(pair, capfd):
    with Path("run.py").open("a") as code:
        code.write("\nimport os\nprint('from python')\nos.write(1, b'from below\\n')\n")
    assert diagnose("--json") == 0
    shown = capfd.readouterr()
    record = json.loads(shown.out)
    assert record["schema"] == "gapdoctor.diagnosis/1"
    assert record == json.loads(Path("student.gapdoctor/diagnosis.json").read_text())
    assert "from python\n" in shown.err
    assert "from below\n" in shown.err
    assert shown.err.endswith("student.gapdoctor/report.html\n")


def test_formats_and_folder_are_the_users(pair, capsys):
    assert diagnose("student.pth", "-q", "--format", "junit", "--format", "md", "-o", "out") == 0
    assert capsys.readouterr().out == "out/report.md\n"
    names = {f.name for f in Path("out").iterdir() if f.is_file()}
    assert names == {"report.md", "report.xml", "diagnosis.json", ".inputs.json"}


def test_the_numbers_of_measuring_reach_the_measurement(pair, capsys):
    rows = ["--seed", "7", "--max-samples", "300", "--batch-size", "50"]
    numbers = [*rows, "--device", "cpu", "--budget", "0.001s"]
    assert diagnose("--json", "-q", *numbers) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    record = json.loads(shown.out)
    assert record["seed"] == 7
    assert record["data"]["train"]["used"] <= 300
    assert "the budget was used up" in {skipped["reason"] for skipped in record["skipped"]}
    assert record["environment"]["device"].startswith("cpu")
    assert record["command"].startswith("gapdoctor diagnose --json -q --seed 7")


def test_the_pair_can_come_from_flags_alone(write_pair, tmp_path, monkeypatch, capsys):
    folder = write_pair(tmp_path / "pair")
    (folder / "gapdoctor.toml").unlink()
    monkeypatch.chdir(tmp_path)
    named = {
        "--student": "pair/run.py:linear",
        "--teacher": "pair/run.py:linear",
        "--teacher-checkpoint": "pair/teacher.pth",
        "--train": "pair/run.py:train_set",
        "--heldout": "pair/run.py:heldout_set",
        "--set": "student.output_temperature=0.1",
    }
    flags = [part for pair in named.items() for part in pair]
    assert diagnose("pair/student.pth", "-q", "--json", *flags) == 0
    record = json.loads(capsys.readouterr().out)
    # The student's logits are a tenth of the teacher's: divided by 0.1 they are the teacher's.
    assert record["gap"]["excess"]["value"] == pytest.approx(0.0, abs=1e-6)
    assert record["verdict"] == "healthy"


def test_a_crossed_threshold_is_exit_1_and_the_report_is_written(pair, capsys):
    assert diagnose("-q", "--max-gap", "0.1") == 1
    shown = capsys.readouterr()
    assert shown.out == "student.gapdoctor/report.html\n"
    assert Path("student.gapdoctor/report.html").is_file()
    assert re.fullmatch(
        r"gapdoctor: --max-gap 0\.1: the excess is at least 0\.\d+ nats\n", shown.err
    )


def test_a_strange_folder_is_refused_before_the_work(pair, capsys):
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("keep me")
    Path("run.py").write_text("raise SystemError('the pair was loaded')")
    assert diagnose("-o", "mine") == 2
    assert capsys.readouterr().err.startswith("gapdoctor: mine: ")
    assert Path("mine/notes.txt").read_text() == "keep me"


def test_a_failure_leaves_no_empty_folder(pair, capsys):
    Path("run.py").write_text("raise KeyError('of the user')")
    assert diagnose() == 2
    told = capsys.readouterr().err
    assert "run.py:1" in told
    assert "Traceback" not in told
    assert not Path("student.gapdoctor").exists()


def test_a_schedulers_signal_ends_with_130_and_one_line(command, write_pair, tmp_path):
    folder = write_pair(tmp_path / "pair")
    with (folder / "run.py").open("a") as code:
        code.write("\nimport pathlib, time\npathlib.Path('loading').touch()\ntime.sleep(60)\n")
    with subprocess.Popen(
        [command, "diagnose"], cwd=folder, stderr=subprocess.PIPE, text=True
    ) as run:
        deadline = time.monotonic() + 60
        while not (folder / "loading").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(run.pid, signal.SIGTERM)
        _, told = run.communicate(timeout=30)
    assert (run.returncode, told) == (130, "gapdoctor: interrupted; nothing was written\n")
    assert not (folder / "student.gapdoctor").exists()
