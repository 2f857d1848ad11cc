"""Regularization: what an overfitted student lacks, and how it bears a shaken row."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor import Case, Preprocess, Recipe, TeacherLogits
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Finding, Side, Skipped
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.observations import Observations
from gapdoctor.probes.regularization import Regularization

PROBE = Regularization()
Claims = Callable[..., tuple[Claim, ...]]
Look = Callable[..., Observations]
BARE = Recipe(weight_decay=0.0, augment=())
N = 300
LACKING, BRITTLE = "what is lacking", "brittle"


class Copy(nn.Module):
    """Says what its teacher says of the rows that it has seen, and `base` of all others."""

    def __init__(self, seen: torch.Tensor, teacher: nn.Module, base: nn.Module) -> None:
        super().__init__()
        self.seen, self.teacher, self.base = seen, teacher, base

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        known = (x[:, None] - self.seen[None]).abs().amax(dim=2).amin(dim=1) < 1e-4
        return torch.where(known[:, None], self.teacher(x), self.base(x))


def copied(planted: ModuleType, **more: Any) -> Case:
    """A student that follows its teacher by heart: on its train rows nothing tells them apart."""
    train = planted.rows(1, N)
    student = Copy(train[0], planted.bayes(), planted.blind())
    return planted.overfitted(N, **{"student": student, "train": train, **more})  # type: ignore[no-any-return]


def by_topic(claims: tuple[Claim, ...]) -> dict[str, Claim]:
    return {c.topic: c for c in claims}


def test_an_overfitted_student_that_nothing_held_back_is_told_why(
    planted: ModuleType, claims_of: Claims
) -> None:
    claims = by_topic(claims_of(PROBE, copied(planted, recipe=BARE)))
    assert set(claims) == {LACKING, BRITTLE}
    for claim in claims.values():
        assert (claim.cause, claim.side) == (Cause.LACK_OF_REGULARIZATION, Side.EXCESS_GAP)
        assert claim.needs_cause is Cause.OVERFITTING
        assert claim.strength > 0
        assert claim.returned is None
        assert claim.evidence[0].speaks == "for"
    (lacking,), (shaken,) = (claims[t].evidence for t in (LACKING, BRITTLE))
    assert lacking.statement == "Recipe and modules lack weight decay, dropout, augmentation."
    assert (lacking.value, lacking.limit) == (3.0, PROBE.lacking)
    assert shaken.value > PROBE.brittle == shaken.limit
    assert shaken.unit == "nats"
    assert "Under mild noise and shifts" in shaken.statement


def with_dropout(planted: ModuleType, p: float) -> Any:
    case = planted.overfitted(N, recipe=BARE)
    case.student.dropout = nn.Dropout(p)
    return case


@pytest.mark.parametrize(
    ("recipe", "statement"),
    [
        (Recipe(weight_decay=1e-4, augment=()), "Recipe and modules lack dropout, augmentation."),
        (Recipe(weight_decay=0.0, augment="flip"),
         "Recipe and modules lack weight decay, dropout."),
        (Recipe(weight_decay=0.0, augment=(), dropout=0.2),
         "Recipe and modules lack weight decay, augmentation."),
        (Recipe(weight_decay=1e-4, augment="flip", dropout=0.2), "Nothing is lacking."),
    ],
)  # fmt: skip
def test_a_recipe_that_has_some_speaks_against(
    planted: ModuleType, claims_of: Claims, recipe: Recipe, statement: str
) -> None:
    claim = by_topic(claims_of(PROBE, planted.overfitted(N, recipe=recipe)))[LACKING]
    assert claim.strength < 0
    assert (claim.evidence[0].statement, claim.evidence[0].speaks) == (statement, "against")


@pytest.mark.parametrize(("p", "against"), [(0.5, True), (0.0, False)])
def test_dropout_is_read_off_the_modules(
    planted: ModuleType, claims_of: Claims, p: float, against: bool
) -> None:
    claim = by_topic(claims_of(PROBE, with_dropout(planted, p)))[LACKING]
    assert (claim.strength < 0) == against


def test_an_augmentation_of_the_user_s_own_counts(planted: ModuleType, claims_of: Claims) -> None:
    case = planted.overfitted(N, recipe=Recipe(weight_decay=0.0), augment=lambda x: x)
    claim = by_topic(claims_of(PROBE, case))[LACKING]
    assert claim.strength < 0
    assert "augmentation" not in claim.evidence[0].statement


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(weight_decay=0.0), Recipe(augment=())])
def test_what_is_not_known_is_not_called_missing(
    planted: ModuleType, claims_of: Claims, recipe: Recipe
) -> None:
    assert set(by_topic(claims_of(PROBE, planted.overfitted(N, recipe=recipe)))) == {BRITTLE}


@pytest.mark.parametrize("pair", ["healthy", "short_of_fit"])
def test_without_an_excess_gap_it_is_not_asked(
    planted: ModuleType, looked: Look, pair: str
) -> None:
    found = PROBE.examine(looked(getattr(planted, pair)(2_000, recipe=BARE)))
    assert found == Finding("regularization")


def test_few_rows_show_nothing(planted: ModuleType, looked: Look) -> None:
    case = copied(planted, recipe=BARE, heldout=planted.rows(2, 6))
    assert PROBE.examine(looked(case)) == Finding("regularization")


def test_a_smooth_student_is_not_called_brittle(planted: ModuleType, claims_of: Claims) -> None:
    """Its excess gap comes from the pipeline; the rule itself bears noise as its teacher does."""
    claim = by_topic(claims_of(PROBE, planted.mismatched()))[BRITTLE]
    assert claim.strength < 0
    assert claim.evidence[0].speaks == "against"
    assert claim.evidence[0].value == pytest.approx(0, abs=0.01)


def test_known_distances_give_the_known_rise(planted: ModuleType, looked: Look) -> None:
    """Off its train rows the student is its teacher: shaken, both lose what the teacher does."""
    train = planted.rows(1, N)
    student = planted.Memoriser(train, planted.bayes())
    seen = looked(planted.healthy(N, student=student, train=train))
    found = PROBE.examine(seen)
    assert isinstance(found, Finding)
    student, teacher = (float(seen.outputs(m, Split.TRAIN).loss.mean()) for m in Model)
    (claim,) = found.claims
    assert claim.evidence[0].value == pytest.approx(teacher - student)
    assert claim.strength > 0


# -- rows that cannot be shaken --------------------------------------------------------------


def stored(planted: ModuleType) -> TeacherLogits:
    said = [planted.bayes()(planted.rows(s, N)[0]).detach().numpy() for s in (1, 2)]
    return TeacherLogits(*said)


def test_stored_logits_answer_no_shaken_row(planted: ModuleType, looked: Look) -> None:
    case = planted.overfitted(N, recipe=BARE, teacher=stored(planted))
    found = PROBE.examine(looked(case))
    assert isinstance(found, Finding)
    assert set(by_topic(found.claims)) == {LACKING}


def test_where_neither_can_be_asked_the_reason_is_told(planted: ModuleType, looked: Look) -> None:
    found = PROBE.examine(looked(planted.overfitted(N, teacher=stored(planted))))
    assert isinstance(found, Skipped)
    assert "give [recipe] weight_decay and augment" in found.reason


def test_models_that_eat_differently_see_no_common_shaken_row(
    planted: ModuleType, looked: Look
) -> None:
    given = Preprocess(planted.undo, lambda x: -planted.undo(x), teacher=lambda x: (x - 5) / 10)
    found = PROBE.examine(looked(planted.mismatched(recipe=BARE, preprocess=given)))
    assert isinstance(found, Finding)
    assert set(by_topic(found.claims)) == {LACKING}


class Tokens(nn.Module):
    """Looks its answer up by the row's number."""

    def __init__(self, logits: np.ndarray) -> None:
        super().__init__()
        self.table = torch.tensor(logits, dtype=torch.float32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.table[x[:, 0]]


def test_whole_numbers_are_not_shaken(planted: ModuleType, looked: Look) -> None:
    labels = np.random.default_rng(0).integers(0, 3, 800)
    right, flat = 5.0 * np.eye(3)[labels], np.zeros((800, 3))
    student = Tokens(np.where(np.arange(800)[:, None] < 400, right, flat))
    ids, y = torch.arange(800)[:, None], torch.tensor(labels)
    case = planted.healthy(
        student=student, teacher=Tokens(right), train=(ids[:400], y[:400]),
        heldout=(ids[400:], y[400:]), recipe=BARE,
    )  # fmt: skip
    found = PROBE.examine(looked(case))
    assert isinstance(found, Finding)
    assert set(by_topic(found.claims)) == {LACKING}


def test_the_random_state_of_the_caller_is_as_it_was(planted: ModuleType, looked: Look) -> None:
    seen = looked(planted.overfitted(N))
    before = torch.get_rng_state()
    PROBE.examine(seen)
    assert torch.equal(torch.get_rng_state(), before)
