"""One trial: its files, that it is resumed to the same numbers, and what may go wrong."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor.domain.recipe import FeatureLoss, Optimizer, Schedule
from gapdoctor.domain.trials import WITHOUT_TEACHER, TrialSpec
from gapdoctor.errors import GapDoctorError, IncompleteRun, UserCodeError
from gapdoctor.observe.progress import Progress
from gapdoctor.observe.sampling import choosing_half
from gapdoctor.training.callbacks import Callback, Running
from gapdoctor.training.folder import TrialFolder, spec_from_json, spec_to_json
from gapdoctor.training.heldout import read_outputs
from gapdoctor.training.materials import Materials
from gapdoctor.training.records import EpochRow
from gapdoctor.training.students import initial_student, read_trained
from gapdoctor.training.trial import run_trial

Pair = Callable[..., Any]
SpecOf = Callable[..., TrialSpec]
Weights = Callable[[nn.Module], dict[str, Any]]


def after(calls: int) -> Callable[[], bool]:
    """Ask for an end once it has been asked about so often."""
    left = iter(range(calls))
    return lambda: next(left, None) is None


def arrays(folder: Path) -> dict[str, bytes]:
    """All that a finished trial left, but for how long it took."""
    kept = {name: (folder / name).read_bytes() for name in ("history.csv", "outputs.npz")}
    state = torch.load(folder / "student.pt", weights_only=True)
    return kept | {key: value.numpy().tobytes() for key, value in state.items()}


# -- what it leaves ----------------------------------------------------------------------------


def test_a_trial_leaves_what_verification_needs(pair: Pair, spec: SpecOf, tmp_path: Path) -> None:
    case, wanted = pair(), spec(lr=0.05)
    found = run_trial(wanted, case, tmp_path / "t")
    names = sorted(p.name for p in (tmp_path / "t").iterdir())
    assert names == ["done.json", "history.csv", "outputs.npz", "spec.json", "student.pt"]
    assert (found.fix, found.seed, found.status, found.start) == ("control", 0, "done", "scratch")
    assert found.trained_samples == 3 * 60
    assert TrialFolder(tmp_path / "t").record() == found
    student = read_trained(wanted, case, tmp_path / "t" / "student.pt")
    said = read_outputs(tmp_path / "t" / "outputs.npz")
    inputs, labels = case.heldout
    assert np.allclose(said.logits, student(inputs).detach().numpy(), atol=1e-5)
    assert said.logits.dtype == np.float32
    assert np.array_equal(said.labels, labels.numpy())
    assert np.array_equal(said.positions, np.arange(60))
    assert np.array_equal(said.choosing, choosing_half(np.arange(60), None))
    assert found.heldout_loss == pytest.approx(said.choosing_loss(), rel=1e-5)


def test_only_half_a_is_watched(pair: Pair, spec: SpecOf, tmp_path: Path) -> None:
    case, wanted = pair(), spec()
    run_trial(wanted, case, tmp_path)
    student = read_trained(wanted, case, tmp_path / "student.pt")
    inputs, labels = case.heldout
    half = torch.from_numpy(choosing_half(np.arange(60), None))
    expected = nn.functional.cross_entropy(student(inputs[half]), labels[half]).item()
    curve = TrialFolder(tmp_path).curve()
    assert [row[0] for row in curve] == [1, 2, 3]
    assert curve[-1][2] == pytest.approx(expected, rel=1e-5)


def test_a_finished_trial_is_not_trained_again(pair: Pair, spec: SpecOf, tmp_path: Path) -> None:
    found = run_trial(spec(), pair(), tmp_path)
    before = arrays(tmp_path)

    def never() -> nn.Module:
        raise AssertionError("trained again")

    assert run_trial(spec(), pair(student_factory=never), tmp_path) == found
    assert arrays(tmp_path) == before


def test_a_folder_belongs_to_one_trial(pair: Pair, spec: SpecOf, tmp_path: Path) -> None:
    run_trial(spec(), pair(), tmp_path)
    with pytest.raises(GapDoctorError, match="holds another trial"):
        run_trial(spec(lr=0.2), pair(), tmp_path)


def test_a_spec_is_kept_to_the_last_digit(spec: SpecOf) -> None:
    wanted = spec(
        lr=0.1234567890123, betas=(0.9, 0.98765432101), optimizer=Optimizer.ADAMW,
        augment=("crop",), milestones=(1, 2),
        feature_layers=(("1", "0"), ("3", "2")), feature_loss=FeatureLoss.ATTENTION,
    )  # fmt: skip
    assert spec_from_json(spec_to_json(wanted)) == wanted


# -- interruptions -----------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [1, 4, 9, 16])
def test_an_interrupted_trial_ends_at_the_same_numbers(
    pair: Pair, spec: SpecOf, tmp_path: Path, stop: int
) -> None:
    wanted = spec(
        epochs=5, schedule=Schedule.PLATEAU, patience=0, factor=0.5, min_lr=0.0, early_stopping=4,
        augment=("noise", "mixup"), optimizer=Optimizer.ADAM, betas=(0.9, 0.99), lr=0.01,
    )  # fmt: skip
    run_trial(wanted, pair(), tmp_path / "whole")
    cut = run_trial(wanted, pair(), tmp_path / "cut", should_stop=after(stop), save_every=0.0)
    whole_epochs = stop // 4
    assert cut.status == "not_reached"
    assert cut.note == f"stopped after {whole_epochs} of 5 epochs"
    assert (tmp_path / "cut" / "state.pt").exists() == (whole_epochs > 0)
    assert not (tmp_path / "cut" / "done.json").exists()
    steps = Steps()
    again = run_trial(wanted, pair(), tmp_path / "cut", progress=steps, save_every=0.0)
    assert again.status == "done"
    assert steps.units[0] == (4 * whole_epochs or 1)
    assert sum(steps.units) == 20
    assert arrays(tmp_path / "cut") == arrays(tmp_path / "whole")


class Steps(Progress):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.units: list[int] = []

    def advance(self, units: int = 1) -> None:
        self.units.append(units)


def test_a_damaged_state_begins_anew(pair: Pair, spec: SpecOf, tmp_path: Path) -> None:
    run_trial(spec(), pair(), tmp_path / "whole")
    run_trial(spec(), pair(), tmp_path / "cut", should_stop=after(6), save_every=0.0)
    file = tmp_path / "cut" / "state.pt"
    file.write_bytes(file.read_bytes()[:200])
    run_trial(spec(), pair(), tmp_path / "cut")
    assert arrays(tmp_path / "cut") == arrays(tmp_path / "whole")


def test_a_full_disk_is_one_line_and_costs_nothing_finished(
    pair: Pair, spec: SpecOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run_trial(spec(), pair(), tmp_path / "done")
    calls = iter(range(3))  # spec.json and two states find room
    real = os.replace

    def replace_(source: Any, target: Any) -> None:
        if next(calls, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace_)
    with pytest.raises(IncompleteRun, match="No space left on device") as failed:
        run_trial(spec(seed=1), pair(), tmp_path / "full", save_every=0.0)
    assert failed.value.exit_code == 3
    monkeypatch.undo()
    assert not [p for p in (tmp_path / "full").iterdir() if p.name.endswith(".tmp")]
    run_trial(spec(seed=1), pair(), tmp_path / "full")
    run_trial(spec(seed=1), pair(), tmp_path / "other")
    assert arrays(tmp_path / "full") == arrays(tmp_path / "other")
    assert run_trial(spec(), pair(), tmp_path / "done") == done


def test_a_folder_that_cannot_be_written(pair: Pair, spec: SpecOf, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(IncompleteRun, match="cannot write"):
        run_trial(spec(), pair(), tmp_path / "file" / "t")


# -- where it starts, what it learns from ------------------------------------------------------


def test_trials_of_one_seed_start_with_the_same_weights(
    pair: Pair, spec: SpecOf, weights_of: Weights
) -> None:
    case = pair(larger_factory=lambda: nn.Linear(4, 3))
    one, other = (
        weights_of(initial_student(spec(f, lr=lr), case)) for f, lr in (("a", 1), ("b", 2))
    )
    assert one == other
    assert one != weights_of(initial_student(spec(seed=1), case))
    given = initial_student(spec(start="checkpoint"), case)
    assert weights_of(given) == weights_of(case.student)
    assert given is not case.student
    assert isinstance(initial_student(spec(larger=True), case), nn.Linear)


def test_a_factory_that_hands_out_one_student_twice(
    pair: Pair, spec: SpecOf, tmp_path: Path, weights_of: Weights
) -> None:
    case = pair()
    before = weights_of(case.student)
    run_trial(spec(), replace(case, student_factory=lambda: case.student), tmp_path)
    assert weights_of(case.student) == before


@pytest.mark.parametrize(
    ("more", "wanted", "message"),
    [
        ({"student_factory": None}, {}, "nothing builds it anew"),
        ({}, {"larger": True}, "nothing builds a larger one"),
        ({}, {"larger": True, "start": "checkpoint"}, "no checkpoint"),
        ({"student_factory": lambda: 1 / 0}, {}, "ZeroDivisionError"),
        ({"student_factory": lambda: 3}, {}, "gave int"),
        ({}, {"augment": ("cutmix",)}, "'cutmix' cannot be replayed"),
    ],
)
def test_what_cannot_be_run_is_one_line(
    pair: Pair, spec: SpecOf, tmp_path: Path, more: Any, wanted: Any, message: str
) -> None:
    with pytest.raises(GapDoctorError, match=message):
        run_trial(spec(**wanted), pair(**more), tmp_path)


def test_from_the_checkpoint_the_rate_comes_down_to_zero(
    pair: Pair, spec: SpecOf, tmp_path: Path
) -> None:
    wanted = replace(spec(start="checkpoint", epochs=8, lr=0.1), epochs=2, anneal=True)
    run_trial(wanted, pair(), tmp_path)
    rates = [row[-1] for row in TrialFolder(tmp_path).curve()]
    assert rates == pytest.approx([0.1 * (1 - 3 / 8), 0.1 * (1 - 7 / 8)])


def test_without_a_teacher_the_labels_are_all(pair: Pair, spec: SpecOf, tmp_path: Path) -> None:
    run_trial(spec(WITHOUT_TEACHER), pair(), tmp_path / "a")
    run_trial(spec(task_weight=1.0), pair(), tmp_path / "b")
    assert arrays(tmp_path / "a") == arrays(tmp_path / "b")


def test_early_stopping_goes_by_half_a_and_keeps_the_best(
    pair: Pair, spec: SpecOf, tmp_path: Path
) -> None:
    case, wanted = pair(), spec(epochs=40, lr=0.5, task_weight=1.0, early_stopping=2)
    found = run_trial(wanted, case, tmp_path)
    curve = TrialFolder(tmp_path).curve()
    losses = [row[2] for row in curve]
    assert len(curve) < 40
    assert losses.index(min(losses)) == len(losses) - 3
    assert found.trained_samples == len(curve) * 60
    said = read_outputs(tmp_path / "outputs.npz")
    kept = nn.functional.cross_entropy(
        torch.from_numpy(said.logits[said.choosing]), torch.from_numpy(said.labels[said.choosing])
    )
    assert float(kept) == pytest.approx(min(losses), rel=1e-5)


def test_a_training_that_diverges_has_failed_for_good(
    pair: Pair, spec: SpecOf, tmp_path: Path
) -> None:
    found = run_trial(spec(lr=1e30), pair(), tmp_path)
    assert (found.status, found.heldout_loss) == ("failed", None)
    assert "diverged in epoch 1" in found.note
    assert run_trial(spec(lr=1e30), pair(), tmp_path) == found
    assert math.isnan(TrialFolder(tmp_path).curve()[0][1])


def test_dropout_is_a_knob_that_changes_no_key(pair: Pair, spec: SpecOf, tmp_path: Path) -> None:
    case = pair()
    run_trial(spec(), case, tmp_path / "a")
    run_trial(spec(dropout=0.5), case, tmp_path / "b")
    one, other = arrays(tmp_path / "a"), arrays(tmp_path / "b")
    assert one.keys() == other.keys()
    assert one["4.weight"] != other["4.weight"]


class Noting(Callback):
    """Looks on."""

    def __init__(self) -> None:
        self.losses: list[float | None] = []

    def epoch_ended(self, run: Running, row: EpochRow) -> EpochRow:
        self.losses.append(row.heldout_loss)
        return row


def test_who_looks_on_hears_of_half_a_and_may_come_and_go(
    pair: Pair, spec: SpecOf, tmp_path: Path
) -> None:
    first, then = Noting(), Noting()
    run_trial(spec(), pair(), tmp_path / "plain")
    run_trial(
        spec(), pair(), tmp_path / "seen", watching=[first], should_stop=after(5), save_every=0.0
    )
    run_trial(spec(), pair(), tmp_path / "seen", watching=[then, Noting()])
    curve = TrialFolder(tmp_path / "seen").curve()
    assert [*first.losses, *then.losses] == pytest.approx([row[2] for row in curve])
    assert arrays(tmp_path / "seen") == arrays(tmp_path / "plain")


def test_weights_of_another_student_are_told(pair: Pair, spec: SpecOf, tmp_path: Path) -> None:
    run_trial(spec(), pair(), tmp_path)
    other = pair(student_factory=lambda: nn.Linear(4, 3))
    with pytest.raises(IncompleteRun, match=r"student\.pt: cannot be read"):
        read_trained(spec(), other, tmp_path / "student.pt")


def test_a_student_that_fails_is_named(pair: Pair, spec: SpecOf, tmp_path: Path) -> None:
    with pytest.raises(UserCodeError, match="student: forward raised RuntimeError"):
        run_trial(spec(), pair(student_factory=lambda: nn.Linear(5, 3)), tmp_path)


def test_materials_read_rows_and_ask_the_teacher_once(
    pair: Pair, spec: SpecOf, tmp_path: Path
) -> None:
    asked: list[int] = []

    class Counted(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            asked.append(len(x))
            return super().forward(x)

    materials = Materials(pair(teacher=Counted(4, 3)))
    for seed in (0, 1):
        run_trial(spec(seed=seed, batch_size=16 + seed), materials, tmp_path / str(seed))
    assert asked == [60]
