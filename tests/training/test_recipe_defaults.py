"""What is assumed where a recipe is silent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gapdoctor.domain.recipe import Distillation, Optimizer, Recipe, Schedule
from gapdoctor.training.defaults import LR, completed


def test_a_recipe_that_says_all_keeps_it_and_assumes_nothing(plain: Callable[..., Recipe]) -> None:
    found = completed(plain())
    assert found.recipe == plain()
    assert found.assumed == ()


def test_an_empty_recipe_gets_every_default_and_says_so() -> None:
    found = completed(Recipe())
    assert found.recipe == Recipe(
        batch_size=64, optimizer=Optimizer.ADAM, lr=1e-3, betas=(0.9, 0.999), weight_decay=0.0,
        schedule=Schedule.CONSTANT, task_weight=0.5, temperature=4.0, scale_by_t2=True,
        distillation=Distillation.KL, label_smoothing=0.0,
    )  # fmt: skip
    assert found.assumed == tuple(sorted(found.recipe.known().keys() - {"distillation"}))


def test_plain_kl_is_no_assumption_and_another_loss_has_weights(
    plain: Callable[..., Recipe],
) -> None:
    assert completed(plain(distillation=None)).assumed == ()
    assert completed(plain(distillation=Distillation.STANDARDIZED)).assumed == ()
    decoupled = completed(plain(distillation=Distillation.DECOUPLED, dkd_beta=2.0))
    assert (decoupled.recipe.dkd_alpha, decoupled.recipe.dkd_beta) == (1.0, 2.0)
    assert decoupled.assumed == ("dkd_alpha",)
    with pytest.raises(ValueError, match="'other' is not a valid Distillation"):
        completed(plain(distillation="other"))


@pytest.mark.parametrize("optimizer", Optimizer)
def test_the_rate_and_the_knobs_are_those_of_the_optimizer(optimizer: Optimizer) -> None:
    found = completed(Recipe(optimizer=optimizer))
    assert found.recipe.lr == LR[optimizer]
    assert ("betas" in found.assumed) == (optimizer in {"adam", "adamw", "nadam", "radam"})
    assert ("momentum" in found.assumed) == (optimizer in {"sgd", "rmsprop"})
    assert found.recipe.weight_decay == (0.01 if optimizer == "adamw" else 0.0)


@pytest.mark.parametrize(
    ("schedule", "assumed"),
    [
        (Schedule.CONSTANT, set()),
        (Schedule.COSINE, {"min_lr"}),
        (Schedule.STEP, {"gamma", "milestones"}),
        (Schedule.PLATEAU, {"factor", "patience", "min_lr"}),
        (Schedule.ONECYCLE, {"max_lr"}),
    ],
)
def test_only_what_the_schedule_reads_is_assumed(
    plain: Callable[..., Recipe], schedule: Schedule, assumed: set[str]
) -> None:
    assert set(completed(plain(schedule=schedule)).assumed) == assumed


def test_step_drops_at_half_and_three_quarters_where_nobody_says(
    plain: Callable[..., Recipe],
) -> None:
    step = plain(schedule=Schedule.STEP, epochs=40)
    assert completed(step).recipe.milestones == (20, 30)
    assert completed(Recipe(schedule=Schedule.STEP), epochs=8).recipe.milestones == (4, 6)
    assert completed(Recipe(**step.known() | {"step_size": 5})).recipe.milestones is None
