"""`gapdoctor demo`: the whole way on the bundled pair."""

from __future__ import annotations

import json

import pytest


@pytest.mark.slow
def test_the_demo_diagnoses_treats_and_ends_with_the_report(gapdoctor, tmp_path):
    done = gapdoctor("demo", timeout=600)
    assert done.returncode == 0
    assert done.stderr == (
        "The pair lies in gapdoctor-demo: gapdoctor.toml names it, run.py builds it.\n"
        "The diagnosis in gapdoctor-demo/checkpoint.gapdoctor still holds.\n"
    )
    lines = done.stdout.splitlines()
    assert lines[-1] == "gapdoctor-demo/checkpoint.gapdoctor/report.html"
    assert (tmp_path / lines[-1]).is_file()
    assert "Overfitting" in done.stdout
    record = json.loads((tmp_path / lines[-1]).with_name("diagnosis.json").read_text())
    assert record["verdict"] == "generalization_gap"
    assert record["causes"][0]["id"] == "overfitting"
    # The recorded command is one that can be typed to measure the same again.
    assert record["command"] == "gapdoctor diagnose gapdoctor-demo/checkpoint.pth"
    found = json.loads((tmp_path / lines[-1]).with_name("fix.json").read_text())
    assert found["command"] == "gapdoctor fix --apply gapdoctor-demo/checkpoint.pth"
    assert found["chosen"] is not None
    assert found["improvement"]["high"] < -0.05


def test_a_folder_of_somebody_else_is_left_alone(gapdoctor, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep me")
    done = gapdoctor("demo", "-o", "mine")
    assert done.returncode == 2
    assert done.stderr.startswith("gapdoctor: mine: ")
    assert [f.name for f in (tmp_path / "mine").iterdir()] == ["notes.txt"]
