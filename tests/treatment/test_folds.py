"""Folds of the train rows on live pairs: they stop one that overfits, and leave a sound one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import gapdoctor
from gapdoctor import Case, Diagnosis, Recipe, diagnose
from gapdoctor.domain.findings import Interval
from gapdoctor.domain.recipe import Optimizer, Schedule
from gapdoctor.domain.trials import Plan
from gapdoctor.engines._base import Watcher
from gapdoctor.loading.splits import GroupIds
from gapdoctor.observe.borrow import own_random_state
from gapdoctor.probes.mirror import Mirror
from gapdoctor.training.defaults import completed
from gapdoctor.training.loop import fit
from gapdoctor.training.rows import rows_of_tensors
from gapdoctor.treatment._arms import Trained
from gapdoctor.treatment._folds import _grouped, _luck, lengths_of_folds
from gapdoctor.verify.folds import read_folds

NAME = "cross_validate"
CENTRES = np.zeros((3, 8))
CENTRES[:, :4] = 1.3 * np.array([[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, -1.0], [0.0, 0.0, 1.0, 0.0]])
RECIPE = completed(
    Recipe(epochs=20, batch_size=32, optimizer=Optimizer.SGD, lr=0.1, weight_decay=0.0,
           schedule=Schedule.COSINE, task_weight=1.0, augment=(), dropout=0.0, early_stopping=0)
).recipe  # fmt: skip
HEARD = replace(RECIPE, task_weight=0.0, temperature=1.0, lr=0.03, epochs=5, batch_size=64)
"""The teacher alone is listened to."""
Rows = tuple[torch.Tensor, torch.Tensor]


def rows(seed: int, n: int, spread: float = 1.0) -> Rows:
    """Three classes that overlap, in eight features of which four say nothing."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    inputs = CENTRES[labels] + spread * rng.normal(size=(n, 8))
    return torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels)


def wide() -> nn.Module:
    return nn.Sequential(
        nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3)
    )


def bayes() -> nn.Linear:
    layer = nn.Linear(8, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(CENTRES))
        layer.bias.copy_(torch.tensor(-0.5 * (CENTRES**2).sum(axis=1)))
    return layer


def case_of(recipe: Recipe, train: Rows, heldout: Rows, **more: Any) -> Case:
    """A pair whose student was trained by its recipe."""
    with own_random_state(5):
        blank = wide()
    student = fit(blank, bayes(), rows_of_tensors(*train), recipe, seed=5).student
    return Case(student=student, student_factory=wide, teacher=bayes(), train=train,
                heldout=heldout, recipe=recipe, **more)  # fmt: skip


def told(case: Case) -> Diagnosis:
    return diagnose(case, probes=(Mirror(),), progress=False)


def record(outcome: Any) -> Any:
    (found,) = [f for f in outcome.fixes if f.id == NAME]
    return found


def said(outcome: Any, words: str) -> str:
    (found,) = [n for n in outcome.notes if n.startswith(NAME) and words in n]
    return found


@pytest.fixture(scope="module")
def overfitted() -> Case:
    return case_of(RECIPE, rows(1, 160), rows(2, 1200))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whole") / "out"


@pytest.fixture(scope="module")
def outcome(overfitted: Case, folder: Path) -> Any:
    """Of a run that nothing interrupts."""
    return gapdoctor.fix(overfitted, told(overfitted), only=[NAME], folder=folder)


def test_stopped_where_the_folds_tell_it_is_better_than_the_control(outcome: Any) -> None:
    found = record(outcome)
    assert found.status == "verified"
    assert found.difference.high < -0.02
    (change,) = found.changes
    assert (change.key, change.before) == ("recipe.epochs", 20)
    assert 2 <= change.after <= 10
    assert outcome.chosen == NAME
    trained = [t for t in outcome.plan.trials if t.fix == NAME and t.fold is None]
    assert [(t.seed, t.epochs, t.recipe.epochs) for t in trained] == [
        (seed, change.after, change.after) for seed in range(3)
    ]
    done = {(t.fix, t.seed, t.fold) for t in outcome.trials if t.status == "done"}
    assert {(NAME, 0, (k, 5)) for k in range(1, 6)} < done
    assert {(NAME, seed, None) for seed in range(3)} < done


def test_what_is_said_of_it(outcome: Any) -> None:
    (change,) = record(outcome).changes
    folds = [t for t in outcome.trials if t.fold]
    losses = said(outcome, "each without one of 5 parts")
    assert f"after epoch {change.after} of 20" in losses
    assert ", ".join(f"{t.heldout_loss:.3g}" for t in folds) in losses
    assert "nats less" in said(outcome, "approximate")
    assert "too few rows to tell" in said(outcome, "on held-out rows")
    assert len(outcome.histories["cross_validate-scratch-0-fold1of5"]) == 20


def begun(outcome: Any, **ended: str) -> tuple[Plan, Trained]:
    """The plan before its folds were read, and how its first trials ended."""
    first = tuple(t for t in outcome.plan.trials if t.fix != NAME or t.fold)
    records = {t.name: t for t in outcome.trials}
    found = [
        replace(records[t.name], status=ended.get(t.fix, "done")) for t in first if t.seed == 0
    ]
    specs = tuple(t for t in first if t.seed == 0)
    return replace(outcome.plan, trials=first), Trained(specs, tuple(found))


def test_without_temperatures_the_plain_losses_tell(outcome: Any, folder: Path) -> None:
    plan, trained = begun(outcome)
    (place,) = (folder / "trials").iterdir()
    found = lengths_of_folds(
        plan, trained, place, np.random.default_rng(0), scaled=False, limit=0.05
    )  # fmt: skip
    names = [t.name for t in trained.specs if t.fold]
    plain = [[row[2] for row in outcome.histories[name]] for name in names]
    expected = read_folds(plain, [32] * 5)
    told_of = {t.epochs for t in found.plan.trials if t.fix == NAME and t.fold is None}
    assert told_of == {expected.epoch}
    assert f"after the last, {', '.join(f'{x:.3g}' for x in expected.last)}." in found.notes[0]


def test_nothing_is_told_before_all_folds_are_trained(outcome: Any, folder: Path) -> None:
    plan, trained = begun(outcome, cross_validate="not_reached")
    (place,) = (folder / "trials").iterdir()
    found = lengths_of_folds(
        plan, trained, place, np.random.default_rng(0), scaled=True, limit=0.05
    )  # fmt: skip
    assert (found.plan, found.notes) == (plan, ())


class Interrupting(Watcher):
    """Ends the run in the middle of a fold."""

    def epoch(self, trial: str, loss: float) -> None:
        if trial.endswith("fold3of5"):
            raise KeyboardInterrupt


def test_resumed_it_comes_to_the_same(overfitted: Case, outcome: Any, tmp_path: Path) -> None:
    found = told(overfitted)
    with pytest.raises(KeyboardInterrupt):
        gapdoctor.fix(overfitted, found, only=[NAME], folder=tmp_path / "out",
                      watcher=Interrupting())  # fmt: skip
    again = gapdoctor.fix(overfitted, found, only=[NAME], folder=tmp_path / "out")
    assert (again.fixes, again.notes, again.chosen) == (
        outcome.fixes, outcome.notes, outcome.chosen,
    )  # fmt: skip
    assert again.plan.trials == outcome.plan.trials
    assert [replace(t, seconds=0) for t in again.trials] == [
        replace(t, seconds=0) for t in outcome.trials
    ]


def test_a_sound_pair_is_left_alone() -> None:
    """A teacher that knows the classes is heard: the loss falls to the end."""
    case = case_of(HEARD, rows(1, 600), rows(2, 600))
    found = gapdoctor.fix(case, told(case), only=[NAME], seeds=1, start="scratch")
    assert found.chosen != NAME
    assert record(found).status == "not_applicable"
    assert "there is nothing to cut short" in record(found).reason
    assert {t.fold is None for t in found.trials if t.fix == NAME} == {False}
    assert "no less before the end, after epoch 5" in said(found, "each without one of 5 parts")
    assert "New rows" not in said(found, "on held-out rows")
    assert "unlucky one, or" not in said(found, "on held-out rows")


def test_a_split_of_another_kind_is_told() -> None:
    case = case_of(HEARD, rows(1, 400), rows(2, 400, spread=2.0), groups=list(range(400)))
    found = gapdoctor.fix(case, told(case), only=[NAME], seeds=1, start="scratch")
    assert "an unlucky one, or its rows are of another kind" in said(found, "on held-out rows")
    assert "names held-out rows only" in said(found, "[data] groups")


@pytest.mark.parametrize(
    ("low", "value", "high", "words"),
    [
        (-0.04, 0.0, 0.04, "neither a lucky nor an unlucky"),
        (0.01, 0.03, 0.045, "neither a lucky nor an unlucky"),
        (0.06, 0.1, 0.14, "0.1 nats more (0.06 more to 0.14 more) than on train rows"),
        (0.06, 0.1, 0.14, "an unlucky one"),
        (-0.14, -0.1, -0.06, "a lucky one, its labels are cleaner"),
        (-0.02, 0.1, 0.22, "too few rows to tell"),
        (0.01, 0.04, 0.08, "too few rows to tell"),
    ],
)
def test_luck_in_words(low: float, value: float, high: float, words: str) -> None:
    assert words in _luck(NAME, Interval(value, low, high), 0.05)


def test_groups_in_words() -> None:
    assert not _grouped(NAME, None)
    assert not _grouped(NAME, GroupIds([1, 2], [1, 2]))
    assert "names held-out rows only" in _grouped(NAME, [1, 2])[0]


def test_too_few_groups_cost_the_fix_alone() -> None:
    groups = GroupIds(range(400), [0] * 150 + [1] * 150)
    case = case_of(HEARD, rows(1, 300), rows(2, 400), groups=groups)
    found = gapdoctor.fix(case, told(case), only=[NAME], seeds=1, start="scratch")
    assert record(found).status == "not_verified"
    assert "2 groups of train rows cannot make 5 folds" in record(found).reason
    assert {t.status for t in found.trials if t.fix == "control"} == {"done"}
