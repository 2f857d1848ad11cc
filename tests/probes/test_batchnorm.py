"""BatchNorm statistics that are stale, that are sound, and inputs that are at fault instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor import Preprocess
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Finding, Skipped
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.measures import limit_now, measure_gap, measure_left
from gapdoctor.observe.observations import Observations
from gapdoctor.probes.batchnorm import VARIANT, Batchnorm, re_estimated

PROBE = Batchnorm()
Look = Callable[..., Observations]


def normalised(
    planted: ModuleType, stale: float = 0.0, rule: nn.Linear | None = None
) -> nn.Sequential:
    """A rule behind a BatchNorm layer whose statistics are those of the train rows.

    Left out, it is the Bayes rule. `stale` moves its running mean, as if the last batches had
    been others.
    """
    inputs = planted.rows(1, 600)[0].double()
    mean, var = inputs.mean(dim=0), inputs.var(dim=0)
    rule = rule or planted.bayes()
    weight = rule.weight.detach().double() * var.sqrt()
    head = planted.linear(weight, rule.bias.detach() + rule.weight.detach().double() @ mean)
    layer = nn.BatchNorm1d(4)
    layer.running_mean, layer.running_var = (mean + stale).float(), var.float()
    return nn.Sequential(layer, head)


def asked(seen: Observations) -> tuple[Claim, Finding]:
    found = PROBE.examine(seen)
    assert isinstance(found, Finding)
    (claim,) = found.claims
    return claim, found


def asked_leniently(seen: Observations) -> Claim:
    """The claim where train rows need not gain."""
    found = replace(PROBE, train_share=-1.0).examine(seen)
    assert isinstance(found, Finding)
    return found.claims[0]


def test_stale_statistics_are_named_with_the_nats_that_they_cost(
    planted: ModuleType, looked: Look
) -> None:
    seen = looked(planted.healthy(student=normalised(planted, stale=2.0)))
    claim, found = asked(seen)
    assert (claim.cause, claim.strength) == (Cause.OPTIMIZATION, PROBE.strength)
    assert claim.strength > 0
    assert claim.side is None
    assert "stale" in claim.summary
    (evidence,) = claim.evidence
    assert evidence.limit == limit_now(seen)
    assert evidence.value > limit_now(seen)
    assert (evidence.unit, evidence.speaks) == ("nats", "for")
    assert "estimated afresh on train rows" in evidence.statement
    (warning,) = found.warnings
    assert warning.id == "stale_batchnorm"
    assert not warning.voids


def test_what_comes_back_is_what_the_sound_student_loses_less(
    planted: ModuleType, looked: Look
) -> None:
    seen = looked(planted.healthy(student=normalised(planted, stale=2.0)))
    claim, _ = asked(seen)
    sound = looked(planted.healthy(student=normalised(planted)))
    b = seen.rows(Split.HELDOUT).reporting
    lost = [s.outputs(Model.STUDENT, Split.HELDOUT).loss[b] for s in (seen, sound)]
    assert claim.returned is not None
    assert claim.returned.student.mean() == pytest.approx((lost[0] - lost[1]).mean(), abs=0.01)
    assert claim.evidence[0].value == pytest.approx(claim.returned.student.mean())
    assert not claim.returned.teacher.any()
    assert claim.intervention is not None
    assert (claim.intervention.kind, claim.intervention.name) == ("batchnorm", VARIANT)
    assert not claim.intervention.touches_teacher
    seen.believe(claim.intervention)
    assert measure_left(seen).excess.value == pytest.approx(0, abs=0.01)


def test_sound_statistics_speak_against(planted: ModuleType, looked: Look) -> None:
    claim, found = asked(looked(planted.healthy(student=normalised(planted))))
    assert claim.strength == PROBE.against < 0
    assert claim.evidence[0].value == pytest.approx(0, abs=0.01)
    assert claim.evidence[0].speaks == "against"
    assert (claim.returned, claim.intervention) == (None, None)
    assert found.warnings == ()


def test_other_inputs_when_deployed_are_no_stale_statistics(
    planted: ModuleType, looked: Look
) -> None:
    """Statistics of held-out rows would heal it; train rows do not suffer."""
    seen = looked(planted.mismatched(student=normalised(planted)))
    assert measure_gap(seen).excess.low > limit_now(seen)
    claim, found = asked(seen)
    assert claim.strength == PROBE.against
    assert found.warnings == ()


def test_statistics_that_suit_the_heldout_rows_are_left_alone(
    planted: ModuleType, looked: Look
) -> None:
    """Train rows would gain by fresh ones, held-out rows lose."""
    x, y = planted.rows(2, 600)
    seen = looked(planted.healthy(student=normalised(planted, stale=2.0), heldout=(x + 2, y)))
    claim, found = asked(seen)
    assert claim.strength == PROBE.against
    assert claim.evidence[0].value < 0
    assert claim.evidence[0].speaks == "against"
    assert found.warnings == ()


def test_overfitting_is_no_matter_of_statistics(planted: ModuleType, looked: Look) -> None:
    base = normalised(planted, rule=planted.blind())
    seen = looked(planted.overfitted(student=planted.Memoriser(planted.rows(1, 600), base)))
    assert measure_gap(seen).excess.low > limit_now(seen)
    assert asked(seen)[0].strength == PROBE.against


def test_train_rows_have_to_gain_by_it(planted: ModuleType, looked: Look) -> None:
    """Held-out rows alone would: whatever that is, the train rows' statistics are not at fault."""
    base = normalised(planted, stale=2.0)
    seen = looked(planted.healthy(student=planted.Memoriser(planted.rows(1, 600), base)))
    claim, found = asked(seen)
    assert claim.strength == PROBE.against
    assert claim.evidence[0].value == pytest.approx(0, abs=1e-6)
    assert found.warnings == ()
    assert asked_leniently(seen).strength == PROBE.strength


# -- the copy ----------------------------------------------------------------------------------


def test_fresh_statistics_are_those_of_the_train_rows(planted: ModuleType, looked: Look) -> None:
    """Of model-ready rows, of whole batches, and with nothing else in train mode."""
    student = nn.Sequential(nn.Dropout(0.9), nn.BatchNorm1d(4), nn.Linear(4, 3)).train()
    case = planted.healthy(
        512, student=student, train=planted.raw(planted.rows(1, 512)),
        heldout=planted.raw(planted.rows(2, 512)),
        preprocess=Preprocess(planted.undo, planted.undo),
    )  # fmt: skip
    twin = re_estimated(looked(case), np.arange(512))
    assert isinstance(twin, nn.Sequential)
    inputs = planted.rows(1, 512)[0]
    fresh, old = (dict(model[1].named_buffers()) for model in (twin, student))
    assert torch.allclose(fresh["running_mean"], inputs.mean(dim=0), atol=1e-5)
    assert torch.allclose(fresh["running_var"], inputs.var(dim=0), rtol=0.05)
    assert not any(m.training for m in twin.modules())
    assert all(map(torch.equal, twin[2].parameters(), student[2].parameters()))
    assert old["running_mean"].tolist() == [0.0] * 4
    assert all(m.training for m in student.modules())


def test_no_more_rows_are_taken_than_named(planted: ModuleType, looked: Look) -> None:
    few = Batchnorm(rows=100)
    case = planted.healthy(student=normalised(planted, stale=2.0))
    assert len(case.train[0]) > few.rows
    seen = looked(case)
    few.examine(seen)
    inputs, labels = case.heldout[0], case.heldout[1].numpy()
    offered = seen.score(Model.STUDENT, inputs, labels, variant=VARIANT).logits
    with torch.no_grad():
        expected = re_estimated(seen, np.arange(100))(inputs).numpy()
    assert np.allclose(offered, expected, atol=1e-5)


# -- nothing to ask ----------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [nn.Identity(), nn.BatchNorm1d(4, track_running_stats=False)])
def test_a_student_without_statistics_is_skipped(
    planted: ModuleType, looked: Look, layer: nn.Module
) -> None:
    student = nn.Sequential(layer, planted.bayes())
    found = PROBE.examine(looked(planted.healthy(student=student)))
    assert found == Skipped("batchnorm", "the student has no BatchNorm statistics")


def test_too_few_train_rows_are_skipped(planted: ModuleType, looked: Look) -> None:
    case = planted.healthy(student=normalised(planted, stale=2.0), train=planted.rows(1, 63))
    found = PROBE.examine(looked(case))
    assert isinstance(found, Skipped)
    assert "63 train rows are too few" in found.reason
    more = planted.healthy(student=normalised(planted, stale=2.0), train=planted.rows(1, 64))
    assert isinstance(PROBE.examine(looked(more)), Finding)
