"""The weight in force: heads trained to rest under a known loss, beside what is declared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gapdoctor import Case, Recipe, TeacherLogits
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Finding, Side, Skipped
from gapdoctor.domain.recipe import Schedule
from gapdoctor.observe.measures import larger_side
from gapdoctor.observe.needs import Need
from gapdoctor.observe.observations import Observations
from gapdoctor.probes.effective_weight import WeightInForce

Look = Callable[..., Observations]
PROBE = WeightInForce()
CLASSES, WIDTH, SEEN, ROWS = 6, 8, 5, 300
T = 4.0
DECLARED = Recipe(task_weight=0.5, temperature=T, augment=())


class Narrow(nn.Module):
    """Sees some of the features, so that it must rest between its labels and its teacher."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.head = nn.Linear(SEEN, CLASSES, bias=bias)
        nn.init.zeros_(self.head.weight)
        if bias:
            nn.init.zeros_(self.head.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(x[:, :SEEN])
        return logits


class Pair:
    """Data, a teacher that sees all features, and students trained on them."""

    def __init__(self, planted: ModuleType) -> None:
        rng = np.random.default_rng(0)
        self.teacher = planted.linear(rng.normal(size=(CLASSES, WIDTH)), np.zeros(CLASSES))
        self.train, self.heldout = (self._rows(seed) for seed in (1, 2))

    def _rows(self, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng(seed)
        inputs = torch.tensor(rng.normal(size=(ROWS, WIDTH)) + 0.3, dtype=torch.float32)
        with torch.no_grad():
            logits = self.teacher(inputs).numpy()
        labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
        return inputs, torch.tensor(labels)

    def student(
        self, task_weight: float, *, factor: float = T**2, decay: float = 0.0, bias: bool = True,
        smoothing: float = 0.0, steps: int = 100,
    ) -> nn.Module:  # fmt: skip
        """Minimise task_weight · CE + (1 − task_weight) · factor · KL + decay/2 · ‖W‖²."""
        inputs, labels = self.train
        student = Narrow(bias).double()
        with torch.no_grad():
            target = F.log_softmax(self.teacher(inputs).double() / T, dim=1)
        rest = torch.optim.LBFGS(
            student.parameters(), max_iter=steps, tolerance_grad=1e-8, tolerance_change=0,
            line_search_fn="strong_wolfe",
        )  # fmt: skip

        def closure() -> torch.Tensor:
            rest.zero_grad()
            logits = student(inputs.double())
            apart = F.kl_div(
                F.log_softmax(logits / T, dim=1), target, log_target=True, reduction="batchmean"
            )
            size = sum((p**2).sum() for p in student.parameters())
            loss: torch.Tensor = (
                task_weight * F.cross_entropy(logits, labels, label_smoothing=smoothing)
                + (1 - task_weight) * factor * apart
                + decay / 2 * size
            )
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        rest.step(closure)  # type: ignore[no-untyped-call]
        return student.float()

    def case(self, student: nn.Module, recipe: Recipe = DECLARED, **more: Any) -> Case:
        return Case(**{"student": student, "teacher": self.teacher, "train": self.train,
                       "heldout": self.heldout, "recipe": recipe, **more})  # fmt: skip


@pytest.fixture(scope="module")
def pair(planted: ModuleType) -> Pair:
    return Pair(planted)


def claim_of(seen: Observations) -> Claim:
    found = PROBE.examine(seen)
    assert isinstance(found, Finding), found
    (claim,) = found.claims
    assert (claim.cause, claim.topic) == (Cause.LOSS_IMBALANCE, "weight in force")
    assert claim.returned is None
    return claim


def reason_of(seen: Observations) -> str:
    found = PROBE.examine(seen)
    assert isinstance(found, Skipped), found
    return found.reason


@pytest.mark.parametrize(
    ("factor", "ratio", "bug"),
    [
        (1.0, T**2, "a missing factor T²"),
        (T**2 / CLASSES, CLASSES, 'a reduction="mean" over classes'),
        (1 / CLASSES, CLASSES * T**2, "both a missing T² and a mean over classes"),
    ],
)
def test_a_known_bug_is_named_by_its_ratio(
    looked: Look, pair: Pair, factor: float, ratio: float, bug: str
) -> None:
    seen = looked(pair.case(pair.student(0.5, factor=factor)))
    claim = claim_of(seen)
    assert claim.strength > 0
    assert claim.side is larger_side(seen)
    (evidence,) = claim.evidence
    assert evidence.value == pytest.approx(ratio, rel=0.02)
    assert (evidence.limit, evidence.unit, evidence.speaks) == (
        PROBE.odds_limit, "odds ratio", "for"
    )  # fmt: skip
    weight = ratio / (1 + ratio)
    assert f"at rest under a task weight of {weight:.2f} (residual 0.00)" in evidence.statement
    assert f"times the declared ones: {bug}" in evidence.statement
    assert claim.summary == (
        f"Another loss was minimised than is declared: the task loss weighs {weight:.2f} instead "
        f"of 0.50, as {bug} makes it."
    )


def test_a_temperature_folded_in_after_training_looks_like_another_loss(
    looked: Look, pair: Pair
) -> None:
    recipe = replace(DECLARED, task_weight=0.1)
    student = pair.student(0.1)
    assert isinstance(student, Narrow)
    with torch.no_grad():
        for parameter in student.head.parameters():
            parameter /= 1.2
    named = claim_of(looked(pair.case(student, recipe)))
    assert named.strength > 0
    told = looked(pair.case(student, recipe, folded_temperature=1.2))
    claim = claim_of(told)
    assert claim.strength == PROBE.against
    assert claim.evidence[0].value == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize(
    ("weight", "decay", "bias"),
    [(0.2, 0.0, True), (0.9, 0.0, True), (0.5, 0.02, True), (0.5, 0.0, False), (0.5, 0.02, False)],
)
def test_a_loss_as_declared_speaks_against(
    looked: Look, pair: Pair, weight: float, decay: float, bias: bool
) -> None:
    recipe = Recipe(task_weight=weight, temperature=T, augment=())
    claim = claim_of(looked(pair.case(pair.student(weight, decay=decay, bias=bias), recipe)))
    assert claim.strength < 0
    assert claim.evidence[0].value == pytest.approx(1, rel=0.02)
    assert claim.evidence[0].speaks == "against"
    assert claim.summary == ""


def test_smoothed_labels_are_known(looked: Look, pair: Pair) -> None:
    recipe = Recipe(task_weight=0.5, temperature=T, augment=(), label_smoothing=0.2)
    claim = claim_of(looked(pair.case(pair.student(0.5, smoothing=0.2), recipe)))
    assert claim.evidence[0].value == pytest.approx(1, rel=0.02)


def test_a_ratio_of_no_known_bug_is_told_without_a_name(looked: Look, pair: Pair) -> None:
    recipe = Recipe(task_weight=0.1, temperature=T, augment=())
    claim = claim_of(looked(pair.case(pair.student(0.98), recipe)))  # 49 · 9 times the odds
    assert claim.strength > 0
    assert claim.evidence[0].value == pytest.approx(49 * 9, rel=0.05)
    assert "the task loss weighs 0.98 instead of 0.10." in claim.summary


def test_more_distillation_than_declared_is_a_fault_as_well(looked: Look, pair: Pair) -> None:
    claim = claim_of(looked(pair.case(pair.student(0.1))))
    assert claim.strength > 0
    assert claim.evidence[0].value == pytest.approx(1 / 9, rel=0.02)
    assert "makes it" not in claim.summary


# -- what is declared ------------------------------------------------------------------------

WITHOUT_T2 = Recipe(task_weight=0.5, temperature=T, scale_by_t2=False, augment=())


def test_a_loss_declared_without_t2_is_in_force_as_declared(looked: Look, pair: Pair) -> None:
    claim = claim_of(looked(pair.case(pair.student(0.5, factor=1.0), WITHOUT_T2)))
    assert claim.evidence[0].value == pytest.approx(1, rel=0.02)
    assert claim.strength <= 0
    assert "declared is 0.50 without T²" in claim.evidence[0].statement


def test_a_declared_loss_without_t2_is_held_against_an_overfitted_student(
    planted: ModuleType, looked: Look
) -> None:
    found = PROBE.examine(looked(planted.overfitted(recipe=WITHOUT_T2)))
    assert isinstance(found, Finding)
    (claim,) = found.claims
    assert (claim.cause, claim.side) == (Cause.LOSS_IMBALANCE, Side.EXCESS_GAP)
    assert claim.strength > 0
    assert claim.evidence[0].value == T**2
    assert "in force are 0.94 and 0.06" in claim.evidence[0].statement
    assert claim.summary.startswith("Without the factor T² the distillation loss weighs 0.06")


@pytest.mark.parametrize(
    "recipe",
    [
        DECLARED,
        Recipe(task_weight=0.5, temperature=1.0, scale_by_t2=False),  # T² is 1
        Recipe(task_weight=1.0, temperature=T, scale_by_t2=False),  # no distillation at all
    ],
)
def test_other_declared_losses_are_not(planted: ModuleType, looked: Look, recipe: Recipe) -> None:
    assert isinstance(PROBE.examine(looked(planted.overfitted(recipe=recipe))), Skipped)


@pytest.mark.parametrize(("weight", "decay", "off"), [(1.0, 0.02, False), (0.3, 0.0, True)])
def test_where_one_loss_alone_is_declared_the_weight_in_force_is_told(
    looked: Look, pair: Pair, weight: float, decay: float, off: bool
) -> None:
    recipe = Recipe(task_weight=1.0, temperature=T, augment=())
    claim = claim_of(looked(pair.case(pair.student(weight, decay=decay), recipe)))
    assert (claim.strength > 0) == off
    assert claim.evidence[0].value == pytest.approx(weight, abs=0.01)
    assert "declared is 1, one of the two losses alone" in claim.evidence[0].statement
    assert bool(claim.summary) == off


# -- where it cannot be read -----------------------------------------------------------------


def test_a_head_that_is_not_at_rest_tells_nothing(looked: Look, pair: Pair) -> None:
    assert "gradients do not cancel (residual 1.00)" in reason_of(looked(pair.case(Narrow())))


def test_a_pair_that_is_close_is_not_asked(planted: ModuleType, looked: Look) -> None:
    assert PROBE.examine(looked(planted.healthy(recipe=DECLARED))) == Finding("effective_weight")


def test_needs_and_reasons_to_skip(looked: Look, pair: Pair) -> None:
    student = pair.student(0.5, steps=5)
    for recipe in (Recipe(task_weight=0.5), Recipe(temperature=T)):
        seen = looked(pair.case(student, recipe))
        assert seen.missing(PROBE.needs) == Need.LOSS_WEIGHTS.value
    unknown = Recipe(task_weight=0.5, temperature=T)
    assert "the augmentation is not known" in reason_of(looked(pair.case(student, unknown)))
    with torch.no_grad():
        said = [pair.teacher(x).numpy() for x, _ in (pair.train, pair.heldout)]
    stored = looked(pair.case(student, teacher=TeacherLogits(*said)))
    assert reason_of(stored) == Need.TEACHER_MODEL.value
    headless = nn.Sequential(student, nn.Tanh())
    assert reason_of(looked(pair.case(headless))) == Need.STUDENT_FEATURES.value


def test_too_few_rows_of_many_do_not_name_a_bug(looked: Look, pair: Pair) -> None:
    """On a part of the train rows the gradient is not zero; what is read stays near."""
    seen = looked(pair.case(pair.student(0.5)), max_samples=150)
    found = PROBE.examine(seen)
    assert isinstance(found, Skipped) or found.claims[0].strength <= 0


def test_fitted_rows_at_a_rate_that_stayed_up_tell_no_weight(looked: Look, pair: Pair) -> None:
    """Without a teacher in the loss nothing is left of its gradient, as once rows are fitted."""
    labels_alone = pair.student(1.0)
    steady = replace(DECLARED, schedule=Schedule.CONSTANT)
    assert "never came down" in reason_of(looked(pair.case(labels_alone, steady)))
    annealed = replace(DECLARED, schedule=Schedule.COSINE)
    found = claim_of(looked(pair.case(labels_alone, annealed)))
    assert found.cause is Cause.LOSS_IMBALANCE
    assert found.strength > 0
