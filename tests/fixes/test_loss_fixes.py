"""`rebalance_losses`: weight, temperature and T², and another loss where those are sound."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Table
from gapdoctor.domain.recipe import Distillation
from gapdoctor.domain.trials import Change
from gapdoctor.fixes._base import Patient, changes_of
from gapdoctor.fixes._signs import teachers_overconfidence
from tests.fixes.conftest import Causes, Facts, Fixes, Patients, is_variant, why_not


@pytest.mark.parametrize(
    ("ran", "changed"),
    [
        ({"task_weight": 0.5}, {"task_weight": 0.1}),
        ({"task_weight": 0.98, "temperature": 1.0}, {"task_weight": 0.1, "temperature": 4.0}),
        ({"task_weight": 0.1, "temperature": 20.0}, {"temperature": 4.0}),
        ({"task_weight": 0.5, "scale_by_t2": False}, {"scale_by_t2": True}),
        ({"task_weight": 0.9, "scale_by_t2": False}, {"task_weight": 0.1, "scale_by_t2": True}),
    ],
)
def test_it_lets_the_teacher_be_heard(
    fixes: Fixes, patient: Patients, ran: dict[str, object], changed: dict[str, object]
) -> None:
    told = patient(recipe=ran)
    found = is_variant(fixes["rebalance_losses"].propose(told))
    assert {c.key: c.after for c in changes_of(told, found)} == {
        f"recipe.{name}": value for name, value in changed.items()
    }


def test_it_stands_back_for_the_scale_alone_and_for_what_was_declared(
    fixes: Fixes, patient: Patients, cause: Causes, fact: Facts
) -> None:
    fix = fixes["rebalance_losses"]
    scale = patient(cause(Cause.LOSS_IMBALANCE, fact("temperature")))
    assert "scale_temperature" in why_not(fix.propose(scale))
    other = patient()
    other = replace(other, recipe=replace(other.recipe, scale_by_t2=False))
    assert "retrain_as_declared" in why_not(fix.propose(other))


def test_it_takes_another_loss_where_the_teacher_is_heard_already(
    fixes: Fixes, patient: Patients, cause: Causes
) -> None:
    fix = fixes["rebalance_losses"]
    told = patient(cause(Cause.OVERFITTING), recipe={"task_weight": 0.1})
    found = is_variant(fix.propose(told))
    assert changes_of(told, found) == (
        Change("recipe.distillation", "kl", "decoupled"),
        Change("recipe.dkd_alpha", None, 1.0),
        Change("recipe.dkd_beta", None, 2.0),
    )
    assert found.expected_share < is_variant(fix.propose(patient())).expected_share


def test_it_knows_where_no_other_loss_helps(fixes: Fixes, patient: Patients, cause: Causes) -> None:
    fix = fixes["rebalance_losses"]
    heard = "the distillation loss weighs 0.9 at temperature 4 with the factor T² already"
    balanced = {"task_weight": 0.1}
    small = patient(cause(Cause.CAPACITY_SHORTFALL), recipe=balanced)
    assert (
        why_not(fix.propose(small))
        == f"{heard}, and a student that is too small gains nothing by more"
    )
    unsure = patient(cause(Cause.CAPACITY_SHORTFALL, confidence=0.3), recipe=balanced)
    is_variant(fix.propose(unsure))
    two = patient(recipe=balanced)
    data = replace(two.diagnosis.data, classes=("cat", "dog"))
    two = replace(two, diagnosis=replace(two.diagnosis, data=data))
    assert "of two classes there is nothing more to say" in why_not(fix.propose(two))


def test_it_asks_for_proportions_alone_where_the_teacher_is_too_sure(
    fixes: Fixes, patient: Patients, cause: Causes
) -> None:
    """20 % of its answers are wrong; a mean confidence of 0.9 doubts half as many."""
    fix = fixes["rebalance_losses"]

    def told(*confidence: float) -> Patient:
        plain = patient(cause(Cause.CAPACITY_SHORTFALL), recipe={"task_weight": 0.1})
        columns = ("model", "split", "bin_low", "bin_high", "rows", "confidence", "accuracy")
        bins = tuple(
            ("teacher", "heldout", 0.0, 1.0, rows, share, right)
            for rows, share, right in zip((100, 300), confidence, (0.2, 1.0), strict=True)
        )
        other = ("student", "heldout", 0.0, 1.0, 400, 1.0, 0.5)
        tables = {"reliability": Table(columns, (*bins, other))}
        return replace(plain, diagnosis=replace(plain.diagnosis, tables=tables))

    assert teachers_overconfidence(patient()) is None
    assert teachers_overconfidence(told(0.6, 1.0)) == pytest.approx(0.5)
    assert teachers_overconfidence(told(1.0, 1.0)) == pytest.approx(1.0)
    assert teachers_overconfidence(told(0.2, 0.5)) == pytest.approx(-150 / 80)
    why_not(fix.propose(told(0.6, 1.0)))
    sure = told(0.8, 1.0)
    found = is_variant(fix.propose(sure))
    assert changes_of(sure, found) == (
        Change("recipe.temperature", 4.0, 2.0),
        Change("recipe.distillation", "kl", "standardized"),
    )


@pytest.mark.parametrize("named", [Distillation.DECOUPLED, Distillation.STANDARDIZED])
def test_it_mends_only_t2_of_another_loss(
    fixes: Fixes, patient: Patients, named: Distillation
) -> None:
    fix = fixes["rebalance_losses"]
    ran = {"distillation": named, "dkd_alpha": 1.0, "dkd_beta": 8.0, "task_weight": 0.5}
    assert f"the distillation loss is {named}" in why_not(fix.propose(patient(recipe=ran)))
    for off in ({"temperature": 1.0}, {"task_weight": 1.0}):
        why_not(fix.propose(patient(recipe=ran | {"scale_by_t2": False} | off)))
    without = patient(recipe=ran | {"scale_by_t2": False})
    found = is_variant(fix.propose(without))
    assert changes_of(without, found) == (Change("recipe.scale_by_t2", False, True),)
