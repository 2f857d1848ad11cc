"""`gapdoctor inspect` and `gapdoctor init`, as they are typed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from gapdoctor.cli.app import run

Installed = Callable[..., "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run a command in this process: starting torch anew takes seconds."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> Done:
        code = run(arguments)
        return Done(code, *capsys.readouterr())

    return command


RUN_PY = """
from torch import nn

print("user code runs")


def student(width=2):
    return nn.Linear(width, 3)


def teacher():
    return student(8)
"""
CONFIG = """
[student]
model = "run.py:student"
args = { width = 4 }
[teacher]
model = "run.py:teacher"
"""


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "student.pth"
    content = {"model": nn.Linear(4, 3).state_dict(), "args": {"lr": 0.1, "alpha": 0.9}}
    torch.save(content, path)
    return path


def test_inspect_tells_what_is_in_a_file(gapdoctor: Installed, checkpoint: Path) -> None:
    done = gapdoctor("inspect", checkpoint.name)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "student.pth"
    assert "  format                nested" in lines
    assert "  config                none found" in lines
    assert "  model                 2 tensors, 15 parameters" in lines
    assert "  lr                    0.1  (from the checkpoint)" in lines
    assert any(line.startswith("  unknown               epochs, batch_size") for line in lines)
    assert "  epochs                none" in lines
    assert any("alpha = 0.9" in line for line in lines)


def test_inspect_tells_which_model_the_weights_fit(
    typed: Run, checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "run.py").write_text(RUN_PY)
    (tmp_path / "gapdoctor.toml").write_text(CONFIG)
    done = typed("inspect", checkpoint.name, "--json")
    record = json.loads(done.stdout)
    assert record["schema"] == "gapdoctor.inspection/1"
    assert record["config"] == "gapdoctor.toml"
    assert record["entries"] == [
        {"key": "model", "role": None, "tensors": 2, "parameters": 15, "fits": ["student"]}
    ]
    assert record["recipe"]["lr"] == {"value": 0.1, "source": "checkpoint"}
    assert record["recipe"]["epochs"] == {"value": None, "source": "unknown"}
    assert record["history"] is None
    assert done.stderr == "user code runs\n"
    torch.save(nn.Linear(5, 5).state_dict(), checkpoint)
    assert "fits neither model" in typed("inspect", checkpoint.name).stdout


def test_inspect_goes_on_where_the_config_does_not_build(
    typed: Run, checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "run.py").write_text("def teacher():\n    raise ValueError('no')\n")
    (tmp_path / "gapdoctor.toml").write_text(CONFIG)
    done = typed("inspect", checkpoint.name)
    assert done.returncode == 0
    assert "Not compared with the student: " in done.stdout
    assert "Not compared with the teacher: " in done.stdout


def test_inspect_reports_a_history(typed: Run, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text("epoch,train_loss,val_loss\n1,2,3\n2,1,2\n")
    done = typed("inspect", checkpoint.name, "--json")
    assert json.loads(done.stdout)["history"] == {
        "source": "history.csv",
        "epochs": 2,
        "columns": ["epoch", "train_loss", "heldout_loss"],
    }
    assert "2, from history.csv" in typed("inspect", checkpoint.name).stdout


def test_inspect_shows_no_control_characters(typed: Run, checkpoint: Path) -> None:
    torch.save({"\x1b[31mred\u202e": nn.Linear(4, 3).state_dict()}, checkpoint)
    done = typed("inspect", checkpoint.name)
    assert done.returncode == 0
    assert "?[31mred?" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("name", ["inspect", "init"])
@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "no such file"), (b"", "is empty"), (b"version https://git-lfs", "Git LFS")],
)
def test_a_file_that_is_none_is_two_lines_and_exit_2(
    typed: Run, tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "x.pth").write_bytes(content)
    done = typed(name, "x.pth")
    assert (done.returncode, done.stdout) == (2, "")
    first, second = done.stderr.splitlines()
    assert first.startswith("gapdoctor: ")
    assert said in first
    assert second.startswith("try: ")
    assert [p.name for p in tmp_path.iterdir()] == ([] if content is None else ["x.pth"])


def test_init_writes_beside_the_checkpoint(typed: Run, checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    shutil.move(checkpoint, folder / "student.pth")
    done = typed("init", "runs/student.pth")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "runs/gapdoctor.toml",
        "Fill in the lines that say unknown, then: gapdoctor diagnose runs/student.pth",
    ]
    parsed = tomllib.loads((folder / "gapdoctor.toml").read_text())
    assert parsed["student"] == {"checkpoint": "student.pth"}
    assert parsed["recipe"] == {"lr": 0.1}


def test_init_never_overwrites(typed: Run, checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "gapdoctor.toml"
    target.write_text("# mine\n")
    done = typed("init", checkpoint.name)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "gapdoctor: gapdoctor.toml: exists, and is left as it is"
    assert target.read_text() == "# mine\n"
    done = typed("init", checkpoint.name, "-o", "other/config.toml")
    assert done.returncode == 0
    assert done.stdout.endswith("gapdoctor diagnose student.pth -c other/config.toml\n")
    parsed = tomllib.loads((tmp_path / "other" / "config.toml").read_text())
    assert parsed["student"]["checkpoint"] == "../student.pth"


def test_the_config_of_init_leads_to_a_clear_next_step(typed: Run, checkpoint: Path) -> None:
    typed("init", checkpoint.name)
    done = typed("diagnose", checkpoint.name)
    assert done.returncode == 2
    assert "gapdoctor.toml: missing student.model, teacher.model, data.train" in done.stderr


HEAVY = """
import sys
from pathlib import Path
from gapdoctor.cli.{name} import {name}
from gapdoctor.errors import GapDoctorError
try:
    {name}(Path("nowhere.pth"))
except GapDoctorError as error:
    print(error.message)
heavy = {{"torch", "torchvision", "numpy", "pandas", "scipy", "sklearn", "matplotlib"}}
print(sorted(heavy & set(sys.modules)))
"""


@pytest.mark.parametrize("name", ["inspect", "init"])
def test_a_missing_file_is_told_before_torch_is_imported(tmp_path: Path, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HEAVY.format(name=name)],
        cwd=tmp_path, capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["nowhere.pth: no such file", "[]"]
