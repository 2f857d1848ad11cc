"""Temperature: a student whose logits are only scaled, and gaps that a scale does not explain."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor import TeacherLogits
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Finding
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.observations import Observations
from gapdoctor.probes.temperature import Temperature

PROBE = Temperature()
Look = Callable[..., Observations]


def asked(seen: Observations) -> Finding:
    found = PROBE.examine(seen)
    assert isinstance(found, Finding)
    return found


def claim_of(seen: Observations) -> Claim:
    (claim,) = asked(seen).claims
    return claim


@pytest.mark.parametrize(("scale", "size"), [(5.0, "too large"), (0.2, "too small")])
def test_a_sound_student_on_another_scale_is_named(
    planted: ModuleType, looked: Look, scale: float, size: str
) -> None:
    """The Bayes rule is calibrated: divided by its scale, the student is the Bayes rule again."""
    seen = looked(planted.healthy(student=planted.bayes(scale)))
    found = asked(seen)
    (claim,) = found.claims
    assert claim.cause is Cause.LOSS_IMBALANCE
    assert claim.strength > 0
    assert claim.intervention is not None
    assert claim.intervention.kind == "temperature"
    assert not claim.intervention.touches_teacher
    tau = float(dict(claim.intervention.parameters)["temperature"])  # type: ignore[arg-type]
    assert tau == pytest.approx(scale, rel=0.15)
    assert f"one temperature ({tau:.2f}, fitted on half A)" in claim.evidence[0].statement
    assert "its predictions are sound" in claim.summary
    (warning,) = found.warnings
    assert (warning.id, warning.voids) == ("miscalibrated", False)
    assert f"are {size}: divided by {tau:.2f}" in warning.statement


def test_what_it_returns_is_what_standing_on_it_saves(planted: ModuleType, looked: Look) -> None:
    seen = looked(planted.healthy(student=planted.bayes(5.0)))
    claim = claim_of(seen)
    assert claim.returned is not None
    assert claim.intervention is not None
    before = seen.outputs(Model.STUDENT, Split.HELDOUT)
    seen.believe(claim.intervention)
    after = seen.current(Model.STUDENT, Split.HELDOUT)
    b = seen.rows(Split.HELDOUT).reporting
    assert np.allclose(claim.returned.student, (before.loss - after.loss)[b], atol=1e-4)
    assert np.array_equal(before.correct, after.correct)
    assert not claim.returned.teacher.any()
    assert claim.evidence[0].value == pytest.approx(claim.returned.student.mean())
    assert (claim.evidence[0].unit, claim.evidence[0].speaks) == ("nats", "for")
    assert claim.evidence[0].limit is not None
    assert claim.evidence[0].value > claim.evidence[0].limit
    assert asked(seen) == Finding("temperature")  # and then nothing is left


def test_a_mismatch_or_a_shift_voids_it(planted: ModuleType, looked: Look) -> None:
    claim = claim_of(looked(planted.healthy(student=planted.bayes(5.0))))
    assert claim.valid_unless == {Cause.PREPROCESSING_MISMATCH, Cause.DISTRIBUTION_SHIFT}


@pytest.mark.parametrize("pair", ["healthy", "overfitted", "short_of_fit"])
def test_a_calibrated_student_gets_nothing_back(
    planted: ModuleType, looked: Look, pair: str
) -> None:
    assert asked(looked(getattr(planted, pair)(400))) == Finding("temperature")


def test_a_temperature_that_is_known_is_no_fault(planted: ModuleType, looked: Look) -> None:
    case = planted.healthy(student=planted.bayes(5.0), output_temperature=5.0)
    assert asked(looked(case)) == Finding("temperature")


def test_where_predictions_are_worse_it_is_a_fix_and_no_cause(
    planted: ModuleType, looked: Look
) -> None:
    sure = planted.blind()
    with_scale = planted.linear(5 * sure.weight.detach().numpy(), 5 * sure.bias.detach().numpy())
    found = asked(looked(planted.short_of_fit(student=with_scale)))
    assert found.claims == ()
    assert [w.id for w in found.warnings] == ["miscalibrated"]


def test_a_teacher_that_gets_as_much_back_is_the_control(planted: ModuleType, looked: Look) -> None:
    case = planted.healthy(student=planted.bayes(5.0), teacher=planted.bayes(5.0))
    found = asked(looked(case))
    assert found.claims == ()
    assert [w.id for w in found.warnings] == ["miscalibrated"]


def test_a_student_better_than_its_teacher_has_no_gap_to_explain(
    planted: ModuleType, looked: Look
) -> None:
    found = asked(looked(planted.healthy(student=planted.bayes(5.0), teacher=planted.blind())))
    assert found.claims == ()
    assert [w.id for w in found.warnings] == ["miscalibrated"]


class Uneven(nn.Module):
    """Its teacher, much too sure of some rows and much too unsure of others."""

    def __init__(self, rule: nn.Module) -> None:
        super().__init__()
        self.rule = rule

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = torch.where(x[:, :1] > 0.5, 20.0, 0.1)
        return scale * self.rule(x)  # type: ignore[no-any-return]


def test_one_temperature_that_leaves_most_of_the_excess_is_no_cause(
    planted: ModuleType, looked: Look
) -> None:
    found = asked(looked(planted.healthy(1_500, student=Uneven(planted.bayes()))))
    assert found.claims == ()
    assert [w.id for w in found.warnings] == ["miscalibrated"]


def test_stored_logits_are_control_enough(planted: ModuleType, looked: Look) -> None:
    said = [planted.bayes()(planted.rows(s, 600)[0]).detach().numpy() for s in (1, 2)]
    student = planted.bayes(5.0)
    stored = claim_of(looked(planted.healthy(student=student, teacher=TeacherLogits(*said))))
    running = claim_of(looked(planted.healthy(student=student)))
    assert stored.evidence[0].value == pytest.approx(running.evidence[0].value)


def test_few_rows_show_nothing(planted: ModuleType, looked: Look) -> None:
    case = planted.healthy(student=planted.bayes(2.0), heldout=planted.rows(2, 12))
    assert asked(looked(case)) == Finding("temperature")


def test_whole_groups_are_resampled(planted: ModuleType, looked: Look) -> None:
    plain, grouped = (
        asked(looked(planted.healthy(student=planted.bayes(5.0), groups=g))).warnings[0].statement
        for g in (None, [f"g{i % 40}" for i in range(600)])
    )
    assert plain != grouped


def test_with_a_test_set_it_is_fitted_on_held_out_and_scored_on_test(
    planted: ModuleType, looked: Look
) -> None:
    case = planted.healthy(student=planted.bayes(5.0), test=planted.rows(3, 250))
    claim = claim_of(looked(case))
    assert claim.returned is not None
    assert len(claim.returned.student) == 250


def test_one_that_knows_its_train_rows_by_heart_is_no_mere_scale(
    planted: ModuleType, looked: Look
) -> None:
    """As accurate as its teacher on new rows, and sure of too much: what overfitting does too."""
    train = planted.rows(1, 600)
    by_heart = planted.Memoriser(train, planted.bayes())
    student = nn.Sequential(by_heart, planted.linear(5 * np.eye(3), np.zeros(3)))
    found = asked(looked(planted.healthy(student=student, train=train)))
    assert found.claims == ()
    assert [w.id for w in found.warnings] == ["miscalibrated"]


def test_where_it_may_be_less_than_h_beyond_the_teacher_s_it_is_said_weakly(
    planted: ModuleType, looked: Look
) -> None:
    """A teacher that is too sure gets nearly as much back: of the rest, only that it is above 0."""
    for scale, strength in ((4.0, PROBE.weak), (9.0, PROBE.strength)):
        student, teacher = planted.bayes(scale), planted.bayes(2.5)
        claim = claim_of(looked(planted.healthy(600, student=student, teacher=teacher)))
        assert claim.strength == strength
