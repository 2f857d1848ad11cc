"""What is trained when: together, out of the reserve, on all seeds; and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor import Case, Recipe, diagnose
from gapdoctor.domain.recipe import Optimizer, Schedule
from gapdoctor.domain.trials import CONTROL, Plan, Together
from gapdoctor.engines._base import Conditions, Watcher
from gapdoctor.engines.inline import Inline
from gapdoctor.probes.mirror import Mirror
from gapdoctor.treatment._free import try_free
from gapdoctor.treatment._rounds import FIRST, RESERVE, Ran, Rounds
from gapdoctor.treatment._trials import Trials
from gapdoctor.treatment.prepare import Asked, prepare

LONGER, AVERAGE, DECAY = "train_longer", "average_weights", "add_weight_decay"
RECIPE = Recipe(
    epochs=2, batch_size=32, optimizer=Optimizer.SGD, lr=2e-3, weight_decay=0.0, momentum=0.0,
    schedule=Schedule.CONSTANT, task_weight=1.0, augment=(), dropout=0.0, early_stopping=0,
    temperature=1.0,
)  # fmt: skip
"""Far too slow: whatever trains for longer is better."""

Run = Callable[..., tuple[Ran, Rounds]]


@pytest.fixture
def ran(planted: ModuleType, tmp_path: Path) -> Run:
    """Run the rounds of a plan of these fixes, changed before."""

    def run(*fixes: str, change: Any = lambda plan: plan) -> tuple[Ran, Rounds]:
        torch.manual_seed(3)
        case: Case = planted.healthy(
            student=nn.Linear(4, 3), student_factory=lambda: nn.Linear(4, 3), recipe=RECIPE
        )
        found = diagnose(case, probes=[Mirror()], progress=False)
        made = prepare(case, found, Asked(only=fixes, device="cpu"), None)
        free = try_free(case, made.patient, made.plan.fixes, made.asked.settings,
                        with_temperature=True, rng=np.random.default_rng(0))  # fmt: skip
        trials = Trials(Inline(case), Conditions(tmp_path, made.asked.settings), Watcher(),
                        free.given.rows, scaled=True)  # fmt: skip
        rounds = Rounds(made.patient, made.options.pace, trials, free.arm, made.limit, lambda p: p)
        return rounds.run(change(made.plan)), rounds

    return run


def decay_at(rate: float, **more: Any) -> Callable[[Plan], Plan]:
    """Have one of the fixes really be another rate."""

    def changed(plan: Plan) -> Plan:
        trials = tuple(
            replace(t, recipe=replace(t.recipe, lr=rate)) if t.fix == DECAY else t
            for t in plan.trials
        )
        return replace(plan, trials=trials, **more)

    return changed


HELPS, HARMS = 0.02, 1e-9


def told(rounds: Rounds) -> list[tuple[tuple[str, ...], tuple[int, ...]]]:
    return [(r.fixes, r.seeds) for r in rounds.trials.rounds]


def in_reserve(*names: str, gain: float, budget: float | None = 1e9) -> Callable[[Plan], Plan]:
    """Have the plan not reach these, and every fix promise so many nats."""

    def changed(plan: Plan) -> Plan:
        late = [t for t in plan.trials if t.fix in names and t.seed == 0]
        fixes = [
            replace(f, expected_gain=gain, status="not_reached", reason="late")
            if f.id in names else replace(f, expected_gain=gain)
            for f in plan.fixes
        ]  # fmt: skip
        kept = tuple(t for t in plan.trials if t.fix not in names)
        return replace(
            plan, fixes=tuple(fixes), trials=kept, reserve=tuple(late), budget=budget
        )  # fmt: skip

    return changed


# -- rounds --------------------------------------------------------------------------------------


def test_each_round_is_told_in_its_order_with_its_reason(ran: Run) -> None:
    found, rounds = ran(LONGER, DECAY)
    first, *_, last = rounds.trials.rounds
    assert (set(first.fixes), first.seeds, first.reason) == ({CONTROL, LONGER, DECAY}, (0,), FIRST)
    assert LONGER in found.finalists
    assert {CONTROL, *found.finalists} == {*last.fixes}
    assert last.seeds == (1, 2)
    assert LONGER in last.reason
    assert next(t.fix for t in rounds.trials.trained.specs if t.seed == 0) == CONTROL


def test_what_does_not_point_the_right_way_is_not_combined(ran: Run) -> None:
    found, rounds = ran(LONGER, DECAY, change=decay_at(HARMS))
    assert rounds.tried == {}
    assert found.finalists == [LONGER]


# -- together ------------------------------------------------------------------------------------


def test_two_that_point_the_right_way_are_trained_together_and_why_is_told(ran: Run) -> None:
    found, rounds = ran(
        LONGER, DECAY, change=decay_at(HELPS, together=(Together((DECAY, LONGER), "So."),))
    )
    assert len(rounds.tried) == 1, "the two best are those that need each other: tried once"
    (name,) = rounds.tried
    assert set(name.split("+")) == {LONGER, DECAY}
    assert found.finalists[0] == name
    joint = next(r for r in rounds.trials.rounds if r.fixes == (name,))
    assert joint.reason == "together: the two that are best on half A"
    assert {t.seed for t in rounds.trials.trained.done() if t.fix == name} == {0, 1, 2}
    assert found.plan.fixes[0].id == name


# -- the reserve ---------------------------------------------------------------------------------


def test_a_budget_that_is_left_is_spent_where_too_little_came_back(ran: Run) -> None:
    late = in_reserve(LONGER, gain=5.0)
    found, rounds = ran(DECAY, LONGER, change=lambda plan: decay_at(HARMS)(late(plan)))
    assert told(rounds)[1] == ((LONGER,), (0,))
    assert rounds.trials.rounds[1].reason == RESERVE
    planned = {f.id: f.status for f in found.plan.fixes}
    assert planned[LONGER] == "planned"
    assert found.finalists == [LONGER]
    done = [t.seed for t in rounds.trials.trained.done() if t.fix == LONGER]
    assert done == [0, 1, 2]


@pytest.mark.parametrize(("gain", "budget"), [(0.0, 1e9), (5.0, 1e-6)])
def test_it_is_kept_where_enough_came_back_or_nothing_is_left(
    gain: float, budget: float, ran: Run
) -> None:
    found, rounds = ran(DECAY, LONGER, change=in_reserve(LONGER, gain=gain, budget=budget))
    assert all(LONGER not in fixes for fixes, _ in told(rounds))
    assert {f.id: f.status for f in found.plan.fixes}[LONGER] == "not_reached"


def test_nothing_more_is_begun_where_every_training_fails(ran: Run) -> None:
    late = in_reserve(LONGER, gain=5.0)

    def broken(plan: Plan) -> Plan:
        trials = tuple(replace(t, recipe=replace(t.recipe, lr=1e38)) for t in plan.trials)
        return replace(late(plan), trials=tuple(t for t in trials if t.fix != LONGER))

    found, rounds = ran(DECAY, LONGER, change=broken)
    assert {record.status for record in rounds.trials.trained.records} == {"failed"}
    assert (found.comparisons, list(found.finalists)) == ([], [])
    assert all(LONGER not in fixes for fixes, _ in told(rounds))


def test_no_combination_is_begun_that_the_budget_does_not_pay_for(ran: Run) -> None:
    found, rounds = ran(LONGER, DECAY, change=decay_at(HELPS, budget=1e-6))
    assert rounds.tried == {}
    assert any("The budget does not reach" in note for note in rounds.notes)
    assert len(found.finalists) == 1, "and only the best gets all seeds"
