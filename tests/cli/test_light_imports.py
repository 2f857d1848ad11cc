"""Help pages and missing files import nothing heavy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gapdoctor.cli.app import PANELS

HEAVY = {"torch", "torchvision", "numpy", "pandas", "scipy", "sklearn", "matplotlib"}
COMMANDS = [name for names in PANELS.values() for name in names]


def imported(stderr: str) -> set[str]:
    """Top-level names in what `PYTHONPROFILEIMPORTTIME` tells."""
    names = re.findall(r"^import time:\s*\d+ \|\s*\d+ \|\s*(\S+)", stderr, flags=re.MULTILINE)
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        *(([name, "--help"], 0) for name in COMMANDS),
        ([], 2),
        (["diagnoze"], 2),
        (["diagnose", "missing.pth"], 2),
        (["diagnose", "-c", "missing.toml"], 2),
        (["diagnose"], 2),
        (["fix", "missing.pth"], 2),
        (["fix", "--engine", "ray"], 2),
        (["inspect", "missing.pth"], 2),
        (["init", "missing.pth"], 2),
        (["report", "missing", "--format", "md"], 2),
        (["compare", "missing", "missing"], 2),
        (["history", "missing.csv"], 2),
        (["explain"], 0),
        (["explain", "mirror"], 0),
        (["explain", "nothing_of_this_name"], 2),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else None,
)
def test_nothing_heavy_is_imported(gapdoctor, arguments, code):
    done = gapdoctor(*arguments, env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert done.returncode == code
    names = imported(done.stderr)
    assert "typer" in names, "the list of imports was not read"
    assert names & HEAVY == set()


def test_a_config_that_names_a_missing_file_is_told_before_torch(gapdoctor, tmp_path: Path):
    (tmp_path / "student.pth").write_bytes(b"x")
    (tmp_path / "gapdoctor.toml").write_text(
        '[student]\nmodel = "run.py:student"\n[teacher]\nmodel = "run.py:teacher"\n'
        '[data]\ntrain = "run.py:train"\nheldout = "run.py:heldout"\n'
    )
    done = gapdoctor("diagnose", "student.pth", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert done.returncode == 2
    assert "gapdoctor.toml:2: student.model" in done.stderr
    assert imported(done.stderr) & HEAVY == set()


def test_importing_the_package_imports_nothing_heavy(gapdoctor):
    done = gapdoctor("--version", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert "gapdoctor" in imported(done.stderr)
    assert done.stdout.startswith("gapdoctor ")
