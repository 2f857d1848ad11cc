"""`diagnose` end to end on pairs whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor import Case, Pipeline, Preprocess, TeacherLogits, diagnose
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.diagnosis import Verdict
from gapdoctor.domain.findings import Skipped
from gapdoctor.observe.observations import Need

PLANTED = {
    "healthy": (Verdict.HEALTHY, []),
    "overfitted": (Verdict.GENERALIZATION_GAP, [Cause.OVERFITTING]),
    "mismatched": (Verdict.GENERALIZATION_GAP, [Cause.PREPROCESSING_MISMATCH]),
    "shared": (Verdict.SHARED_GAP, [Cause.PREPROCESSING_MISMATCH]),
    "short_of_fit": (Verdict.FIT_SHORTFALL, []),
}


@pytest.mark.parametrize("pair", PLANTED)
def test_each_planted_pair_gets_its_verdict_and_its_cause(planted: ModuleType, pair: str) -> None:
    found = planted.asked(getattr(planted, pair)())
    assert (found.verdict, planted.named(found)) == PLANTED[pair]


@pytest.mark.parametrize("pair", ["healthy", "mismatched", "shared", "short_of_fit"])
def test_all_probes_together_give_the_same_verdict(planted: ModuleType, pair: str) -> None:
    found = diagnose(getattr(planted, pair)())
    assert found.verdict is PLANTED[pair][0]
    assert not [s for s in found.skipped if s.reason.startswith("crashed")]
    assert set(PLANTED[pair][1]) <= set(planted.named(found))


def test_the_record_is_whole(planted: ModuleType) -> None:
    found = planted.asked(planted.mismatched(), command="gapdoctor diagnose", seed=3)
    assert (found.seed, found.command) == (3, "gapdoctor diagnose")
    assert (found.student.parameters, found.teacher.parameters) == (15, 15)
    assert (found.data.train.samples, found.data.train.used) == (600, 600)
    assert found.halves.choosing.rows + found.halves.reporting.rows == 600
    assert found.halves.reporting.source == "heldout"
    assert found.cost.forward_samples == 4 * 600 + 2 * 600 + 600  # own passes, mirrored, reversed
    assert 0 < found.cost.bare_forward_seconds < found.cost.seconds
    assert 0 < found.cost.preparing_seconds < found.cost.seconds
    assert [s.probe for s in found.skipped] == ["history"]
    assert set(found.tables) >= {"reliability", "per_class", "loss_histogram", "waterfall"}
    assert found.environment["device"]


def test_the_waterfall_leads_from_teacher_to_student(planted: ModuleType) -> None:
    rows = planted.asked(planted.mismatched()).tables["waterfall"].records()
    assert [r["kind"] for r in rows] == ["teacher", "cause", "unexplained", "student"]
    assert sum(r["value"] for r in rows[:-1]) == pytest.approx(rows[-1]["value"])


def test_causes_can_be_had_as_a_table(planted: ModuleType) -> None:
    frame = planted.asked(planted.mismatched()).to_frame()
    assert frame.cause.tolist() == ["preprocessing_mismatch"]
    assert frame.explained[0] > 0.1


def test_stored_logits_instead_of_a_teacher(planted: ModuleType) -> None:
    case = planted.overfitted()
    with torch.no_grad():
        stored = [planted.bayes()(s[0]).numpy() for s in (case.train, case.heldout)]
    found = planted.asked(
        replace(case, teacher=TeacherLogits(*stored, file="teacher.npz", sha256="ab"))
    )
    live = planted.asked(case)
    assert (found.verdict, planted.named(found)) == PLANTED["overfitted"]
    assert found.gap.excess.value == pytest.approx(live.gap.excess.value, abs=1e-6)
    assert (found.teacher.file, found.teacher.parameters) == ("teacher.npz", None)


def test_a_student_that_is_its_teacher_is_healthy(planted: ModuleType) -> None:
    model = planted.bayes()
    found = planted.asked(planted.healthy(student=model, teacher=model))
    assert found.verdict is Verdict.HEALTHY
    assert found.gap.excess.value == found.gap.excess.low == found.gap.excess.high == 0
    assert found.fidelity_heldout.agreement.value == 1
    assert found.fidelity_heldout.kl.value == 0


def test_a_student_that_is_better_than_its_teacher_is_healthy(planted: ModuleType) -> None:
    case = planted.short_of_fit()
    found = planted.asked(replace(case, student=case.teacher, teacher=case.student))
    assert found.verdict is Verdict.HEALTHY
    assert found.gap.excess.high < 0
    assert found.causes == ()


def test_fifty_samples_are_few_and_said_to_be(planted: ModuleType) -> None:
    found = planted.asked(planted.healthy(50, student=planted.bayes(3.0)))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "few_samples" in {w.id for w in found.warnings}
    assert planted.asked(planted.overfitted(50)).verdict is Verdict.GENERALIZATION_GAP


def test_two_classes(planted: ModuleType) -> None:
    def pair(scale: float) -> nn.Linear:
        return planted.linear(scale * np.array([[1.0, 0, 0, 0], [-1.0, 0, 0, 0]]), [0, 0])

    def rows(seed: int) -> Any:
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 2, 500)
        inputs = rng.normal(size=(500, 4))
        inputs[:, 0] += 1 - 2 * labels
        return torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels)

    data = {"train": rows(1), "heldout": rows(2)}
    assert planted.asked(Case(pair(1.0), pair(1.0), **data)).verdict is Verdict.HEALTHY
    turned = planted.asked(Case(pair(-1.0), pair(1.0), **data))
    assert turned.verdict is Verdict.FIT_SHORTFALL
    assert turned.data.classes == ("0", "1")


@pytest.mark.parametrize("side", ["train", "inference"])
def test_one_pipeline_alone(planted: ModuleType, side: str) -> None:
    found = planted.asked(planted.mismatched(preprocess=Preprocess(**{side: planted.undo})))
    assert found.verdict is Verdict.HEALTHY
    assert Skipped("mirror", Need.PIPELINES.value) in found.skipped
    assert any("both splits go through" in note for note in found.notes)


def test_batched_pipelines(planted: ModuleType) -> None:
    given = Preprocess(Pipeline(planted.undo, True), Pipeline(planted.forgotten, True))
    batched, single = (
        planted.asked(planted.mismatched(preprocess=given)),
        planted.asked(planted.mismatched()),
    )
    assert planted.named(batched) == [Cause.PREPROCESSING_MISMATCH]
    assert batched.causes[0].explained.value == pytest.approx(single.causes[0].explained.value)


def test_groups_and_class_names(planted: ModuleType) -> None:
    found = planted.asked(
        planted.mismatched(groups=[f"p{i % 60}" for i in range(600)], classes=["a", "b", "c"])
    )
    assert planted.named(found) == [Cause.PREPROCESSING_MISMATCH]
    assert found.data.classes == ("a", "b", "c")
    assert [r["class"] for r in found.tables["per_class"].records()] == ["a", "b", "c"]


def test_an_output_temperature_is_the_students(planted: ModuleType) -> None:
    found = planted.asked(planted.healthy(student=planted.bayes(4.0), output_temperature=4.0))
    assert found.verdict is Verdict.HEALTHY
    assert found.gap.excess.value == pytest.approx(0, abs=1e-6)


def test_a_test_set_reports_and_heldout_chooses(planted: ModuleType) -> None:
    found = planted.asked(planted.overfitted(test=planted.rows(3, 250)))
    assert found.verdict is Verdict.GENERALIZATION_GAP
    assert (found.halves.choosing.rows, found.halves.choosing.source) == (600, "heldout")
    assert (found.halves.reporting.rows, found.halves.reporting.source) == (250, "test")
    assert {m.n for m in found.metrics if m.split == "heldout"} == {250}
    assert (found.data.heldout.samples, found.data.heldout.used) == (250, 250)


def test_random_data_are_warned_of(planted: ModuleType) -> None:
    given = Preprocess(planted.undo, lambda x: planted.undo(x) + 0.01 * torch.randn(4))
    found = planted.asked(planted.mismatched(preprocess=given))
    assert "random_inputs" in {w.id for w in found.warnings}
    assert found.verdict is Verdict.HEALTHY


def test_streams_are_warned_of(planted: ModuleType) -> None:
    x, y = planted.rows(1, 600)
    found = planted.asked(
        planted.healthy(train=((x[i], y[i]) for i in range(600))), max_samples=300
    )
    assert found.data.train.samples is None
    assert found.data.train.used == 300
    assert "stream" in {w.id for w in found.warnings}


def test_voiding_warnings_stand_first(planted: ModuleType) -> None:
    softmax = nn.Sequential(planted.bayes(), nn.Softmax(dim=1))
    found = planted.asked(planted.healthy(50, student=softmax))
    assert [(w.id, w.voids) for w in found.warnings] == [
        ("outputs_are_probabilities", True), ("few_samples", False)
    ]  # fmt: skip
