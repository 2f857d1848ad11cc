"""Learning curves of known shape, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from gapdoctor import Recipe
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Finding, Side, Skipped
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.observations import Need, Observations
from gapdoctor.probes.history import History

PROBE = History()
Look = Callable[..., Observations]


def falling(epoch: int) -> float:
    return 0.3 + 1.0 * 0.7**epoch


def rising(epoch: int) -> float:
    return 0.3 + (0.05 * (8 - epoch) if epoch < 8 else 0.02 * (epoch - 8))


def still_falling(epoch: int) -> float:
    return 2.0 - 0.04 * epoch


def swinging(epoch: int) -> float:
    return 1.0 + 0.6 * (-1) ** epoch


@pytest.fixture
def said(planted: ModuleType, looked: Look) -> Callable[..., Finding]:
    """Ask about curves."""

    def run(curve: Callable[[int], float], recipe: Recipe | None = None, **more: object) -> Finding:
        history = planted.curves(curve, **more)
        found = PROBE.examine(
            looked(planted.healthy(100, history=history, recipe=recipe or Recipe()))
        )
        assert isinstance(found, Finding)
        return found

    return run


def by_cause(found: Finding) -> dict[Cause, Claim]:
    assert {c.topic for c in found.claims} == {"history"}
    return {c.cause: c for c in found.claims}


def test_a_rise_since_the_minimum_is_overfitting(said: Callable[..., Finding]) -> None:
    claims = by_cause(said(rising))
    assert claims[Cause.OVERFITTING].strength == PROBE.strength
    assert claims[Cause.OVERFITTING].side is Side.EXCESS_GAP
    (evidence,) = claims[Cause.OVERFITTING].evidence
    assert "since its minimum in epoch 8" in evidence.statement
    # the running median of five, around epochs 28 and 8: (0.70 − 0.34) / 0.34
    assert evidence.value == pytest.approx(0.36 / 0.34)
    assert claims[Cause.OPTIMIZATION].strength == PROBE.against


def test_a_healthy_curve_speaks_against_both(said: Callable[..., Finding]) -> None:
    claims = by_cause(said(falling))
    assert {c.strength for c in claims.values()} == {PROBE.against}
    assert {c.evidence[0].speaks for c in claims.values()} == {"against"}


def test_a_loss_that_still_falls_at_a_constant_rate_is_unfinished(
    said: Callable[..., Finding],
) -> None:
    claims = by_cause(said(still_falling, lr=0.1))
    (evidence,) = claims[Cause.OPTIMIZATION].evidence
    assert claims[Cause.OPTIMIZATION].strength == PROBE.strength
    assert claims[Cause.OPTIMIZATION].side is Side.FIT_DEFICIT
    assert "was still falling at the end" in evidence.statement
    assert evidence.value == pytest.approx(-0.04)


def test_an_annealed_rate_was_meant_to_end_there(said: Callable[..., Finding]) -> None:
    annealed = np.linspace(0.1, 0.001, 30)
    assert by_cause(said(still_falling, lr=annealed))[Cause.OPTIMIZATION].strength < 0


@pytest.mark.parametrize(
    ("recipe", "early"),
    [
        (Recipe(epochs=60), True),
        (Recipe(epochs=30), False),
        (Recipe(epochs=60, early_stopping=5), False),
        (Recipe(), False),
    ],
)
def test_an_end_before_the_recipes_is_told_unless_it_was_meant(
    said: Callable[..., Finding], recipe: Recipe, early: bool
) -> None:
    claim = by_cause(said(falling, recipe))[Cause.OPTIMIZATION]
    assert (claim.strength > 0) == early
    if early:
        assert "ended before the epochs of its recipe" in claim.evidence[0].statement


def test_wild_swings_are_unstable(said: Callable[..., Finding]) -> None:
    (evidence,) = by_cause(said(swinging))[Cause.OPTIMIZATION].evidence
    assert evidence.speaks == "for"
    assert "scatters by" in evidence.statement


@pytest.mark.parametrize("epochs", [2, 30])
def test_a_loss_that_became_infinite_diverged(said: Callable[..., Finding], epochs: int) -> None:
    found = said(lambda e: float("inf") if e == epochs else 1.0, epochs=epochs)
    claims = by_cause(found)
    assert claims[Cause.OPTIMIZATION].evidence[0].statement == "The training diverged."
    for claim in found.claims:
        assert np.isfinite(claim.evidence[0].value)
        assert "nan" not in claim.evidence[0].statement


def test_few_epochs_say_nothing_but_are_drawn(said: Callable[..., Finding]) -> None:
    found = said(rising, epochs=4)
    assert found.claims == ()
    (name, table), *_ = found.tables
    assert name == "history"
    assert table.columns == ("epoch", "train_loss", "heldout_loss")
    assert [row["epoch"] for row in table.records()] == [1, 2, 3, 4]


def test_blanks_of_a_table_stay_blank(said: Callable[..., Finding]) -> None:
    lr = np.full(30, np.nan)
    table = said(falling, lr=lr).tables[0][1]
    assert {row["lr"] for row in table.records()} == {None}


def test_curves_without_a_heldout_loss_are_skipped_with_a_reason(
    planted: ModuleType, looked: Look
) -> None:
    history = pd.DataFrame({"epoch": [1, 2], "train_loss": [1.0, 0.5]})
    found = PROBE.examine(looked(planted.healthy(100, history=history)))
    assert found == Skipped("history", "the learning curves have no held-out loss")


def test_without_curves_the_probe_is_not_asked(planted: ModuleType, looked: Look) -> None:
    for history in (None, pd.DataFrame()):
        assert looked(planted.healthy(100, history=history)).missing(PROBE.needs) == (
            Need.HISTORY.value
        )


@pytest.mark.parametrize(
    ("at_best", "warns"), [(True, True), (False, False)], ids=["best epoch", "another"]
)
def test_a_checkpoint_that_heldout_data_chose_is_warned_of(
    planted: ModuleType, looked: Look, at_best: bool, warns: bool
) -> None:
    case = planted.healthy(100)
    loss = float(looked(case).outputs(Model.STUDENT, Split.HELDOUT).loss.mean())
    lowest = loss if at_best else 0.5 * loss
    history = planted.curves(lambda e: lowest + 0.05 * abs(e - 8))
    found = PROBE.examine(looked(planted.healthy(100, history=history)))
    ids = [w.id for w in found.warnings]  # type: ignore[union-attr]
    assert ids == (["heldout_chose_the_checkpoint"] if warns else [])
    if warns:
        assert "epoch 8" in found.warnings[0].statement  # type: ignore[union-attr]


def test_a_best_epoch_that_is_the_last_was_not_chosen(planted: ModuleType, looked: Look) -> None:
    case = planted.healthy(100)
    loss = float(looked(case).outputs(Model.STUDENT, Split.HELDOUT).loss.mean())
    history = planted.curves(lambda e: loss + 0.05 * (30 - e))
    found = PROBE.examine(looked(planted.healthy(100, history=history)))
    assert found.warnings == ()  # type: ignore[union-attr]
