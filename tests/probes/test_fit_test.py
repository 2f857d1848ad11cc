"""The fit test on a student that is too small, and on one that is not."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from gapdoctor import Case, TeacherLogits
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Finding, Side, Skipped
from gapdoctor.observe.observations import Need, Observations
from gapdoctor.probes.fit_test import FitTest

Looked = Callable[..., Observations]
PROBE = FitTest()


class Narrow(nn.Module):
    """Sees the first feature alone: no training makes it follow the teacher."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(x[:, :1])
        return logits


def whole() -> nn.Module:
    return nn.Linear(4, 3)


def wide() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3))


def case(planted: ModuleType, student: Any, larger: Any, n: int = 400, **more: Any) -> Case:
    return planted.healthy(n, student_factory=student, larger_factory=larger, **more)


def claims(looked: Looked, pair: Case, probe: FitTest = PROBE) -> tuple[Claim, ...]:
    found = probe.examine(looked(pair, train_probes=True))
    assert isinstance(found, Finding)
    return found.claims


def test_a_student_too_small_is_named(planted: ModuleType, looked: Looked) -> None:
    (claim,) = claims(looked, case(planted, Narrow, whole))
    assert (claim.cause, claim.side) == (Cause.CAPACITY_SHORTFALL, Side.FIT_DEFICIT)
    assert (claim.strength, claim.topic) == (PROBE.strength, "fit test")
    (evidence,) = claim.evidence
    assert (evidence.limit, evidence.unit, evidence.speaks) == (PROBE.limit, "nats", "for")
    assert evidence.value > 0.3
    assert "a fresh student is left with" in evidence.statement


@pytest.mark.parametrize("larger", [whole, wide])
def test_one_that_is_large_enough_speaks_against(
    planted: ModuleType, looked: Looked, larger: Any
) -> None:
    probe = FitTest(rates=(0.03, 0.1))  # a linear student learns slowly
    (claim,) = claims(looked, case(planted, whole, larger), probe)
    assert claim.strength == PROBE.against
    assert abs(claim.evidence[0].value) < PROBE.limit


def test_a_larger_student_as_blind_as_this_one_shows_nothing_of_its_size(
    planted: ModuleType, looked: Looked
) -> None:
    (claim,) = claims(looked, case(planted, Narrow, Narrow))
    assert claim.evidence[0].value == 0.0
    assert claim.strength == PROBE.against


def test_stored_logits_label_the_rows_as_well(planted: ModuleType, looked: Looked) -> None:
    with torch.no_grad():
        said = [planted.bayes()(planted.rows(s, 400)[0]).numpy() for s in (1, 2)]
    stored = case(planted, Narrow, whole, teacher=TeacherLogits(*said))
    (one,), (other,) = claims(looked, stored), claims(looked, case(planted, Narrow, whole))
    assert one.evidence[0].value == pytest.approx(other.evidence[0].value, abs=1e-4)


def test_needs_and_reasons_to_skip(planted: ModuleType, looked: Looked) -> None:
    pair = case(planted, whole, wide, 100)
    assert looked(pair).missing(PROBE.needs) == Need.TRAIN_PROBES.value
    alone = looked(case(planted, None, None, 100), train_probes=True)
    assert alone.missing(PROBE.needs) == Need.FACTORY.value
    without = PROBE.examine(looked(case(planted, whole, None, 100), train_probes=True))
    assert isinstance(without, Skipped)
    assert "give [student] larger" in without.reason
    few = PROBE.examine(looked(case(planted, whole, wide, 20), train_probes=True))
    assert few == Skipped(PROBE.name, "20 train rows; a fit shows from 32")


class Broken(nn.Linear):
    """Answers with nothing that is finite."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * torch.inf


def test_students_that_diverge_are_a_reason_to_skip(planted: ModuleType, looked: Looked) -> None:
    found = PROBE.examine(
        looked(case(planted, lambda: Broken(4, 3), whole, 100), train_probes=True)
    )
    assert found == Skipped(PROBE.name, "a fresh student diverged at every learning rate")


def test_the_random_state_of_the_caller_is_as_it_was(planted: ModuleType, looked: Looked) -> None:
    seen = looked(case(planted, whole, wide, 100), train_probes=True)
    before = torch.get_rng_state()
    PROBE.examine(seen)
    assert torch.equal(torch.get_rng_state(), before)
