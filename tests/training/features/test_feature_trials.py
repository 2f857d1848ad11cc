"""Trials with a feature loss: resumed, watched, written, and beside a trainer of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from gapdoctor.domain.recipe import FeatureLoss, Optimizer, Recipe
from gapdoctor.domain.trials import WITHOUT_TEACHER, TrialSpec
from gapdoctor.observe.borrow import own_random_state
from gapdoctor.training.arms import continued_recipe
from gapdoctor.training.callbacks import EarlyStopping, watching
from gapdoctor.training.folder import TrialFolder
from gapdoctor.training.loop import Length, fit
from gapdoctor.training.noted import has_effect
from gapdoctor.training.records import EpochRow
from gapdoctor.training.rows import rows_of_tensors
from gapdoctor.training.trial import run_trial

Pair = Callable[..., Any]
SpecOf = Callable[..., TrialSpec]
MSE = {"feature_loss": FeatureLoss.MSE, "feature_weight": 2.0, "feature_layers": (("2", "1"),)}


def teacher() -> nn.Module:
    with own_random_state(5):
        return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))


def after(calls: int) -> Callable[[], bool]:
    """Ask for an end once it has been asked about so often."""
    left = iter(range(calls))
    return lambda: next(left, None) is None


def weights(folder: Path) -> dict[str, bytes]:
    state = torch.load(folder / "student.pt", weights_only=True)
    return {key: value.numpy().tobytes() for key, value in state.items()}


@pytest.mark.parametrize("hints", [0, 2])
@pytest.mark.parametrize("stop", [5, 9])
def test_an_interrupted_trial_ends_at_the_same_numbers(
    pair: Pair, spec: SpecOf, tmp_path: Path, stop: int, hints: int
) -> None:
    wanted = spec(
        "distill_hints", epochs=4, augment=("noise",), optimizer=Optimizer.ADAM, lr=0.01,
        betas=(0.9, 0.99), early_stopping=2, hint_epochs=hints, **MSE,
    )  # fmt: skip
    case = pair(teacher=teacher())
    run_trial(wanted, case, tmp_path / "whole")
    cut = run_trial(wanted, case, tmp_path / "cut", should_stop=after(stop), save_every=0.0)
    assert cut.status == "not_reached"
    assert run_trial(wanted, case, tmp_path / "cut", save_every=0.0).status == "done"
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    curves = [TrialFolder(tmp_path / name).curve() for name in ("cut", "whole")]
    assert curves[0] == curves[1]


def test_what_is_written_is_a_student_as_any_other(
    pair: Pair, spec: SpecOf, tmp_path: Path
) -> None:
    case = pair(teacher=teacher())
    run_trial(spec(), case, tmp_path / "plain")
    run_trial(spec("distill_features", **MSE), case, tmp_path / "features")
    plain, features = (weights(tmp_path / name) for name in ("plain", "features"))
    assert list(plain) == list(features)
    assert plain != features
    assert not any(m._forward_hooks for m in (*case.student.modules(), *case.teacher.modules()))


def test_without_the_teacher_there_are_no_features_either(
    pair: Pair, spec: SpecOf, tmp_path: Path
) -> None:
    case = pair(teacher=teacher())
    run_trial(spec(WITHOUT_TEACHER, **MSE), case, tmp_path / "a")
    run_trial(spec(task_weight=1.0), case, tmp_path / "b")
    assert weights(tmp_path / "a") == weights(tmp_path / "b")


def test_early_stopping_waits_for_the_end_of_the_hints() -> None:
    recipe = Recipe(early_stopping=2, hint_epochs=3, feature_loss=FeatureLoss.MSE)
    _, stopping = watching(recipe, list)
    assert isinstance(stopping, EarlyStopping)

    class Run:
        stopped, step, student = "", 0, nn.Linear(2, 2)

        def stop(self, reason: str) -> None:
            self.stopped = reason

    run = Run()
    for epoch, loss in enumerate((0.1, 5.0, 5.0, 3.0, 4.0, 4.0), start=1):
        assert run.stopped == ""
        row = EpochRow(epoch, epoch, 0.0, 0.0, None, 0.1, loss)
        stopping.epoch_ended(run, row)  # type: ignore[arg-type]
    assert run.stopped == "early"
    assert stopping.state()["best"] == 3.0


def test_a_continuation_asks_no_layers(pair: Pair) -> None:
    """Nor does a measurement of the pace: the teacher may be anything there."""
    recipe = Recipe(lr=0.1, hint_epochs=3, **MSE)  # type: ignore[arg-type]
    assert continued_recipe(recipe).feature_loss is None


def test_a_trainer_of_the_users_own_decides_by_what_it_reads(spec: SpecOf) -> None:
    control, variant = spec(), spec("distill_features", **MSE)
    assert has_effect(variant, control, ("lr", "feature_loss"))
    assert not has_effect(variant, control, ("lr", "task_weight"))


# -- whether it helps --------------------------------------------------------------------------


def rows(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Classes by the parity of signs: hard to learn from few rows."""
    chance = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 12, generator=chance)
    return x, (x[:, :3] > 0).sum(1) % 2 + 2 * (x[:, 3] > 0)


def network(width: int, seed: int) -> nn.Module:
    with own_random_state(seed):
        return nn.Sequential(
            nn.Linear(12, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 4)
        )  # fmt: skip


def at_own_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    scales = torch.logspace(-0.5, 1, 31)
    return min(float(functional.cross_entropy(logits / scale, labels)) for scale in scales)


def test_a_student_of_few_rows_learns_from_the_layers_of_its_teacher() -> None:
    """A planted fault: 120 rows, and labels alone; the teacher has seen 6,000."""
    usual = Recipe(batch_size=64, optimizer=Optimizer.ADAM, lr=3e-3, task_weight=1.0)
    skilled = fit(network(64, 0), None, rows_of_tensors(*rows(6000, 1)), usual, Length(epochs=12))
    few, (x, y) = rows_of_tensors(*rows(120, 2)), rows(2000, 3)
    gains = []
    for seed in range(2):
        losses = []
        for loss in (None, FeatureLoss.SIMILARITY):
            recipe = Recipe(
                epochs=40, batch_size=60, optimizer=Optimizer.ADAM, lr=3e-3, task_weight=1.0,
                feature_loss=loss, feature_layers=(("1", "1"), ("3", "3")),
            )  # fmt: skip
            student = network(32, 10 + seed)
            trained = fit(student, skilled.student, few, recipe, seed=seed).student
            with torch.no_grad():
                losses.append(at_own_temperature(trained(x), y))
        gains.append(losses[0] - losses[1])
    assert min(gains) > 0.1
