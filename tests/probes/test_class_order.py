"""Class order: logits that mean other classes than the labels, and mere confusions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Finding, Skipped
from gapdoctor.observe.case import Case, Model, Split
from gapdoctor.observe.measures import limit_now, measure_gap, measure_left
from gapdoctor.observe.observations import Observations
from gapdoctor.probes.class_order import ClassOrder
from gapdoctor.stats.calibration import cross_entropy

PROBE = ClassOrder()
Look = Callable[..., Observations]
NEXT, SWAPPED = (1, 2, 0), (1, 0, 2)
"""`order[class of the logits] = class of the labels`."""


def numbered(rule: nn.Linear, order: Sequence[int]) -> nn.Linear:
    """Give a rule's classes other numbers: `order` puts them right again."""
    with torch.no_grad():
        rule.weight.copy_(rule.weight[list(order)].clone())
        rule.bias.copy_(rule.bias[list(order)].clone())
    return rule


def relabelled(planted: ModuleType, order: Sequence[int], n: int = 600) -> Any:
    """Held-out rows whose labels are numbered otherwise than those of the train rows."""
    x, y = planted.rows(2, n)
    return x, torch.tensor(order)[y]


def student_alone(planted: ModuleType, order: Sequence[int]) -> Case:
    case = planted.healthy(student=numbered(planted.bayes(1.05), order))
    assert isinstance(case, Case)
    return case


def asked(seen: Observations) -> tuple[Claim, Finding]:
    found = PROBE.examine(seen)
    assert isinstance(found, Finding)
    (claim,) = found.claims
    return claim, found


@pytest.mark.parametrize(
    ("order", "words"),
    [(NEXT, "an offset by +1"), ((2, 0, 1), "an offset by -1"),
     (SWAPPED, "another order of 2 classes")],
)  # fmt: skip
def test_labels_of_another_numbering_are_named_with_the_order(
    planted: ModuleType, looked: Look, order: Sequence[int], words: str
) -> None:
    seen = looked(planted.healthy(heldout=relabelled(planted, order)))
    claim, found = asked(seen)
    assert (claim.cause, claim.strength) == (Cause.PREPROCESSING_MISMATCH, PROBE.strength)
    assert claim.strength > 0
    assert claim.intervention is not None
    assert (claim.intervention.kind, claim.intervention.name) == ("class_order", words)
    assert dict(claim.intervention.parameters)["order"] == order
    assert claim.intervention.touches_teacher
    assert claim.summary.startswith("Both models' classes")
    assert words in claim.summary
    (evidence,) = claim.evidence
    assert evidence.limit == limit_now(seen)
    assert evidence.value > limit_now(seen)
    assert (evidence.unit, evidence.speaks) == ("nats", "for")
    (warning,) = found.warnings
    assert (warning.id, warning.voids) == ("class_order", False)
    assert words in warning.statement


def test_what_comes_back_are_the_nats_of_the_reordered_logits(
    planted: ModuleType, looked: Look
) -> None:
    seen = looked(planted.healthy(heldout=relabelled(planted, NEXT)))
    claim, _ = asked(seen)
    assert claim.returned is not None
    held = seen.rows(Split.HELDOUT)
    for model, returned in zip(
        Model, (claim.returned.student, claim.returned.teacher), strict=True
    ):
        outputs = seen.outputs(model, Split.HELDOUT)
        mended = cross_entropy(outputs.logits[:, [2, 0, 1]].astype(float), held.labels)
        assert np.allclose(returned, (outputs.loss - mended)[held.reporting], atol=1e-5)
    assert claim.evidence[0].value == pytest.approx(claim.returned.student.mean())


def test_an_order_of_the_student_alone_touches_no_teacher(
    planted: ModuleType, looked: Look
) -> None:
    seen = looked(student_alone(planted, SWAPPED))
    claim, _ = asked(seen)
    assert claim.summary.startswith("The student's classes")
    assert claim.intervention is not None
    assert not claim.intervention.touches_teacher
    assert claim.returned is not None
    assert not claim.returned.teacher.any()
    assert measure_left(seen).fit_deficit.value > 1
    seen.believe(claim.intervention)  # it is the student's own, on train rows, too
    left = measure_left(seen)
    assert left.fit_deficit.value == pytest.approx(0, abs=0.01)
    assert left.excess.value == pytest.approx(0, abs=0.01)


def test_agreement_with_the_teacher_is_told_beside_it(planted: ModuleType, looked: Look) -> None:
    """1.05 times the Bayes rule agrees with it nearly everywhere, once it is put in order."""
    alone, _ = asked(looked(student_alone(planted, NEXT)))
    both, _ = asked(looked(planted.healthy(heldout=relabelled(planted, NEXT))))
    told = [c.evidence[0].statement.split("goes from ")[1] for c in (alone, both)]
    assert told == ["0.0% to 100.0%.", "100.0% to 0.0%."]


def test_a_shared_order_is_mended_for_both(planted: ModuleType, looked: Look) -> None:
    seen = looked(planted.healthy(heldout=relabelled(planted, SWAPPED)))
    claim, _ = asked(seen)
    assert claim.intervention is not None
    seen.believe(claim.intervention)
    for model in Model:
        assert seen.current(model, Split.HELDOUT).correct.mean() > 0.9
        assert seen.current(model, Split.TRAIN).correct.mean() > 0.9


@pytest.mark.parametrize("pair", ["healthy", "overfitted", "short_of_fit", "mismatched"])
def test_where_the_classes_are_in_place_nothing_is_said(
    planted: ModuleType, looked: Look, pair: str
) -> None:
    assert PROBE.examine(looked(getattr(planted, pair)())) == Finding("class_order")


def test_a_teacher_that_alone_is_numbered_otherwise_is_no_control(
    planted: ModuleType, looked: Look
) -> None:
    found = PROBE.examine(looked(planted.healthy(teacher=numbered(planted.bayes(), NEXT))))
    assert isinstance(found, Finding)
    assert found.claims == ()
    (warning,) = found.warnings
    assert (warning.id, warning.voids) == ("teacher_class_order", True)
    assert "an offset by +1" in warning.statement


class Confusing(nn.Module):
    """Takes two classes for each other on a share of the rows."""

    def __init__(self, planted: ModuleType, share: float) -> None:
        super().__init__()
        self.right, self.share = planted.bayes(), share
        self.wrong = numbered(planted.bayes(), SWAPPED)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        chance = (x[:, :1] * 1e3) % 1  # digits that have nothing to do with the class
        return torch.where(chance < self.share, self.wrong(x), self.right(x))


def test_a_frequent_confusion_is_no_order(planted: ModuleType, looked: Look) -> None:
    """More often than not is not enough: on train rows the student knows them apart."""
    student = planted.Memoriser(planted.rows(1, 300), Confusing(planted, 0.58))
    seen = looked(planted.overfitted(300, student=student, heldout=planted.rows(2, 3_000)))
    assert PROBE.examine(seen) == Finding("class_order")
    lenient = replace(PROBE, recovered=0.3).examine(seen)
    assert isinstance(lenient, Finding)
    assert len(lenient.claims) == 1


def test_one_class_that_is_always_taken_for_another_is_no_order(
    planted: ModuleType, looked: Look
) -> None:
    student = planted.bayes()
    with torch.no_grad():  # never class 0
        student.bias[0] = -100.0
    seen = looked(planted.healthy(student=student))
    assert measure_gap(seen).excess.low > 1
    assert PROBE.examine(seen) == Finding("class_order")


def test_an_order_is_read_on_top_of_what_was_proven(planted: ModuleType, looked: Look) -> None:
    seen = looked(student_alone(planted, NEXT))
    claim, _ = asked(seen)
    assert claim.intervention is not None
    seen.believe(claim.intervention)
    assert PROBE.examine(seen) == Finding("class_order")


def test_too_few_rows_are_skipped(planted: ModuleType, looked: Look) -> None:
    found = PROBE.examine(looked(planted.healthy(heldout=relabelled(planted, NEXT, 90))))
    assert isinstance(found, Skipped)
    assert "held-out rows in one of the halves" in found.reason
    assert "50" in found.reason


def test_whole_groups_are_resampled(planted: ModuleType, looked: Look) -> None:
    heldout, few = relabelled(planted, NEXT), [f"g{i % 9}" for i in range(600)]
    plain, grouped = (
        asked(looked(planted.healthy(heldout=heldout, **more)))[0].evidence[0].statement
        for more in ({}, {"groups": few})
    )
    assert plain != grouped
