"""`gapdoctor fix`: the plan, and what `--apply` writes."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import gapdoctor.demo
from gapdoctor.cli import app

DEMO = Path(gapdoctor.demo.__file__).parent / "pair"
FEW_ROWS = """
[recipe]
epochs = 4
batch_size = 32
optimizer = "sgd"
lr = 0.5
weight_decay = 0.0
schedule = "constant"
task_weight = 0.5
temperature = 1.0
augment = []
dropout = 0.0
early_stopping = 0
"""


def fix(*arguments: str) -> int:
    return app.run(["fix", *arguments])


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in sorted(folder.rglob("*"))
        if f.is_file() and "__pycache__" not in f.parts
    }


@pytest.fixture
def pair(write_pair, tmp_path, monkeypatch) -> Path:
    """A student whose logits are a tenth of its teacher's; nothing but their scale is wrong."""
    folder = write_pair(tmp_path / "pair", scale=0.1)
    config = folder / "gapdoctor.toml"
    config.write_text(f"# of mine\n{config.read_text()}{FEW_ROWS}")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def shut(pair: Path) -> Path:
    """Where results go."""
    return pair / "student.gapdoctor"


# -- the plan --------------------------------------------------------------------------------------


def test_the_plan_diagnoses_once_and_trains_nothing(pair, shut, capsys):
    before = hashes(pair)
    assert fix("student.pth", "--seeds", "2") == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert "→ Plan: nothing is trained yet" in lines
    assert "scale_temperature" in shown.out
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "student.gapdoctor/plan.json"
    assert shown.err == ""
    assert not (shut / "trials").exists()
    assert {k: v for k, v in hashes(pair).items() if k in before} == before
    first = (shut / "diagnosis.json").read_bytes()
    plan = (shut / "plan.json").read_bytes()

    assert fix("student.pth", "--seeds", "2") == 0
    again = capsys.readouterr()
    assert again.err == "The diagnosis in student.gapdoctor still holds.\n"
    assert again.out == shown.out
    assert (shut / "diagnosis.json").read_bytes() == first
    assert (shut / "plan.json").read_bytes() == plan


@pytest.mark.parametrize("changed", ["student.pth", "run.py", "gapdoctor.toml"])
def test_a_diagnosis_of_other_inputs_is_made_anew(pair, shut, capsys, changed):
    assert fix("student.pth", "--only", "scale_temperature", "-q") == 0
    if changed == "student.pth":
        torch.save(
            {k: 2 * v for k, v in torch.load("student.pth", weights_only=True).items()},
            "student.pth",
        )
    elif changed == "run.py":
        Path("run.py").write_text(Path("run.py").read_text() + "\nNEW = 1\n")
    else:
        Path("gapdoctor.toml").write_text(
            Path("gapdoctor.toml").read_text().replace("lr = 0.5", "lr = 0.4")
        )
    before = json.loads((shut / "plan.json").read_text())["hash"]
    capsys.readouterr()
    assert fix("student.pth", "--only", "scale_temperature") == 0
    assert "still holds" not in capsys.readouterr().err
    assert json.loads((shut / "plan.json").read_text())["hash"] != before


def test_a_plan_as_json(pair, capsys):
    assert fix("student.pth", "--json", "--only", "scale_temperature") == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["schema"] == "gapdoctor.plan/1"
    assert [f["id"] for f in plan["fixes"] if f["status"] == "planned"] == ["scale_temperature"]


# -- a fix that trains nothing --------------------------------------------------------------------


def test_a_free_fix_is_verified_written_and_diagnosed_again(pair, shut, capsys):
    before = hashes(pair)
    assert fix("--apply", "student.pth", "--only", "scale_temperature") == 0
    shown = capsys.readouterr()
    assert "✓ Fix verified" in shown.out
    assert shown.out.splitlines()[-1] == "student.gapdoctor/report.html"
    assert {k: v for k, v in hashes(pair).items() if k in before} == before

    record = json.loads((shut / "fix.json").read_text())
    assert record["chosen"] == "scale_temperature"
    assert record["improvement"]["high"] < 0
    assert record["trials"] == []
    assert record["written"] == {
        "checkpoint": "student.fixed.pth", "config": "gapdoctor.fixed.toml", "diff": "changes.diff",
    }  # fmt: skip
    # The logits were a tenth of the teacher's: so is the temperature, folded into the head.
    old, new = (
        torch.load(p, weights_only=True) for p in ("student.pth", shut / "student.fixed.pth")
    )
    assert old.keys() == new.keys()
    assert new["weight"].norm() / old["weight"].norm() == pytest.approx(10.0, rel=0.25)
    assert (shut / "gapdoctor.fixed.toml").read_text().startswith("# of mine\n")
    assert "healed: loss imbalance" in " ".join(shown.out.split())
    for name in ("report.html", "report.md"):
        assert "scale_temperature" in (shut / name).read_text()
    # What was written can be diagnosed where it lies.
    assert app.run(["diagnose", "-c", str(shut / "gapdoctor.fixed.toml"), "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "healthy"


def test_what_is_not_written_any_more_is_removed(pair, shut, capsys):
    assert fix("--apply", "student.pth", "--only", "scale_temperature", "-q") == 0
    assert (shut / "student.fixed.pth").exists()
    code = fix("--apply", "student.pth", "--only", "reorder_classes", "--require-improvement")
    assert code == 1
    assert "--require-improvement" in capsys.readouterr().err
    names = {f.name for f in shut.iterdir()}
    assert names.isdisjoint({"student.fixed.pth", "gapdoctor.fixed.toml", "changes.diff"})
    assert {"fix.json", "plan.json", "diagnosis.json", "report.html"} <= names


# -- trainings -------------------------------------------------------------------------------------


def test_trainings_are_resumed_to_the_same_record(pair, shut, capsys):
    arguments = (
        "--apply",
        "student.pth",
        "--only",
        "train_longer,add_weight_decay",
        "--seeds",
        "2",
    )
    assert fix(*arguments, "-v") == 0
    shown = capsys.readouterr()
    record = json.loads((shut / "fix.json").read_text())
    done = [t["fix"] for t in record["trials"] if t["status"] == "done"]
    assert set(done) == {"control", "train_longer", "add_weight_decay"}
    assert "control-scratch-0: done" in shown.err
    (trials,) = (shut / "trials").iterdir()
    with (trials / "control-scratch-0/history.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 4
    stamps = {f: f.stat().st_mtime_ns for f in trials.rglob("done.json")}

    assert fix(*arguments, "--json", "-q") == 0
    again = json.loads(capsys.readouterr().out)
    assert {f: f.stat().st_mtime_ns for f in trials.rglob("done.json")} == stamps
    volatile = {"created", "command"}
    assert {k: v for k, v in again.items() if k not in volatile} == {
        k: v for k, v in record.items() if k not in volatile
    }

    assert fix(*arguments, "--fresh", "-q") == 0
    assert any(f.stat().st_mtime_ns != stamps.get(f) for f in shut.rglob("done.json"))


@pytest.mark.parametrize("start", ["scratch", "checkpoint"])
def test_trainings_start_where_they_are_asked_to(pair, shut, start):
    arguments = ("student.pth", "--only", "add_weight_decay", "--seeds", "1", "--start", start,
                 "-q", "--format", "json")  # fmt: skip
    assert fix(*arguments) == 0
    plan = json.loads((shut / "plan.json").read_text())
    assert plan["start"] == start
    assert {t["start"] for t in plan["trials"]} == {start}
    assert not (shut / "trials").exists()

    assert fix("--apply", *arguments) == 0
    assert json.loads((shut / "plan.json").read_text())["hash"] == plan["hash"]
    record = json.loads((shut / "fix.json").read_text())
    assert {(t["start"], t["status"]) for t in record["trials"]} == {(start, "done")}
    assert [arm["start"] for arm in record["controls"]] == [start]


def test_from_scratch_needs_something_that_builds_the_student(pair, capsys):
    with Path("run.py").open("a") as code:
        code.write("\n\nready = linear()\n")
    config = Path("gapdoctor.toml")
    config.write_text(config.read_text().replace("run.py:linear", "run.py:ready", 1))
    arguments = ("student.pth", "--only", "add_weight_decay", "-q")
    assert fix(*arguments, "--start", "scratch") == 2
    told = capsys.readouterr().err.splitlines()
    assert "--start scratch" in told[0]
    assert len(told) == 2
    assert fix(*arguments, "--start", "checkpoint") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="counts processes")
def test_interrupted_it_keeps_what_is_done_and_goes_on(command, pair, shut):
    # Long enough that nobody trains it before the signal.
    config = Path("gapdoctor.toml")
    config.write_text(config.read_text().replace("epochs = 4", "epochs = 4000"))
    arguments = [str(command), "fix", "--apply", "student.pth", "--only", "add_weight_decay", "-v"]
    ran = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True,
        # What a shell runs behind its back ignores the signal, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    until = time.monotonic() + 300
    while not list(shut.glob("trials/*/*/state.pt")) and time.monotonic() < until:
        assert ran.poll() is None, ran.stderr.read()
        time.sleep(0.1)
    os.killpg(ran.pid, signal.SIGINT)  # as a terminal does: all of them
    _, told = ran.communicate(timeout=240)
    assert ran.returncode == 130, told
    assert told.splitlines()[-1] == (
        "gapdoctor: interrupted; what was finished is kept in student.gapdoctor; "
        "run it again to go on"
    )
    assert "Traceback" not in told
    assert list(shut.glob("trials/*/control-scratch-0/state.pt"))
    assert not (shut / ".lock").exists()


# -- bad usage -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "add_weigth_decay"], "did you mean add_weight_decay?"),
        (["--skip", "sleep"], "--skip sleep: no fix has this name"),
        (["--engine", "ray:auto"], "ray is not supported"),
        (["--engine", "slurm"], "--engine slurm: not known"),
        (["--budget", "soon"], "--budget soon: not a time"),
        (["--start", "middle"], "scratch"),
    ],
)
def test_bad_usage_is_two_lines(pair, capsys, arguments, told):
    assert fix("student.pth", *arguments) == 2
    err = capsys.readouterr().err
    assert told in err
    assert len(err.splitlines()) == 2


def test_a_gate_looks_at_what_is_left(pair, capsys):
    assert fix("student.pth", "--fail-on", "high", "-q") == 1
    assert fix("--apply", "student.pth", "--only", "scale_temperature", "--fail-on", "high",
               "-q") == 0  # fmt: skip


def test_without_any_control_the_run_is_incomplete(pair, capsys):
    code = fix("--apply", "student.pth", "--only", "add_weight_decay", "--start", "scratch",
               "--set", "recipe.lr=1e38")  # fmt: skip
    assert code == 3
    told = capsys.readouterr().err
    assert "no control was trained to its end" in told
    assert "try: run the same command again to go on; another --budget makes a new plan" in told


def test_the_demo_pair_gets_its_plan(tmp_path, monkeypatch, capsys):
    shutil.copytree(DEMO, tmp_path / "demo")
    monkeypatch.chdir(tmp_path / "demo")
    assert fix() == 0
    shown = capsys.readouterr().out
    assert "rebalance_losses: The teacher is heard" in " ".join(shown.split())
    assert "recipe.task_weight 0.9 → 0.1" in " ".join(shown.split())
