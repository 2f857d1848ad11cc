"""Averaged weights: by hand on a tiny student, with fresh statistics, resumed to the same bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor.domain.recipe import Average, Recipe
from gapdoctor.domain.trials import TrialSpec
from gapdoctor.observe.batchnorm import re_estimate
from gapdoctor.observe.sampling import choosing_half
from gapdoctor.training.averaging import Averaging, averaging_of, renew_statistics, usual_decay
from gapdoctor.training.callbacks import Callback, EarlyStopping, HeldoutLoss, Running
from gapdoctor.training.defaults import completed
from gapdoctor.training.folder import TrialFolder
from gapdoctor.training.loop import Length, fit
from gapdoctor.training.records import EpochRow
from gapdoctor.training.rows import rows_of_tensors
from gapdoctor.training.students import read_trained
from gapdoctor.training.trial import run_trial

Data = tuple[torch.Tensor, torch.Tensor]
RecipeOf = Callable[..., Recipe]
Linear = Callable[..., nn.Linear]
Pair = Callable[..., Any]
SpecOf = Callable[..., TrialSpec]


class Steps(Callback):
    """Notes the weights after each step."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def step_ended(self, run: Running, loss: float) -> None:
        self.seen.append(flat(run.student))


class Epochs(Callback):
    """Notes the weights that a looker-on finds at the end of each epoch, and once it is closed."""

    def __init__(self) -> None:
        self.ended_with: list[torch.Tensor] = []
        self.closed_with: list[torch.Tensor] = []

    def epoch_ended(self, run: Running, row: EpochRow) -> EpochRow:
        self.ended_with.append(flat(run.student))
        return row

    def epoch_closed(self, run: Running) -> None:
        self.closed_with.append(flat(run.student))


def flat(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten().clone() for p in model.parameters()])


def trained(
    data: Data, recipe: Recipe, student: nn.Module, epochs: int = 3
) -> tuple[nn.Module, Steps, Epochs]:
    """Train without a teacher: 4 steps an epoch."""
    rows, steps, looking = rows_of_tensors(*data), Steps(), Epochs()
    averaging = averaging_of(completed(recipe).recipe, 4 * epochs, rows)
    assert len(averaging) == 1
    found = fit(
        student, None, rows, recipe, Length(epochs=epochs),
        callbacks=[steps, *averaging, looking],
    )  # fmt: skip
    return found.student, steps, looking


# -- numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9])
def test_a_moving_average_by_hand(
    data: Data, plain: RecipeOf, linear: Linear, decay: float
) -> None:
    recipe = plain(average=Average.EMA, average_decay=decay)
    student, steps, _ = trained(data, recipe, linear())
    counts = [decay ** (12 - i) for i in range(1, 13)]
    by_hand = sum(c * w for c, w in zip(counts, steps.seen, strict=True)) / sum(counts)
    assert torch.allclose(flat(student), torch.as_tensor(by_hand), atol=1e-6)
    assert torch.equal(flat(student), steps.seen[-1]) == (decay == 0)


@pytest.mark.parametrize(("share", "first"), [(None, 9), (0.5, 6), (0.99, 11)])
def test_the_plain_mean_of_the_last_part_by_hand(
    data: Data, plain: RecipeOf, linear: Linear, share: float | None, first: int
) -> None:
    recipe = plain(average=Average.SWA, average_from=share)
    student, steps, _ = trained(data, recipe, linear())
    by_hand = torch.stack(steps.seen[first:]).mean(0)
    assert torch.allclose(flat(student), by_hand, atol=1e-6)


def test_training_goes_on_with_its_own_weights(data: Data, plain: RecipeOf, linear: Linear) -> None:
    """Whoever looks on sees the average; the steps are those of a training without one."""
    averaged, steps, looking = trained(data, plain(average=Average.EMA), linear())
    bare = Steps()
    fit(linear(), None, rows_of_tensors(*data), plain(), Length(epochs=3), callbacks=[bare])
    assert all(torch.equal(a, b) for a, b in zip(steps.seen, bare.seen, strict=True))
    last_steps = steps.seen[3::4]
    assert all(torch.equal(a, b) for a, b in zip(looking.closed_with, last_steps, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(looking.ended_with, last_steps, strict=True))
    assert torch.equal(flat(averaged), looking.ended_with[-1])


def test_before_it_begins_the_student_is_as_it_is(
    data: Data, plain: RecipeOf, linear: Linear
) -> None:
    recipe = plain(average=Average.SWA, average_from=0.7)  # 8 of 12 steps are left out
    _, steps, looking = trained(data, recipe, linear())
    assert torch.equal(looking.ended_with[1], steps.seen[7])
    assert not torch.equal(looking.ended_with[2], steps.seen[11])


def test_weights_that_are_no_floats_or_do_not_move_stay(data: Data, plain: RecipeOf) -> None:
    student = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3))
    student[0].requires_grad_(False)
    student.register_parameter("count", nn.Parameter(torch.tensor([3]), requires_grad=False))
    before = flat(student[0])
    found, _, _ = trained(data, plain(average=Average.EMA), student)
    assert torch.equal(flat(found[0]), before)  # type: ignore[index]
    assert found.count.tolist() == [3]  # type: ignore[union-attr, operator]


@pytest.mark.parametrize(
    ("steps", "decay"), [(1, 0.0), (10, 0.0), (20, 0.5), (1000, 0.99), (100_000, 0.9999)]
)
def test_the_usual_memory_is_a_tenth_of_the_training(steps: int, decay: float) -> None:
    assert usual_decay(steps) == pytest.approx(decay)


@pytest.mark.parametrize("average", [None, Average.NONE])
def test_nothing_averages_unasked(data: Data, average: Average | None) -> None:
    assert averaging_of(Recipe(average=average), 10, rows_of_tensors(*data)) == ()


def test_only_swa_assumes_where_it_begins() -> None:
    assert completed(Recipe(average=Average.SWA)).recipe.average_from == 0.75
    assert "average_from" in completed(Recipe(average=Average.SWA)).assumed
    for average in (None, Average.EMA):
        assert completed(Recipe(average=average)).recipe.average_from is None


# -- BatchNorm ---------------------------------------------------------------------------------


def with_batchnorm(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6, momentum=0.01), nn.Dropout(0.5), nn.Linear(6, 3)
    )


def test_statistics_are_those_of_the_rows_under_the_averaged_weights(
    data: Data, plain: RecipeOf
) -> None:
    student, _, _ = trained(data, plain(average=Average.EMA), with_batchnorm())
    hidden = student[0](data[0]).detach()  # type: ignore[index, operator]
    norm = student[1]  # type: ignore[index]
    assert torch.allclose(norm.running_mean, hidden.mean(0), atol=0.01)
    assert torch.allclose(norm.running_var, hidden.var(0), rtol=0.2)
    assert norm.momentum == 0.01
    own = trained(data, plain(average=Average.EMA, average_decay=0.0), with_batchnorm())[1]
    assert not torch.allclose(own.seen[-1], flat(student))


def test_statistics_in_place_are_those_of_a_copy(data: Data) -> None:
    student = with_batchnorm()
    batches = list(data[0].split(10))
    copied = re_estimate(student, batches, torch.device("cpu"))
    renew_statistics(student.train(), batches)
    for (name, one), other in zip(
        student.state_dict().items(), copied.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name
    assert all(module.training for module in student.modules())


def test_frozen_statistics_stay(data: Data) -> None:
    student = with_batchnorm().train()
    student[1].eval()
    before = student[1].running_mean.clone()  # type: ignore[union-attr, operator]
    renew_statistics(student, [data[0]])
    assert torch.equal(student[1].running_mean, before)  # type: ignore[arg-type]


class Hoarding(nn.Module):
    """Holds on to its last activations, as feature distillation does: it cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = with_batchnorm()
        self.last: Any = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.last = self.inner(x)
        return self.last  # type: ignore[no-any-return]


def test_a_student_that_keeps_its_activations(data: Data, plain: RecipeOf) -> None:
    student, _, _ = trained(data, plain(average=Average.EMA), Hoarding())
    assert all(bool(value.isfinite().all()) for value in student.state_dict().values())


# -- in a trial --------------------------------------------------------------------------------

AVERAGES = pytest.mark.parametrize(
    "how", [{"average": Average.EMA}, {"average": Average.SWA, "average_from": 0.4}], ids=str
)


def after(calls: int) -> Callable[[], bool]:
    left = iter(range(calls))
    return lambda: next(left, None) is None


def arrays(folder: Path) -> dict[str, bytes]:
    kept = {name: (folder / name).read_bytes() for name in ("history.csv", "outputs.npz")}
    state = torch.load(folder / "student.pt", weights_only=True)
    return kept | {key: value.numpy().tobytes() for key, value in state.items()}


@AVERAGES
@pytest.mark.parametrize("stop", [5, 9, 14, 19])
def test_an_interrupted_trial_ends_at_the_same_bits(
    pair: Pair, spec: SpecOf, tmp_path: Path, stop: int, how: dict[str, Any]
) -> None:
    wanted = spec(epochs=5, lr=0.05, augment=("noise", "mixup"), early_stopping=4, **how)
    run_trial(wanted, pair(), tmp_path / "whole")
    cut = run_trial(wanted, pair(), tmp_path / "cut", should_stop=after(stop), save_every=0.0)
    assert cut.status == "not_reached"
    run_trial(wanted, pair(), tmp_path / "cut", save_every=0.0)
    assert arrays(tmp_path / "cut") == arrays(tmp_path / "whole")


@AVERAGES
def test_what_is_watched_is_what_is_kept(
    pair: Pair, spec: SpecOf, tmp_path: Path, how: dict[str, Any]
) -> None:
    """The loss on half A of the last epoch is that of the student that is written."""
    case, wanted = pair(), spec(epochs=4, lr=0.05, **how)
    run_trial(wanted, case, tmp_path / "a")
    student = read_trained(wanted, case, tmp_path / "a" / "student.pt")
    assert student.state_dict().keys() == case.student.state_dict().keys()
    inputs, labels = case.heldout
    half = torch.from_numpy(choosing_half(np.arange(60), None))
    expected = nn.functional.cross_entropy(student(inputs[half]), labels[half]).item()
    assert TrialFolder(tmp_path / "a").curve()[-1][2] == pytest.approx(expected, rel=1e-5)
    run_trial(spec(epochs=4, lr=0.05), case, tmp_path / "b")
    assert arrays(tmp_path / "a")["4.weight"] != arrays(tmp_path / "b")["4.weight"]


def test_early_stopping_keeps_the_best_average(data: Data, plain: RecipeOf) -> None:
    """Played at a rate that is far too high: the average is better than any of its steps."""
    rows = rows_of_tensors(*data)
    recipe = completed(plain(average=Average.EMA, lr=0.5, early_stopping=2)).recipe
    looking, watched = Epochs(), HeldoutLoss(lambda: [data])
    found = fit(
        with_batchnorm(), None, rows, recipe, Length(epochs=30),
        callbacks=[*averaging_of(recipe, 120, rows), looking, watched, EarlyStopping(2)],
    )  # fmt: skip
    losses = [row.heldout_loss for row in found.history]
    best = losses.index(min(losses))  # type: ignore[type-var]
    assert found.stopped == "early"
    assert best == len(losses) - 3
    assert torch.equal(flat(found.student), looking.ended_with[best])
    assert not torch.equal(looking.ended_with[best], looking.closed_with[best])


def test_a_training_that_diverges_is_not_averaged_away(
    pair: Pair, spec: SpecOf, tmp_path: Path
) -> None:
    found = run_trial(spec(lr=1e30, average=Average.EMA), pair(), tmp_path)
    assert found.status == "failed"


def test_it_is_built_for_the_length_of_the_trial(data: Data) -> None:
    (averaging,) = averaging_of(Recipe(average=Average.EMA), 1000, rows_of_tensors(*data))
    assert isinstance(averaging, Averaging)
    assert averaging._weigh(10**6) == pytest.approx(0.01)
