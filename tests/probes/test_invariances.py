"""What must not matter does not: numbers of classes, order of rows, one factor on all logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import gapdoctor
from gapdoctor import Case
from gapdoctor.domain.findings import Finding
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.observations import Observations
from gapdoctor.probes.class_order import ClassOrder
from gapdoctor.probes.memorisation import Memorisation

Look = Callable[..., Observations]
SLOWLY = settings(
    max_examples=5, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
PAIRS = ["healthy", "overfitted", "mismatched", "short_of_fit"]
CLASSES = 6


class Renumbered(nn.Module):
    """A model whose class i is called order[i]."""

    def __init__(self, model: nn.Module, order: list[int]) -> None:
        super().__init__()
        self.model, self.columns = model, torch.argsort(torch.tensor(order))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x)[:, self.columns]


class Scaled(nn.Module):
    """A model whose logits are multiplied."""

    def __init__(self, model: nn.Module, factor: float) -> None:
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * self.model(x)


def names(case: Case) -> tuple[str, list[str]]:
    """The verdict and the causes that are believed."""
    found = gapdoctor.diagnose(case, batch_size=64, progress=False)
    return str(found.verdict), [str(c.id) for c in found.causes if c.confidence >= 0.5]


@SLOWLY
@given(order=st.permutations([0, 1, 2]), pair=st.sampled_from(PAIRS))
def test_how_classes_are_numbered_changes_no_cause(
    planted: ModuleType, order: list[int], pair: str
) -> None:
    case = getattr(planted, pair)()
    renamed = replace(
        case,
        student=Renumbered(case.student, order),
        teacher=Renumbered(case.teacher, order),
        train=(case.train[0], torch.tensor(order)[case.train[1]]),
        heldout=(case.heldout[0], torch.tensor(order)[case.heldout[1]]),
    )
    assert names(renamed) == names(case)


@SLOWLY
@given(seed=st.integers(0, 2**31), pair=st.sampled_from(PAIRS))
def test_the_order_of_rows_changes_no_cause(planted: ModuleType, seed: int, pair: str) -> None:
    case = getattr(planted, pair)()
    chance = torch.Generator().manual_seed(seed)
    places = [torch.randperm(600, generator=chance) for _ in range(2)]
    mixed = replace(
        case,
        train=tuple(part[places[0]] for part in case.train),
        heldout=tuple(part[places[1]] for part in case.heldout),
    )
    assert names(mixed) == names(case)


@SLOWLY
@given(factor=st.floats(0.75, 1.4), pair=st.sampled_from(PAIRS))
def test_one_factor_on_all_logits_changes_no_cause(
    planted: ModuleType, factor: float, pair: str
) -> None:
    case = getattr(planted, pair)()
    scaled = replace(
        case, student=Scaled(case.student, factor), teacher=Scaled(case.teacher, factor)
    )
    assert names(scaled) == names(case)


# -- the order of classes ---------------------------------------------------------------------


def many(seed: int, n: int = 900) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, n)
    x = 2.5 * np.eye(CLASSES)[labels] + rng.normal(size=(n, CLASSES))
    return torch.tensor(x, dtype=torch.float32), torch.tensor(labels)


@SLOWLY
@given(order=st.permutations(range(CLASSES)), factor=st.floats(0.3, 2.0))
def test_the_order_found_is_the_one_that_was_made(
    planted: ModuleType, looked: Look, order: list[int], factor: float
) -> None:
    """Whatever the scale of the logits, which moves no prediction."""
    rule = Scaled(planted.linear(2.5 * np.eye(CLASSES), np.zeros(CLASSES)), factor)
    x, labels = many(2)
    seen = looked(Case(rule, rule, many(1), (x, torch.tensor(order)[labels])))
    found = ClassOrder().examine(seen)
    assert isinstance(found, Finding)
    if list(order) == sorted(order):
        assert found.claims == ()
        return
    (claim,) = found.claims
    assert claim.intervention is not None
    assert claim.intervention.touches_teacher
    assert dict(claim.intervention.parameters)["order"] == tuple(float(i) for i in order)
    seen.believe(claim.intervention)
    sound = looked(Case(rule, rule, many(1), (x, labels)))
    for model in Model:
        mended = seen.current(model, Split.HELDOUT).loss.mean()
        assert mended == pytest.approx(sound.outputs(model, Split.HELDOUT).loss.mean(), abs=1e-6)


# -- memorisation -----------------------------------------------------------------------------


@SLOWLY
@given(factor=st.floats(0.5, 2.0))
def test_how_sure_a_judge_of_two_classes_is_does_not_change_what_it_remembers(
    planted: ModuleType, looked: Look, factor: float
) -> None:
    """Of two classes, a factor on the logits is an increasing function of the loss."""

    def two(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = planted.rows(seed, 900)
        return x[y < 2], y[y < 2]

    def auc(student: nn.Module) -> float:
        found = Memorisation().examine(looked(Case(student, rule, two(1), two(2))))
        assert isinstance(found, Finding)
        return next(e.value for c in found.claims for e in c.evidence if e.unit == "AUC")

    rule = planted.linear(planted.CENTRES[:2], np.zeros(2))
    # Not so sure that losses of float32 logits tie.
    student = planted.linear(0.5 * planted.CENTRES[:2] + [[0.3], [0.0]], [0.1, 0.0])
    assert auc(Scaled(student, factor)) == pytest.approx(auc(student), abs=2e-4)
