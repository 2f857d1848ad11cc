"""The targets of the Makefile, as `make` itself reads them; none of them is run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def make(*arguments: str) -> list[str]:
    """Return what `make` prints."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    ran = subprocess.run(["make", *arguments], cwd=ROOT, env=clean, capture_output=True, text=True,
                         check=True)  # fmt: skip
    return ran.stdout.splitlines()


def test_every_target_has_its_line_of_help_and_they_stand_in_one_column() -> None:
    text = (ROOT / "Makefile").read_text()
    (phony,) = [x for x in text.splitlines() if x.startswith(".PHONY:")]
    lines = make("help")
    assert sorted(x.split()[1] for x in lines) == sorted(phony.split()[1:])
    at = len("  make ") + max(len(x.split()[1]) for x in lines)
    assert {x[at] for x in lines} == {" "}
    assert all(x[at + 1] != " " for x in lines)


def test_the_clinic_fixes_what_it_diagnosed_before_it_writes_the_page(tmp_path: Path) -> None:
    said = make("-n", "clinic", f"VENV={tmp_path}")
    steps = [x.partition(" -m tests.clinic ")[2] for x in said if " -m tests.clinic " in x]
    assert steps[-2:] == ["record", "page --out docs/accuracy.md"]
    for part in ("tuning", "reporting"):
        ran, healed = (steps.index(f"{do} --part {part} --resume") for do in ("run", "heal"))
        assert ran < healed < len(steps) - 2
    tried = steps.index("strategies --part tuning --trained-only --resume")
    learned = steps.index("record")  # before what is learned is measured
    assert tried < learned < steps.index("heal --part tuning --resume")


def test_the_peers_are_installed_and_none_of_them_may_be_missing(tmp_path: Path) -> None:
    said = make("-n", "peers", f"VENV={tmp_path}")
    assert "pip install --quiet --editable '.[dev,peers]'" in said[-3]
    assert said[-1] == f"GAPDOCTOR_PEERS=1 {tmp_path}/bin/pytest tests/peers"
