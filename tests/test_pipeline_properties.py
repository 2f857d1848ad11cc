"""What a diagnosis does not depend on: the order of rows, the names of classes, the day."""

from __future__ import annotations

from dataclasses import fields, replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gapdoctor import Case, Diagnosis, diagnose
from gapdoctor.domain.diagnosis import Cost
from gapdoctor.probes.history import History
from gapdoctor.probes.memorisation import Memorisation
from gapdoctor.probes.mirror import Mirror

N = 150
PAIRS = ["healthy", "overfitted", "mismatched", "shared", "short_of_fit"]
few = settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def asked(case: Case, **more: Any) -> Diagnosis:
    return diagnose(case, probes=(Mirror(), Memorisation(), History()), batch_size=64, **more)


def values(found: Diagnosis) -> list[float]:
    """The numbers that no interval is about."""
    metrics = [(m.loss.value, m.accuracy.value, m.calibration_error.value) for m in found.metrics]
    gap = found.gap
    return [
        *np.ravel(metrics), gap.excess.value, gap.fit_deficit.value, gap.excess_gap.value,
        gap.limit, found.fidelity_heldout.kl.value, found.fidelity_train.agreement.value,
    ]  # fmt: skip


@few
@given(seed=st.integers(0, 2**31), pair=st.sampled_from(PAIRS))
def test_the_order_of_train_rows_changes_no_number(
    planted: ModuleType, seed: int, pair: str
) -> None:
    """Held-out rows have a half by their index, train rows have none."""
    case = getattr(planted, pair)(N)
    order = torch.tensor(np.random.default_rng(seed).permutation(N))
    shuffled = replace(case, train=tuple(part[order] for part in case.train))
    found, expected = asked(shuffled), asked(case)
    assert found.verdict is expected.verdict
    assert values(found) == pytest.approx(values(expected), abs=1e-9)


@few
@given(seed=st.integers(0, 2**31), pair=st.sampled_from(["healthy", "overfitted", "short_of_fit"]))
def test_the_order_of_heldout_rows_changes_no_metric(
    planted: ModuleType, seed: int, pair: str
) -> None:
    case = getattr(planted, pair)(N)
    order = torch.tensor(np.random.default_rng(seed).permutation(N))
    shuffled = replace(case, heldout=tuple(part[order] for part in case.heldout))
    found, expected = asked(shuffled), asked(case)
    assert found.verdict is expected.verdict
    assert values(found) == pytest.approx(values(expected), abs=1e-9)


class Renamed(torch.nn.Module):
    """The same model, its classes in another order."""

    def __init__(self, base: torch.nn.Module, order: list[int]) -> None:
        super().__init__()
        self.base, self.order = base, order

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x)[:, self.order]


@few
@given(order=st.permutations([0, 1, 2]), pair=st.sampled_from(PAIRS))
def test_the_names_of_classes_change_no_number(
    planted: ModuleType, order: list[int], pair: str
) -> None:
    case = getattr(planted, pair)(N)
    new = torch.tensor(np.argsort(order))
    renamed = replace(
        case,
        student=Renamed(case.student, order),
        teacher=Renamed(case.teacher, order),
        train=(case.train[0], new[case.train[1]]),
        heldout=(case.heldout[0], new[case.heldout[1]]),
    )
    found, expected = asked(renamed), asked(case)
    assert found.verdict is expected.verdict
    assert [c.id for c in found.causes] == [c.id for c in expected.causes]
    assert values(found) == pytest.approx(values(expected), abs=1e-6)


@few
@given(seed=st.integers(0, 2**63 - 1), pair=st.sampled_from(PAIRS))
def test_the_same_seed_gives_the_same_record(planted: ModuleType, seed: int, pair: str) -> None:
    case = getattr(planted, pair)(N)
    one, other = (asked(case, seed=seed) for _ in range(2))
    differing = {
        f.name for f in fields(Diagnosis) if getattr(one, f.name) != getattr(other, f.name)
    }
    assert differing <= {"created", "cost"}
    assert isinstance(one.cost, Cost)
    assert one.cost.forward_samples == other.cost.forward_samples


def test_another_seed_moves_the_intervals_and_not_the_values(planted: ModuleType) -> None:
    one, other = (asked(planted.overfitted(N), seed=seed) for seed in (0, 1))
    assert values(one) == pytest.approx(values(other), abs=1e-9)
    assert one.gap.excess.low != other.gap.excess.low


def test_all_probes_together_are_deterministic(planted: ModuleType) -> None:
    one, other = (diagnose(planted.mismatched(600)) for _ in range(2))
    assert one.causes == other.causes
    assert one.warnings == other.warnings
    assert one.tables == other.tables
    assert one.skipped == other.skipped
