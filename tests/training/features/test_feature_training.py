"""A training with a feature loss: its numbers, its stages, and that the student keeps nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from gapdoctor.domain.recipe import FeatureLoss, Optimizer, Recipe
from gapdoctor.errors import GapDoctorError
from gapdoctor.training.callbacks import Callback, Running
from gapdoctor.training.features import extra
from gapdoctor.training.features.distances import similarity_distance
from gapdoctor.training.loop import Length, fit
from gapdoctor.training.rows import TrainingRows, rows_of_tensors
from gapdoctor.training.teacher import TeacherOutputs
from gapdoctor.training.views import Views

Models = Callable[[str], tuple[nn.Module, nn.Module, torch.Tensor]]
RecipeOf = Callable[..., Recipe]
Weights = Callable[[nn.Module], dict[str, Any]]
SIMILAR = {"feature_loss": FeatureLoss.SIMILARITY, "feature_weight": 2.0}
MSE = {"feature_loss": FeatureLoss.MSE, "feature_weight": 2.0}


def rows_for(inputs: torch.Tensor, **more: Any) -> TrainingRows:
    chance = torch.Generator().manual_seed(1)
    return rows_of_tensors(inputs, torch.randint(3, (len(inputs),), generator=chance), **more)


def shake(batch: torch.Tensor) -> torch.Tensor:
    return batch + 0.1 * torch.randn_like(batch)


# -- its numbers -------------------------------------------------------------------------------


def test_the_term_is_added_to_the_loss(models: Models, plain: RecipeOf) -> None:
    student, teacher, inputs = models("plain")
    rows = rows_for(inputs)
    recipe = plain(batch_size=40, feature_layers=(("1", "3"),), **SIMILAR)
    (row,) = fit(student, teacher, rows, recipe, Length(steps=1)).history
    alone = plain(batch_size=40)
    (before,) = fit(student, teacher, rows, alone, Length(steps=1)).history
    with torch.no_grad():
        far = similarity_distance(student[:2](inputs), teacher[:4](inputs))  # type: ignore[index]
    assert row.train_loss == pytest.approx(before.train_loss + 2.0 * float(far), rel=1e-5)
    assert row.task_loss == pytest.approx(before.task_loss)
    assert row.distillation_loss == pytest.approx(before.distillation_loss)


@pytest.mark.parametrize(
    ("kind", "loss"),
    [
        (kind, loss)
        for kind in ("conv", "tokens", "plain")
        for loss in FeatureLoss
        if (kind, loss) != ("plain", "attention")  # has no positions; its error is tested below
    ],
)
def test_features_come_nearer_and_nothing_stays_in_the_student(
    models: Models, plain: RecipeOf, kind: str, loss: FeatureLoss
) -> None:
    student, teacher, inputs = models(kind)
    recipe = plain(
        feature_loss=loss, hint_epochs=6, epochs=7, optimizer=Optimizer.ADAM, lr=0.01,
        betas=(0.9, 0.9),
    )  # fmt: skip
    made = fit(student, teacher, rows_for(inputs), recipe)
    losses = [row.train_loss for row in made.history[:6]]
    assert losses[-1] < 0.9 * losses[0]
    trained = made.student
    assert list(trained.state_dict()) == list(student.state_dict())
    assert [p for p, _ in trained.named_modules()] == [p for p, _ in student.named_modules()]
    for model in (trained, teacher):
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    copy.deepcopy(trained)
    trained.load_state_dict(student.state_dict(), strict=True)


def test_half_precision_of_the_student_is_no_matter(models: Models, plain: RecipeOf) -> None:
    """As on CUDA: the passes in bfloat16, distances and adapters in float32."""
    student, teacher, inputs = models("conv")
    outputs = TeacherOutputs(teacher, rows_for(inputs), torch.device("cpu"))
    recipe = plain(feature_layers=(("2", "2"),), **MSE)
    found = extra.features_of(student, outputs, rows_for(inputs), recipe, torch.device("cpu"))
    assert found is not None
    _, theirs = found.ask(inputs)
    far = []
    for mixed in (False, True):
        with found.listening(student) as mine, torch.autocast("cpu", torch.bfloat16, mixed):
            student(inputs)
        far.append(found.distance(mine, theirs))
    assert all(x.dtype == torch.float32 for x in far)
    plain_, half = (float(x.detach()) for x in far)
    assert half == pytest.approx(plain_, rel=0.05)
    far[1].backward()
    assert all(p.grad is not None for p in found._adapters.parameters())


# -- what the teacher is asked -----------------------------------------------------------------


class Watched(nn.Module):
    """Notes what it is fed."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.fed: list[torch.Tensor] = []

    def __deepcopy__(self, _: object) -> Watched:
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.fed.append(x.detach().clone())
        return self.inner(x)  # type: ignore[no-any-return]


INNER = (("inner.1", "inner.3"),)


def seen_by(
    models: Models, recipe: Recipe, views: Views, **more: Any
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """What both models are fed in training, the first look left out."""
    student, teacher, inputs = models("plain")
    one, other = Watched(student), Watched(teacher)
    fit(one, other, rows_for(inputs, **more), recipe, Length(epochs=1), views=views)
    return one.fed[1:], other.fed[1:]


@pytest.mark.parametrize("mixup", [0.0, 1.0])
def test_a_new_view_is_shown_to_the_teacher_once(
    models: Models, plain: RecipeOf, mixup: float
) -> None:
    recipe = plain(feature_layers=INNER, **SIMILAR)
    mine, theirs = seen_by(models, recipe, Views(shake, mixup))
    assert len(mine) == len(theirs) == 3
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_without_new_views_the_logits_are_kept_and_features_asked(
    models: Models, plain: RecipeOf, weights_of: Weights
) -> None:
    recipe = plain(feature_layers=INNER, **SIMILAR)
    mine, theirs = seen_by(models, recipe, Views())
    assert [len(x) for x in theirs] == [40, 16, 16, 8]  # all rows once, then each batch
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs[1:], strict=True))


def test_a_teacher_with_a_pipeline_of_its_own_is_asked_through_it(
    models: Models, plain: RecipeOf
) -> None:
    _, _, inputs = models("plain")
    recipe = plain(feature_layers=INNER, **SIMILAR)
    mine, theirs = seen_by(models, recipe, Views(), teacher_inputs=inputs + 5)
    assert all(torch.equal(a + 5, b) for a, b in zip(mine, theirs[1:], strict=True))


def test_its_own_pipeline_and_new_views_do_not_go_together(models: Models, plain: RecipeOf) -> None:
    """Even where the logits say nothing: the features would be of another view."""
    student, teacher, inputs = models("plain")
    recipe = plain(task_weight=1.0, feature_layers=(("1", "3"),), **SIMILAR)
    with pytest.raises(GapDoctorError, match="cannot share an augmented view"):
        fit(
            student, teacher, rows_for(inputs, teacher_inputs=inputs + 5), recipe,
            views=Views(shake),
        )  # fmt: skip


def test_features_alone_beside_the_labels(models: Models, plain: RecipeOf) -> None:
    """A task weight of 1 leaves the teacher's logits out, not its layers."""
    student, teacher, inputs = models("plain")
    recipe = plain(task_weight=1.0, feature_layers=(("1", "3"),), **SIMILAR)
    found = fit(student, teacher, rows_for(inputs), recipe).history[-1]
    assert found.distillation_loss is None
    assert found.train_loss > found.task_loss


def test_without_a_teacher_there_are_no_features(models: Models, plain: RecipeOf) -> None:
    student, _, inputs = models("plain")
    found = fit(student, None, rows_for(inputs), plain(**SIMILAR)).history[-1]
    assert found.train_loss == found.task_loss


# -- stages ------------------------------------------------------------------------------------


class Noting(Callback):
    """Keeps the weights after each epoch."""

    def __init__(self) -> None:
        self.weights: list[dict[str, torch.Tensor]] = []

    def epoch_ended(self, run: Running, row: Any) -> Any:
        self.weights.append({k: v.clone() for k, v in run.student.state_dict().items()})
        return row


def test_hints_train_what_lies_before_the_layer_and_then_the_rest(
    models: Models, plain: RecipeOf
) -> None:
    student, teacher, inputs = models("plain")
    recipe = plain(hint_epochs=2, epochs=4, feature_layers=(("1", "3"),), weight_decay=0.1, **MSE)
    noting = Noting()
    found = fit(student, teacher, rows_for(inputs), recipe, callbacks=[noting])
    first, second, third, _ = noting.weights
    start = student.state_dict()
    assert not torch.equal(first["0.weight"], start["0.weight"])
    for name in ("2.weight", "2.bias", "4.weight", "4.bias"):
        assert torch.equal(second[name], start[name])
        assert not torch.equal(third[name], second[name])
    rows = found.history
    assert rows[1].train_loss < 2.0  # with a weight of 2 that is less than nothing predicted
    assert rows[3].distillation_loss is not None
    assert rows[3].train_loss == pytest.approx(
        0.5 * rows[3].task_loss + 0.5 * rows[3].distillation_loss, rel=1e-6
    )


def test_after_the_hints_the_teacher_is_not_asked_any_more(models: Models, plain: RecipeOf) -> None:
    student, teacher, inputs = models("plain")
    other = Watched(teacher)
    recipe = plain(hint_epochs=1, feature_layers=(("1", "inner.3"),), **MSE)
    fit(student, other, rows_for(inputs), recipe)
    assert [len(x) for x in other.fed[1:]] == [40, 16, 16, 8]


def test_hints_that_leave_no_epoch_are_one_line(models: Models, plain: RecipeOf) -> None:
    student, teacher, inputs = models("plain")
    with pytest.raises(GapDoctorError, match="3 of 3 epochs are hints"):
        fit(student, teacher, rows_for(inputs), plain(hint_epochs=3, **MSE))


# -- determinism -------------------------------------------------------------------------------


class Saving(Callback):
    """Keeps the state of one epoch, as a trial's folder would."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.kept: dict[str, Any] = {}

    def epoch_closed(self, run: Running) -> None:
        state = run.state()
        if state["epoch"] == self.epoch:
            self.kept = copy.deepcopy(state)


@pytest.mark.parametrize("kept", [1, 3])
@pytest.mark.parametrize("hints", [0, 2])
def test_a_resumed_training_ends_at_the_same_numbers(
    models: Models, plain: RecipeOf, weights_of: Weights, hints: int, kept: int
) -> None:
    recipe = plain(
        epochs=5, optimizer=Optimizer.ADAM, lr=0.01, betas=(0.9, 0.9), hint_epochs=hints, **MSE
    )

    def train(saving: Saving, state: Any = None) -> Any:
        student, teacher, inputs = models("conv")
        return fit(
            student, teacher, rows_for(inputs), recipe, seed=2, state=state,
            views=Views(shake), callbacks=[saving],
        )  # fmt: skip

    saving = Saving(kept)
    whole = train(saving)
    resumed = train(Saving(99), saving.kept)
    assert weights_of(resumed.student) == weights_of(whole.student)
    assert resumed.history == whole.history


def test_order_and_dropout_are_those_of_the_training_without(
    models: Models, plain: RecipeOf, weights_of: Weights
) -> None:
    """A term that weighs nothing changes nothing: adapters draw from no stream of the student."""
    found = []
    for more in ({}, {**MSE, "feature_weight": 1e-30}):
        student, teacher, inputs = models("conv")
        recipe = plain(**more)
        found.append(fit(student, teacher, rows_for(inputs), recipe, views=Views(shake)).history)
    for one, other in zip(*found, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-4)


def test_a_batch_in_parts_trains_the_same(
    models: Models, plain: RecipeOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory that runs out at more than 9 rows; in plain networks parts add up."""

    class Full(nn.Module):
        most = 99

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) > Full.most:
                raise RuntimeError("CUDA out of memory")
            return x

    found = []
    for most in (99, 9):
        Full.most = 99
        student, teacher, inputs = models("plain")
        full = nn.Sequential(Full(), student)
        recipe = plain(feature_layers=(("1.1", "3"),), **MSE)

        def before(_: Any = None, most: int = most) -> bool:
            Full.most = most
            return False

        found.append(fit(full, teacher, rows_for(inputs), recipe, should_stop=before))
    whole, parts = found
    assert (whole.part_rows, parts.part_rows) == (16, 8)
    for name, value in whole.student.state_dict().items():
        assert torch.allclose(value, parts.student.state_dict()[name], atol=1e-5)


# -- what may be wrong -------------------------------------------------------------------------


class Pair(nn.Module):
    """Returns two tensors."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x, x


class First(nn.Module):
    """Takes the first of two."""

    def forward(self, pair: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return pair[0]


def test_layers_that_cannot_be_used_are_named(models: Models, plain: RecipeOf) -> None:
    student, teacher, inputs = models("plain")
    act = nn.ReLU()
    odd = nn.Sequential(nn.Linear(4, 4), act, Pair(), First(), nn.Linear(4, 4), act, student)
    for layers, loss, why in (
        ((("0", "3.weight"),), "mse", "the teacher has no layer '3.weight'"),
        ((("2", "0"),), "mse", "2 of the student returns a tuple, not a tensor"),
        ((("1", "0"),), "mse", "1 of the student runs 2 times in a pass"),
        ((("0", "0"),), "attention", "0 of the student has no positions"),
    ):
        recipe = plain(feature_loss=FeatureLoss(loss), feature_layers=layers)
        with pytest.raises(GapDoctorError, match=r"recipe\.feature_layers: ") as failed:
            fit(odd, teacher, rows_for(inputs), recipe)
        assert why in failed.value.message
        assert failed.value.hint
        assert not any(m._forward_hooks for m in teacher.modules())


def test_stored_logits_have_no_layers(models: Models, plain: RecipeOf) -> None:
    student, _, inputs = models("plain")
    with pytest.raises(GapDoctorError, match="the teacher is a file of logits, which has no"):
        fit(student, torch.zeros(40, 3), rows_for(inputs), plain(**SIMILAR))


def test_a_layer_that_only_runs_sometimes(models: Models, plain: RecipeOf) -> None:
    class Sometimes(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner, self.own = inner, nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x if self.training else self.own(x))  # type: ignore[no-any-return]

    student, teacher, inputs = models("plain")
    recipe = plain(feature_layers=(("own", "0"),), **MSE)
    with pytest.raises(GapDoctorError, match="own of the student did not run on a batch"):
        fit(Sometimes(student), teacher, rows_for(inputs), recipe)
