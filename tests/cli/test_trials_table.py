"""How many trainings are to come, and what a plan says of those that leave train rows out."""

from __future__ import annotations

from dataclasses import replace

from gapdoctor.cli.trials import expected_trials
from gapdoctor.domain.recipe import Recipe
from gapdoctor.domain.trials import CONTROL, Plan, PlannedFix, TrialSpec
from gapdoctor.report.plan_sections import _trials

RECIPE = Recipe(epochs=20)


def spec(fix: str, seed: int = 0, fold: tuple[int, int] | None = None) -> TrialSpec:
    return TrialSpec(fix, seed, "scratch", RECIPE, 20, fold=fold)


def plan(*trials: TrialSpec, finalists: int = 2) -> Plan:
    fixes = tuple(PlannedFix(t.fix, (), "") for t in trials if t.fix != CONTROL)
    return Plan("ab", 0, "scratch", "so", None, RECIPE, (), fixes, trials, finalists=finalists)


PLAIN = plan(*(spec(fix, seed) for seed in range(3) for fix in (CONTROL, "one", "two")))


def test_trainings_that_are_to_come() -> None:
    assert expected_trials(PLAIN) == 3 + 1 + 2 * 3  # with the two together
    assert expected_trials(plan(spec(CONTROL), spec("one"), finalists=1)) == 2


def test_folds_come_first_and_what_they_tell_after_them() -> None:
    folds = [spec("cross_validate", 0, (k, 3)) for k in (1, 2, 3)]
    alone = plan(spec(CONTROL), spec(CONTROL, 1), *folds, finalists=1)
    assert expected_trials(alone) == 1 + 3 + 1 + 2
    beside = replace(PLAIN, trials=(*PLAIN.trials, *folds))
    assert expected_trials(beside) == expected_trials(PLAIN) + 3 + 1


def test_the_plan_tells_of_folds() -> None:
    folds = [spec("cross_validate", 0, (k, 3)) for k in (1, 2, 3)]
    (listing,) = _trials(replace(PLAIN, trials=(*PLAIN.trials, *folds)))
    told = " ".join(listing.items)  # type: ignore[union-attr]
    assert "For `cross_validate` 3 students are trained first, on one seed" in told
    (plain,) = _trials(PLAIN)
    assert "trained first" not in " ".join(plain.items)  # type: ignore[union-attr]
