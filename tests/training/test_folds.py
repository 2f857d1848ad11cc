"""Folds of the train rows: how they are cut, and trials that leave one out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor.domain.recipe import Schedule
from gapdoctor.domain.trials import TrialSpec
from gapdoctor.errors import DataError, IncompleteRun
from gapdoctor.loading.splits import GroupIds
from gapdoctor.observe.observations import Settings
from gapdoctor.training.folder import TrialFolder, spec_from_json, spec_to_json
from gapdoctor.training.folds import Fold, fold_numbers, loss_at_own_temperature, read_fold
from gapdoctor.training.group import run_group
from gapdoctor.training.materials import Materials
from gapdoctor.training.rows import rows_of_tensors
from gapdoctor.training.students import read_trained
from gapdoctor.training.trial import run_trial

Pair = Callable[..., Any]
SpecOf = Callable[..., TrialSpec]
LABELS = np.repeat([0, 1, 2], [50, 30, 20])


def fold_of(spec: TrialSpec, number: int, count: int = 3) -> TrialSpec:
    return replace(spec, fix="cross_validate", fold=(number, count))


# -- how rows are cut ----------------------------------------------------------------------------


def test_each_row_is_in_one_fold_and_folds_are_alike_in_size() -> None:
    found = fold_numbers(103, 5, 0)
    assert found.shape == (103,)
    assert sorted(np.bincount(found)[1:]) == [20, 20, 21, 21, 21]


def test_every_fold_holds_the_classes_in_proportion() -> None:
    found = fold_numbers(100, 5, 0, LABELS)
    for number in range(1, 6):
        assert np.bincount(LABELS[found == number]).tolist() == [10, 6, 4]


@pytest.mark.parametrize("labels", [None, LABELS])
def test_groups_stay_whole(labels: np.ndarray | None) -> None:
    ids = [f"patient {i // 4}" for i in range(100)]
    found = fold_numbers(100, 5, 0, labels, ids)
    assert all(len(set(found[i : i + 4])) == 1 for i in range(0, 100, 4))
    assert np.bincount(found)[1:].tolist() == [20] * 5


def test_groups_of_a_class_each_are_spread_over_the_folds() -> None:
    found = fold_numbers(100, 5, 0, LABELS, [i // 2 for i in range(100)])
    for number in range(1, 6):
        assert np.bincount(LABELS[found == number]).tolist() == [10, 6, 4]


def test_another_seed_draws_others_and_the_same_the_same() -> None:
    one, again, other = (fold_numbers(100, 5, seed, LABELS) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_class_that_is_rarer_than_folds_are_many_is_no_obstacle() -> None:
    labels = np.r_[np.zeros(20, int), 1]
    found = fold_numbers(21, 5, 0, labels)
    assert set(found) == {1, 2, 3, 4, 5}
    assert np.array_equal(fold_numbers(4, 4, 0, np.arange(4)).sum(), 10)  # all of them are


@pytest.mark.parametrize(
    ("count", "groups", "said"),
    [
        (3, None, "data.train: 3 rows cannot make 5 folds"),
        (9, [*"aaabbbccc"], "data.train: 3 groups of train rows cannot make 5 folds"),
        (9, [*"ab"], "data.groups: 2 ids for 9 train rows"),
    ],
)
def test_too_few_rows_or_groups_are_told(count: int, groups: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        fold_numbers(count, 5, 0, None, groups)


def test_rows_outside_a_fold_keep_their_numbers(data: tuple[torch.Tensor, torch.Tensor]) -> None:
    fold = Fold(rows_of_tensors(*data), np.array([0, 7, 49]))
    left = fold.without(fold.rows)
    assert left.count == 47
    batch = left.batch(np.array([0, 6, 46]))
    assert batch.index.tolist() == [1, 8, 48]
    assert torch.equal(batch.inputs, data[0][[1, 8, 48]])
    inputs, labels = (torch.cat(parts) for parts in zip(*fold.watched(), strict=True))
    assert torch.equal(inputs, data[0][[0, 7, 49]])
    assert torch.equal(labels, data[1][[0, 7, 49]])


# -- trials --------------------------------------------------------------------------------------


def test_a_fold_is_watched_and_never_trained_on(pair: Pair, spec: SpecOf, tmp_path: Path) -> None:
    case, wanted = pair(), fold_of(spec(lr=0.05), 2)
    found = run_trial(wanted, case, tmp_path)
    place = TrialFolder(tmp_path)
    assert found == place.done()
    assert (found.name, found.fold) == ("cross_validate-scratch-0-fold2of3", (2, 3))
    assert found.trained_samples == 3 * 40
    own = read_fold(place.fold)
    materials = Materials(case)
    assert np.array_equal(own.positions, materials.fold_of(wanted).inside)  # type: ignore[union-attr]
    inputs, labels = (part[own.positions] for part in case.train)
    student = read_trained(wanted, case, place.weights)
    logits = student(inputs).detach()
    assert np.array_equal(own.labels, labels.numpy())
    assert np.allclose(own.logits, logits.numpy(), atol=1e-5)
    plain = nn.functional.cross_entropy(logits, labels).item()
    assert [row[0] for row in place.curve()] == [1, 2, 3]
    assert place.curve()[-1][2] == pytest.approx(plain, rel=1e-4)
    assert own.losses.shape == (3,)
    assert own.losses[-1] == pytest.approx(own.loss(), rel=1e-4)
    assert found.heldout_loss == pytest.approx(own.loss(), rel=1e-5)
    assert own.loss() < plain
    # what the fold says has no part in training: other values there change nothing
    inputs, labels = (part.clone() for part in case.train)
    inputs[own.positions] = 9.0
    run_trial(wanted, replace(case, train=(inputs, labels)), tmp_path / "other")
    assert weights(tmp_path / "other") == weights(tmp_path)


def test_all_folds_together_leave_out_each_row_once(pair: Pair, spec: SpecOf) -> None:
    materials = Materials(pair())
    folds = [materials.fold_of(fold_of(spec(), number)) for number in (1, 2, 3)]
    inside = np.concatenate([fold.inside for fold in folds if fold is not None])
    assert sorted(inside) == list(range(60))
    assert materials.fold_of(spec()) is None
    assert materials.count_of(spec()) == 60
    assert materials.count_of(fold_of(spec(), 1)) == 40


def test_train_groups_stay_whole_where_they_are_told(pair: Pair, spec: SpecOf) -> None:
    ids = [i // 6 for i in range(60)]
    case = pair(groups=GroupIds(range(60), ids))
    inside = Materials(case).fold_of(fold_of(spec(), 1)).inside  # type: ignore[union-attr]
    assert all(len(set(inside) & set(range(i, i + 6))) in (0, 6) for i in range(0, 60, 6))


class Counting(nn.Module):
    """A teacher that notes which rows it is asked about."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.asked = inner, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.asked += len(x)
        return self.inner(x)


def test_the_teacher_is_asked_once_about_a_row_for_all_folds(
    pair: Pair, spec: SpecOf, linear: Callable[..., nn.Linear], tmp_path: Path
) -> None:
    teacher = Counting(linear())
    specs = [spec(), *(fold_of(spec(), number) for number in (1, 2, 3))]
    found = run_group(specs, pair(teacher=teacher), tmp_path, settings=Settings(device="cpu"))
    assert [r.status for r in found] == ["done"] * 4
    assert teacher.asked == 60


def weights(folder: Path) -> dict[str, bytes]:
    state = torch.load(folder / "student.pt", weights_only=True)
    return {key: value.numpy().tobytes() for key, value in state.items()}


@pytest.mark.parametrize("stop", [4, 11])
def test_an_interrupted_fold_ends_at_the_same_numbers(
    pair: Pair, spec: SpecOf, tmp_path: Path, stop: int
) -> None:
    wanted = fold_of(
        spec(epochs=5, schedule=Schedule.PLATEAU, patience=0, factor=0.5, min_lr=0.0), 3
    )
    whole = run_trial(wanted, pair(), tmp_path / "whole")
    left = iter(range(stop))
    cut = run_trial(
        wanted, pair(), tmp_path / "cut", save_every=0.0,
        should_stop=lambda: next(left, None) is None,
    )  # fmt: skip
    assert cut.status == "not_reached"
    again = run_trial(wanted, pair(), tmp_path / "cut")
    assert replace(again, seconds=0) == replace(whole, seconds=0)
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    for name in ("fold.npz", "history.csv", "outputs.npz"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_spec_of_a_fold_is_kept_and_has_a_folder_of_its_own(spec: SpecOf) -> None:
    specs = [spec(fix="cross_validate"), *(fold_of(spec(), number) for number in (1, 2, 3))]
    assert [spec_from_json(spec_to_json(one)) for one in specs] == specs
    assert len({one.name for one in specs}) == 4


def test_a_trainer_of_the_users_own_leaves_no_fold_out(
    pair: Pair, spec: SpecOf, tmp_path: Path
) -> None:
    case = pair(trainer=lambda student, teacher, data, recipe: student)
    (found,) = run_group([fold_of(spec(), 1)], case, tmp_path)
    assert found.status == "failed"
    assert "recipe.trainer tells no loss" in found.note


def test_too_few_groups_cost_the_fold_alone(pair: Pair, spec: SpecOf, tmp_path: Path) -> None:
    case = pair(groups=GroupIds(range(60), [0] * 30 + [1] * 30))
    found = run_group([fold_of(spec(), 1), spec()], case, tmp_path)
    assert [r.status for r in found] == ["failed", "done"]
    assert found[0].note == "data.train: 2 groups of train rows cannot make 3 folds"
    assert found[0].fold == (1, 3)


def test_the_loss_is_that_at_its_own_temperature() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 50)
    logits = rng.normal(size=(50, 3)) + np.eye(3)[labels]
    expected = loss_at_own_temperature(logits, labels)
    assert loss_at_own_temperature(9 * logits, labels) == pytest.approx(expected, rel=1e-6)
    logits[0] = np.nan
    assert np.isfinite(loss_at_own_temperature(logits, labels))


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "fold.npz").write_bytes(b"no archive")
    with pytest.raises(IncompleteRun, match=r"fold\.npz: cannot be read"):
        read_fold(tmp_path / "fold.npz")
