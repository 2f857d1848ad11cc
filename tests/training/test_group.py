"""A group of trials: one failure costs itself alone."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gapdoctor.domain.trials import TrialSpec
from gapdoctor.errors import IncompleteRun
from gapdoctor.training.callbacks import Callback, Running
from gapdoctor.training.folder import TrialFolder
from gapdoctor.training.group import run_group
from gapdoctor.training.trial import run_trial

Pair = Callable[..., Any]
SpecOf = Callable[..., TrialSpec]


def weights(folder: Path) -> dict[str, bytes]:
    state = torch.load(folder / "student.pt", weights_only=True)
    return {key: value.numpy().tobytes() for key, value in state.items()}


def test_together_as_alone(pair: Pair, spec: SpecOf, tmp_path: Path) -> None:
    specs = [
        spec("one", batch_size=7), spec("two", augment=("noise",)), spec("three", dropout=0.4),
    ]  # fmt: skip
    found = run_group(specs, pair(), tmp_path / "group")
    assert [(r.fix, r.status) for r in found] == [
        ("one", "done"),
        ("two", "done"),
        ("three", "done"),
    ]
    for wanted in specs:
        run_trial(wanted, pair(), tmp_path / "alone" / wanted.name)
        alone, together = (weights(tmp_path / n / wanted.name) for n in ("alone", "group"))
        assert alone == together


def test_a_failure_costs_itself_and_is_tried_again(
    pair: Pair, spec: SpecOf, tmp_path: Path
) -> None:
    specs = [spec("a"), spec("b", augment=("cutmix",)), spec("c"), spec("d")]

    class Bad(Callback):
        """Fails in the first epoch of the third trial; the second has none."""

        epochs = 0

        def epoch_closed(self, run: Running) -> None:
            self.epochs += 1
            if self.epochs == 4:
                raise ZeroDivisionError("a mistake of ours")

    found = run_group(specs, pair(), tmp_path, watching=[Bad()])
    assert [r.status for r in found] == ["done", "failed", "failed", "done"]
    assert "'cutmix' cannot be replayed" in found[1].note
    assert found[2].note == "ZeroDivisionError: a mistake of ours"
    place = TrialFolder(tmp_path / specs[2].name)
    assert place.record() == found[2]
    assert place.done() is None
    assert "epoch_closed" in (place.path / "error.log").read_text()
    again = run_group(specs, pair(), tmp_path)
    assert [r.status for r in again] == ["done", "failed", "done", "done"]
    assert not (place.path / "failed.json").exists()
    assert not (place.path / "error.log").exists()


def test_a_stop_keeps_what_is_finished(pair: Pair, spec: SpecOf, tmp_path: Path) -> None:
    specs = [spec(seed=seed) for seed in range(3)]
    run_trial(specs[2], pair(), tmp_path / specs[2].name)
    asked = iter([False] * (1 + 12 + 1 + 5))
    found = run_group(specs, pair(), tmp_path, should_stop=lambda: next(asked, True))
    assert [r.status for r in found] == ["done", "not_reached", "done"]
    assert found[1].note == "stopped after 1 of 3 epochs"
    found = run_group(specs, pair(), tmp_path, should_stop=lambda: True)
    assert [r.status for r in found] == ["done", "not_reached", "done"]
    assert found[1].note == "stopped before it began"


def test_finished_trials_read_no_data(pair: Pair, spec: SpecOf, tmp_path: Path) -> None:
    found = run_group([spec()], pair(), tmp_path)

    def gone() -> Any:
        raise AssertionError("read")

    assert run_group([spec()], pair(train=gone, heldout=gone), tmp_path) == found


def test_a_full_disk_ends_the_group(
    pair: Pair, spec: SpecOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[int] = []

    def build() -> nn.Module:
        built.append(1)
        return nn.Linear(4, 3)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(IncompleteRun, match="No space left"):
        run_group([spec(), spec(seed=1)], pair(student_factory=build), tmp_path)
    assert built == []
