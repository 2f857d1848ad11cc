"""`gapdoctor history`: curves whose state is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gapdoctor.cli import app


def curves(state: str) -> list[tuple[int, float, float]]:
    """Return rows of epoch, train loss and held-out loss."""
    epoch = np.arange(1, 41)
    train = 2.0 * np.exp(-epoch / 5)
    heldout = {
        "overfitting": 0.5 + np.exp(-epoch / 4) + 0.02 * np.maximum(epoch - 15, 0),
        "unfinished": 2.0 - 0.03 * epoch,
        "healthy": 0.4 + np.exp(-epoch / 4),
        "unstable": 0.8 + 0.6 * (-1.0) ** epoch,
    }[state]
    return list(zip(epoch.tolist(), train.tolist(), heldout.tolist(), strict=True))


def write(file: Path, rows: list[tuple[int, float, float]], column: str = "heldout_loss") -> Path:
    lines = [f"{e},{t:.6f},{h:.6f}" for e, t, h in rows]
    file.write_text("\n".join([f"epoch,train_loss,{column}", *lines]) + "\n")
    return file


@pytest.mark.parametrize("state", ["overfitting", "unfinished", "healthy", "unstable"])
def test_the_state_is_told_with_value_and_limit(tmp_path, capsys, state):
    file = write(tmp_path / "history.csv", curves(state))
    assert app.run(["history", str(file)]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0] == f"{file}: {state}"
    assert lines[2].endswith(".")
    assert any(line.split()[-3:] == ["40", "5", "epochs"] for line in lines)
    assert shown.err == ""


def test_overfitting_names_epoch_and_rise(tmp_path, capsys):
    file = write(tmp_path / "history.csv", curves("overfitting"))
    app.run(["history", str(file), "--json"])
    reading = json.loads(capsys.readouterr().out)
    assert (reading["schema"], reading["state"]) == ("gapdoctor.history/1", "overfitting")
    facts = {f["name"]: f for f in reading["facts"]}
    assert facts["epoch of the lowest held-out loss"]["value"] == pytest.approx(15, abs=2)
    rise = facts["rise of the held-out loss since then"]
    assert (rise["value"], rise["unit"]) == (pytest.approx(0.45, abs=0.06), "nats")
    assert rise["limit"] < rise["value"]
    assert f"{rise['value']:.3g} nats" in reading["summary"]


def test_other_names_of_the_column_are_read(tmp_path, capsys):
    file = write(tmp_path / "log.csv", curves("healthy"), column="val_loss")
    assert app.run(["history", str(file)]) == 0
    assert capsys.readouterr().out.startswith(f"{file}: healthy\n")


def test_few_epochs_are_inconclusive(tmp_path, capsys):
    file = write(tmp_path / "history.csv", curves("overfitting")[:3])
    assert app.run(["history", str(file), "--json"]) == 0
    reading = json.loads(capsys.readouterr().out)
    assert reading["state"] == "inconclusive"
    assert reading["epochs"] == 3


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "epoch,train_loss\n1,2\n"])
def test_a_file_without_curves_is_told_in_two_lines(tmp_path, capsys, content):
    (tmp_path / "history.csv").write_text(content)
    assert app.run(["history", str(tmp_path / "history.csv")]) == 2
    told = capsys.readouterr().err
    assert "history.csv" in told.splitlines()[0]
    assert told.count("\n") == 2


def test_a_missing_file_is_told(tmp_path, capsys):
    assert app.run(["history", str(tmp_path / "none.csv")]) == 2
    assert "none.csv: no such file" in capsys.readouterr().err
