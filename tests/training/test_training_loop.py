"""The loop: a step by hand, determinism, what may go wrong, and that nothing else is touched."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor.domain.recipe import Optimizer, Recipe, Schedule
from gapdoctor.errors import DataError, GapDoctorError, IncompleteRun, UserCodeError
from gapdoctor.observe.progress import Progress
from gapdoctor.training.batches import order_of
from gapdoctor.training.callbacks import Callback, EarlyStopping, HeldoutLoss, Running
from gapdoctor.training.loop import Length, fit, step_count
from gapdoctor.training.placement import Placement
from gapdoctor.training.rows import TrainingRows, rows_of_tensors
from gapdoctor.training.teacher import TeacherOutputs
from gapdoctor.training.views import Views

Data = tuple[torch.Tensor, torch.Tensor]
RecipeOf = Callable[..., Recipe]
Linear = Callable[..., nn.Linear]
Weights = Callable[[nn.Module], dict[str, Any]]


class Watched(nn.Module):
    """A model that notes what it is fed, and in which mode."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.fed: list[torch.Tensor] = []
        self.modes: list[bool] = []

    def __deepcopy__(self, _: object) -> Watched:
        return self  # a test wants to see what the copy sees

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.fed.append(x.detach().clone())
        self.modes.append(self.training)
        logits: torch.Tensor = self.inner(x)
        return logits


# -- numbers -----------------------------------------------------------------------------------


def test_one_step_is_that_of_the_formula(data: Data, plain: RecipeOf, linear: Linear) -> None:
    """From zero weights p = ⅓: both gradients are known, (p − y)ᵀx/n and T(p_S − p_T)ᵀx/n."""
    x, y = data
    teacher = linear()
    recipe = plain(batch_size=50, momentum=0.0, task_weight=0.25, temperature=2.0)
    result = fit(linear(0.0), teacher, rows_of_tensors(x, y), recipe, Length(steps=1))
    p, hot = torch.full((50, 3), 1 / 3), torch.eye(3)[y]
    taught = (teacher(x) / 2).softmax(1).detach()
    per_row = 0.25 * (p - hot) + 0.75 * 2 * (p - taught)
    expected = {"weight": -0.1 * per_row.T @ x / 50, "bias": -0.1 * per_row.mean(0)}
    for name, value in result.student.state_dict().items():
        assert torch.allclose(value, expected[name], atol=1e-6)
    (row,) = result.history
    assert row.task_loss == pytest.approx(math.log(3), rel=1e-6)
    assert row.distillation_loss is not None
    assert row.train_loss == pytest.approx(0.25 * row.task_loss + 0.75 * row.distillation_loss)
    assert (row.epoch, row.step, row.lr) == (1, 1, 0.1)


def test_a_student_that_is_its_teacher_stays(
    data: Data, plain: RecipeOf, linear: Linear, weights_of: Weights
) -> None:
    teacher = linear()
    recipe = plain(task_weight=0.0)
    result = fit(linear(), teacher, rows_of_tensors(*data), recipe, Length(epochs=3))
    for name, value in result.student.state_dict().items():
        assert torch.allclose(value, teacher.state_dict()[name], atol=1e-6)
    assert result.history[-1].train_loss == pytest.approx(0.0, abs=1e-6)


def test_it_learns_what_can_be_learned(plain: RecipeOf, linear: Linear) -> None:
    x = torch.eye(4).repeat(10, 1)
    y = torch.tensor([0, 1, 2, 0]).repeat(10)
    result = fit(linear(0.0), None, rows_of_tensors(x, y), plain(lr=0.5, epochs=40))
    assert result.history[0].train_loss > 1.0 > 0.05 > result.history[-1].train_loss
    assert (result.student(x).argmax(1) == y).all()
    assert not result.student.training


def test_the_schedule_is_followed(data: Data, plain: RecipeOf, linear: Linear) -> None:
    recipe = plain(epochs=4, schedule=Schedule.STEP, milestones=(1, 3), gamma=0.1)
    rows = rows_of_tensors(*data)
    found = fit(linear(), None, rows, recipe).frame()
    assert found["lr"].tolist() == pytest.approx([0.1, 0.01, 0.01, 0.001])
    assert found["epoch"].tolist() == [1, 2, 3, 4]
    assert found["step"].tolist() == [4, 8, 12, 16]  # 16, 16, 16 and 2 rows
    cut = fit(linear(), None, rows, recipe, Length(epochs=2)).frame()
    assert cut["lr"].tolist() == pytest.approx([0.1, 0.01])  # cut short, not shortened
    short = fit(linear(), None, rows, recipe, Length(steps=8)).frame()
    assert short["lr"].tolist() == pytest.approx([0.01, 0.001])


def test_a_shortened_schedule_keeps_its_shape_and_ends_at_zero(
    data: Data, plain: RecipeOf, linear: Linear
) -> None:
    """Of 8 epochs with drops after 4 and 6, two remain: drops after 1 and 1.5."""
    recipe = plain(epochs=8, schedule=Schedule.STEP, milestones=(4, 6), gamma=0.1)
    train = lambda **more: fit(linear(), None, rows_of_tensors(*data), recipe, **more).history  # noqa: E731
    found = train(length=Length(epochs=2), anneal=True)
    assert [row.lr for row in found] == pytest.approx([0.1 * (1 - 3 / 8), 0.001 * (1 - 7 / 8)])
    cut = train(length=Length(epochs=2))
    assert [row.lr for row in cut] == [0.1, 0.1]


def test_plateau_hears_the_heldout_loss(data: Data, plain: RecipeOf, linear: Linear) -> None:
    class Flat(Callback):
        def epoch_ended(self, run: Running, row: Any) -> Any:
            return type(row)(row.epoch, row.step, row.train_loss, row.task_loss, None, row.lr, 1.0)

    recipe = plain(epochs=4, schedule=Schedule.PLATEAU, patience=1, factor=0.5, min_lr=0.0)
    found = fit(linear(), None, rows_of_tensors(*data), recipe, callbacks=[Flat()]).history
    assert [row.lr for row in found] == pytest.approx([0.1, 0.1, 0.1, 0.05])


def test_unknown_fields_are_told(data: Data, linear: Linear) -> None:
    found = fit(linear(), None, rows_of_tensors(*data), Recipe(lr=0.01), Length(steps=2))
    assert "optimizer" in found.assumed
    assert "lr" not in found.assumed


def test_steps_are_counted_beforehand(data: Data, plain: RecipeOf, linear: Linear) -> None:
    result = fit(linear(), None, rows_of_tensors(*data), plain(batch_size=7))
    assert result.steps == step_count(plain(batch_size=7), 50) == 3 * 7  # 6·7 + 8 rows
    assert step_count(plain(), 50, epochs=2) == 8


# -- determinism -------------------------------------------------------------------------------


def dropped(linear: Linear) -> nn.Module:
    return nn.Sequential(nn.Dropout(0.3), linear(seed=5))


def shake(batch: torch.Tensor) -> torch.Tensor:
    return batch + 0.1 * torch.randn_like(batch)


def test_a_seed_gives_the_same_weights_whatever_was_drawn_before(
    data: Data, plain: RecipeOf, linear: Linear, weights_of: Weights
) -> None:
    found = []
    for seed, drawn in ((0, 0), (0, 7), (1, 0)):
        student, teacher = dropped(linear), linear()
        torch.manual_seed(drawn)
        before = torch.get_rng_state()
        views = Views(shake, mixup=0.5)
        result = fit(student, teacher, rows_of_tensors(*data), plain(), seed=seed, views=views)
        assert torch.equal(torch.get_rng_state(), before)
        found.append(weights_of(result.student))
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_order_and_views_are_the_same_whatever_the_recipe(
    data: Data, plain: RecipeOf, linear: Linear
) -> None:
    def seen(model: nn.Module, recipe: Recipe) -> list[torch.Tensor]:
        watched = Watched(model)
        fit(watched, None, rows_of_tensors(*data), recipe, seed=4, views=Views(shake))
        return watched.fed

    one = seen(linear(), plain())
    other = seen(
        dropped(linear), plain(optimizer=Optimizer.ADAM, lr=1e-4, betas=(0.9, 0.9), epochs=5)
    )
    assert all(torch.equal(a, b) for a, b in zip(one, other[: len(one)], strict=True))


def test_rows_come_in_the_order_of_the_seed(data: Data, plain: RecipeOf, linear: Linear) -> None:
    x, y = data
    watched = Watched(linear())
    fit(watched, None, rows_of_tensors(x, y), plain(), Length(epochs=2), seed=9)
    whole = torch.cat(watched.fed)
    expected = np.concatenate([order_of(9, epoch, 50) for epoch in (0, 1)])
    assert torch.equal(whole, x[expected])


class Saving(Callback):
    """Keeps the state of one epoch, as a trial's folder would."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.kept: dict[str, Any] = {}

    def epoch_closed(self, run: Running) -> None:
        state = run.state()
        if state["epoch"] == self.epoch:
            import copy

            self.kept = copy.deepcopy(state)


def test_a_resumed_training_ends_at_the_same_numbers(
    data: Data, plain: RecipeOf, linear: Linear, weights_of: Weights
) -> None:
    recipe = plain(epochs=6, schedule=Schedule.PLATEAU, patience=0, factor=0.5, min_lr=0.0)

    def train(saving: Saving, state: Any = None) -> Any:
        watch = HeldoutLoss(lambda: [data])
        return fit(
            dropped(linear), linear(), rows_of_tensors(*data), recipe, seed=2, state=state,
            views=Views(shake), callbacks=[watch, EarlyStopping(5), saving],
        )  # fmt: skip

    saving = Saving(2)
    whole = train(saving)
    resumed = train(Saving(99), {**saving.kept, "callbacks": [*saving.kept["callbacks"][:2], {}]})
    assert weights_of(resumed.student) == weights_of(whole.student)
    assert resumed.history == whole.history
    assert resumed.steps == whole.steps == 24


# -- teacher and views -------------------------------------------------------------------------


def test_the_teacher_is_asked_once_a_row_and_stays_as_it_was(
    data: Data, plain: RecipeOf, linear: Linear, weights_of: Weights
) -> None:
    teacher = Watched(nn.Sequential(nn.BatchNorm1d(4), linear())).train()
    before = weights_of(teacher)
    fit(linear(0.0), teacher, rows_of_tensors(*data), plain())
    assert sum(len(x) for x in teacher.fed) == 50
    assert not any(teacher.modes)
    assert teacher.training
    assert weights_of(teacher) == before
    assert all(p.grad is None and p.requires_grad for p in teacher.parameters())


def test_what_it_said_is_shared_between_trainings(
    data: Data, plain: RecipeOf, linear: Linear
) -> None:
    teacher, rows = Watched(linear()), rows_of_tensors(*data)
    outputs = TeacherOutputs(teacher, rows, torch.device("cpu"))
    for lr in (0.1, 0.2):
        fit(linear(0.0), outputs, rows, plain(lr=lr), Length(steps=2))
    assert sum(len(x) for x in teacher.fed) == 32


def test_stored_logits_teach_the_same(
    data: Data, plain: RecipeOf, linear: Linear, weights_of: Weights
) -> None:
    logits = linear()(data[0]).detach()
    found = [
        weights_of(fit(linear(0.0), teacher, rows_of_tensors(*data), plain()).student)
        for teacher in (linear(), logits)
    ]
    one, other = (np.frombuffer(w["weight"], np.float32) for w in found)
    assert one == pytest.approx(other, abs=1e-6)


@pytest.mark.parametrize("mixup", [0.0, 1.0])
def test_student_and_teacher_see_the_same_view(
    data: Data, plain: RecipeOf, linear: Linear, mixup: float
) -> None:
    student, teacher = Watched(linear()), Watched(linear())
    fit(student, teacher, rows_of_tensors(*data), plain(), views=Views(shake, mixup))
    assert len(student.fed) == 12
    assert all(torch.equal(a, b) for a, b in zip(student.fed, teacher.fed, strict=True))
    assert all(student.modes)
    assert not any(teacher.modes)
    assert not torch.equal(student.fed[0], data[0][order_of(0, 0, 50)[:16]])


def test_a_teacher_that_has_no_say_is_not_asked(
    data: Data, plain: RecipeOf, linear: Linear
) -> None:
    teacher = Watched(linear())
    result = fit(linear(0.0), teacher, rows_of_tensors(*data), plain(task_weight=1.0))
    assert teacher.fed == []
    assert result.history[-1].distillation_loss is None


def test_pipelines_of_their_own_cannot_share_an_augmented_view(
    data: Data, plain: RecipeOf, linear: Linear
) -> None:
    rows = rows_of_tensors(*data, data[0] + 1)
    fit(linear(0.0), linear(), rows, plain(), Length(steps=1))
    with pytest.raises(GapDoctorError, match="cannot share an augmented view"):
        fit(linear(0.0), linear(), rows, plain(), Length(steps=1), views=Views(shake))


# -- nothing else is touched -------------------------------------------------------------------


def test_the_student_given_is_left_alone_unless_told(
    data: Data, plain: RecipeOf, linear: Linear, weights_of: Weights
) -> None:
    student = nn.Sequential(nn.BatchNorm1d(4), linear()).eval()
    student[1].weight.requires_grad_(False)
    before = weights_of(student)
    result = fit(student, None, rows_of_tensors(*data), plain())
    assert weights_of(student) == before
    assert not student.training
    assert all(p.grad is None for p in student.parameters())
    trained = weights_of(result.student)
    assert trained["1.weight"] == before["1.weight"]  # frozen by its owner
    assert trained["1.bias"] != before["1.bias"]
    assert trained["0.running_mean"] != before["0.running_mean"]
    fit(student, None, rows_of_tensors(*data), plain(), in_place=True)
    assert weights_of(student) == trained


def test_a_student_frozen_for_inference_is_trained(
    data: Data, plain: RecipeOf, linear: Linear, weights_of: Weights
) -> None:
    student = linear().requires_grad_(False)
    result = fit(student, None, rows_of_tensors(*data), plain())
    assert weights_of(result.student) != weights_of(student)
    assert not student.weight.requires_grad


def test_half_precision_is_trained_in_single(data: Data, plain: RecipeOf, linear: Linear) -> None:
    result = fit(linear().half(), None, rows_of_tensors(*data), plain(), Length(steps=1))
    assert {p.dtype for p in result.student.parameters()} == {torch.float32}


def test_it_trains_where_the_caller_has_switched_gradients_off(
    data: Data, plain: RecipeOf, linear: Linear, weights_of: Weights
) -> None:
    rows = rows_of_tensors(*data)
    with torch.no_grad():
        off = fit(linear(), linear(0.5), rows, plain())
    assert weights_of(off.student) == weights_of(fit(linear(), linear(0.5), rows, plain()).student)


# -- what may go wrong -------------------------------------------------------------------------


class Small(nn.Module):
    """Memory for so many rows at once, and not one more."""

    def __init__(self, inner: nn.Module, rows: int) -> None:
        super().__init__()
        self.inner, self.rows = inner, rows

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.rows:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        logits: torch.Tensor = self.inner(x)
        return logits


def test_a_batch_too_large_is_halved_and_its_gradient_kept(
    data: Data, plain: RecipeOf, linear: Linear
) -> None:
    rows, recipe = rows_of_tensors(*data), plain(batch_size=32)
    whole = fit(linear(), linear(0.5), rows, recipe)
    parts = fit(Small(linear(), 9), Small(linear(0.5), 9), rows, recipe)
    assert (whole.part_rows, parts.part_rows) == (32, 8)
    assert parts.steps == whole.steps
    for (_, a), (_, b) in zip(
        whole.student.named_parameters(), parts.student.named_parameters(), strict=True
    ):
        assert torch.allclose(a, b, atol=1e-6)
    assert [r.train_loss for r in parts.history] == pytest.approx(
        [r.train_loss for r in whole.history], rel=1e-5
    )


@pytest.mark.parametrize(("norm", "rows"), [(nn.Identity(), 1), (nn.BatchNorm1d(4), 2)])
def test_memory_for_too_few_rows_is_told(
    data: Data, plain: RecipeOf, linear: Linear, norm: nn.Module, rows: int
) -> None:
    student = Small(nn.Sequential(norm, linear()), rows - 1)
    with pytest.raises(IncompleteRun, match=f"memory ran out on a batch of {rows} rows"):
        fit(student, None, rows_of_tensors(*data), plain())


def test_a_training_that_diverges_stops_and_says_so(
    data: Data, plain: RecipeOf, linear: Linear
) -> None:
    recipe = plain(lr=1e30, epochs=50, weight_decay=1.0)
    result = fit(linear(), linear(0.5), rows_of_tensors(*data), recipe)
    assert result.diverged
    assert result.steps < 10
    assert math.isnan(result.history[-1].train_loss)
    assert len(result.history) <= 3


def test_a_last_step_into_nowhere_is_seen(data: Data, plain: RecipeOf, linear: Linear) -> None:
    x, y = data
    result = fit(linear(), None, rows_of_tensors(x * 1e38, y), plain(lr=1e30), Length(steps=1))
    assert result.diverged


def test_a_row_that_is_not_finite_ends_it_before_the_weights_suffer(
    data: Data, plain: RecipeOf, linear: Linear, weights_of: Weights
) -> None:
    x, y = data[0].clone(), data[1]
    x[order_of(0, 0, 50)[20]] = math.nan  # in the second batch
    student = linear()
    result = fit(student, None, rows_of_tensors(x, y), plain())
    assert (result.diverged, result.steps) == (True, 1)
    assert all(p.isfinite().all() for p in result.student.parameters())
    assert weights_of(result.student) != weights_of(student)


def test_batchnorm_never_sees_a_single_row(plain: RecipeOf, linear: Linear) -> None:
    x, y = torch.randn(33, 4, generator=torch.Generator().manual_seed(0)), torch.arange(33) % 3
    student = nn.Sequential(nn.BatchNorm1d(4), linear())
    result = fit(student, None, rows_of_tensors(x, y), plain(), Length(epochs=1))
    assert result.steps == 2  # 16 and 17 rows


def test_the_caller_may_end_it(data: Data, plain: RecipeOf, linear: Linear) -> None:
    asked = iter([False] * 6 + [True] * 99)
    result = fit(
        linear(), None, rows_of_tensors(*data), plain(), should_stop=lambda: next(asked)
    )  # fmt: skip
    assert (result.steps, result.stopped, result.diverged) == (6, "asked", False)
    assert [row.step for row in result.history] == [4, 6]


def test_progress_and_callbacks_hear_of_each_step(
    data: Data, plain: RecipeOf, linear: Linear
) -> None:
    class Counting(Progress, Callback):
        steps = 0
        losses: list[float] = []  # noqa: RUF012 - one test, one instance

        def advance(self, units: int = 1) -> None:
            self.steps += units

        def step_ended(self, run: Running, loss: float) -> None:
            self.losses.append(loss)

    heard = Counting()
    rows = rows_of_tensors(*data)
    result = fit(linear(), None, rows, plain(), progress=heard, callbacks=[heard])
    assert heard.steps == result.steps == len(heard.losses) == 12


def test_early_stopping_gives_the_best_weights_back(
    data: Data, plain: RecipeOf, linear: Linear
) -> None:
    flipped = (data[0], (data[1] + 1) % 3)  # what is learned makes these worse with every epoch
    watch = HeldoutLoss(lambda: [flipped])
    result = fit(
        linear(0.0), None, rows_of_tensors(*data), plain(epochs=30),
        callbacks=[watch, EarlyStopping(3)],
    )  # fmt: skip
    losses = [row.heldout_loss for row in result.history]
    assert result.stopped == "early"
    assert len(losses) == 4
    assert losses[0] == min(losses)  # type: ignore[type-var]
    loss = nn.functional.cross_entropy(result.student(data[0]), flipped[1])
    assert loss.item() == pytest.approx(losses[0], rel=1e-5)


def test_labels_and_classes_that_do_not_fit_are_told(
    data: Data, plain: RecipeOf, linear: Linear
) -> None:
    with pytest.raises(DataError, match=r"data.train: label 2 of row \d+, but the student has 2"):
        fit(linear(classes=2), None, rows_of_tensors(*data), plain())
    with pytest.raises(DataError, match="the student has 3 classes, the teacher 4"):
        fit(linear(), linear(classes=4), rows_of_tensors(*data), plain())


class Fixed(nn.Linear):
    """A program that has one mode only."""

    def train(self, mode: bool = True) -> Fixed:
        raise NotImplementedError("Calling train() is not supported yet.")


class Detached(nn.Linear):
    """A student whose graph is cut."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).detach()


@pytest.mark.parametrize(
    ("student", "error", "said"),
    [
        (nn.Flatten(), GapDoctorError, "has no parameters to train"),
        (Fixed(4, 3), GapDoctorError, "cannot be trained on cpu: Calling train"),
        (nn.Linear(5, 3), UserCodeError, "student: forward raised RuntimeError on a batch"),
        (Detached(4, 3), UserCodeError, "student: backward pass raised RuntimeError"),
    ],
)
def test_students_that_cannot_be_trained_are_told(
    data: Data, plain: RecipeOf, student: nn.Module, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        fit(student, None, rows_of_tensors(*data), plain())


def test_a_length_is_one_of_both(data: Data, plain: RecipeOf, linear: Linear) -> None:
    rows: TrainingRows = rows_of_tensors(*data)
    with pytest.raises(ValueError, match="not both"):
        fit(linear(), None, rows, plain(), Length(epochs=1, steps=1))
    with pytest.raises(ValueError, match="names no epochs"):
        fit(linear(), None, rows, Recipe(lr=0.1))


def test_only_cuda_gets_mixed_precision_and_its_layout() -> None:
    place = Placement.on(torch.device("cpu"))
    assert (place.mixed, place.channels_last) == (False, False)
    image = torch.zeros(2, 3, 4, 4)
    assert place.laid_out(image).is_contiguous()
    on = Placement(torch.device("cpu"), channels_last=True).laid_out(image)
    assert on.is_contiguous(memory_format=torch.channels_last)
