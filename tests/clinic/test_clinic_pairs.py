"""Tiny pairs built from scratch, and the truth about them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor.domain.findings import Interval
from tests.clinic import planting
from tests.clinic.cases import INFERENCE, TRAINING, Planted, planted_of
from tests.clinic.data import SOURCES
from tests.clinic.entries import Entry
from tests.clinic.models import StudentSpec, student_of, teacher_of, usual
from tests.clinic.parallel import diagnosed
from tests.clinic.parts import CELLS
from tests.clinic.scene import Scene, scene_of
from tests.clinic.training import Plan, distillation, logits_of

CELL = next(c for c in CELLS if c.name == "digits/plain_mlp")


def tiny(seed: int = 3, **plan: object) -> StudentSpec:
    return usual(CELL, seed).changed({"epochs": 2, **plan}, width=4, rows=200)


@pytest.fixture(scope="module")
def module_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clinic")


@pytest.fixture(autouse=True)
def shared_cache(own_cache: Path, module_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One teacher serves all tests of this file."""
    monkeypatch.setenv("GAPDOCTOR_CLINIC_CACHE", str(module_cache))


@pytest.fixture
def scene() -> Scene:
    return scene_of(tiny())


def cases_of(fault: str, spec: StudentSpec | None = None, **fields: object) -> list[Planted]:
    entry = Entry(CELL.name, fault, "mild", spec or tiny(), **fields)  # type: ignore[arg-type]
    return planted_of([entry, replace(entry)])


# -- training ----------------------------------------------------------------------------------


def test_the_distillation_loss_has_known_values() -> None:
    teacher, student = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    plan = Plan(temperature=1.0)
    p = torch.softmax(teacher, 1)[0]
    expected = float((p * (p / 0.5).log()).sum())
    assert float(distillation(student, teacher, plan)) == pytest.approx(expected)
    assert float(distillation(teacher, teacher, plan)) == pytest.approx(0.0, abs=1e-7)
    hot = replace(plan, temperature=4.0)
    with_factor = float(distillation(student, teacher, hot))
    without = float(distillation(student, teacher, replace(hot, scale_by_t2=False)))
    assert with_factor == pytest.approx(16 * without)
    mean = float(distillation(student, teacher, replace(hot, mean_over_classes=True)))
    assert with_factor == pytest.approx(2 * mean)


def test_what_was_trained_is_kept_and_read_again(module_cache: Path) -> None:
    spec = tiny(seed=4)
    first = student_of(spec)
    files = {p: p.stat().st_mtime_ns for p in module_cache.rglob("*.pt")}
    again = student_of(spec)
    assert files == {p: p.stat().st_mtime_ns for p in module_cache.rglob("*.pt")}
    rows = SOURCES["digits"].pipeline(first.train.raw)
    assert torch.equal(logits_of(first.model, rows), logits_of(again.model, rows))
    assert len(again.curves.heldout_loss) == 2
    other = student_of(tiny(seed=5))
    assert not torch.equal(logits_of(first.model, rows), logits_of(other.model, rows))


def test_training_leaves_the_random_state_alone() -> None:
    before = torch.random.get_rng_state()
    student_of(tiny(seed=6))
    assert torch.equal(before, torch.random.get_rng_state())


def test_wrong_labels_are_as_many_as_asked_for_and_all_wrong() -> None:
    scene = scene_of(tiny().changed({"epochs": 1}, wrong_labels=0.3))
    right = SOURCES["digits"].train(200).labels
    assert 0.2 < float((scene.train.labels != right).mean()) < 0.4
    assert np.array_equal(scene.train.raw, SOURCES["digits"].train(200).raw)


# -- faults ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damages", "severity", "expected"),
    [
        ([0.0, 0.05, 0.15, 0.4, 0.9], "mild", 2),
        ([0.0, 0.05, 0.15, 0.4, 0.9], "severe", 4),
        ([0.0, 0.05, 0.35, 0.4], "mild", None),
        ([0.0, 0.2], "severe", None),
    ],
)
def test_a_knob_is_searched_for(damages: list[float], severity: str, expected: int | None) -> None:
    assert planting._search(len(damages), severity, damages.__getitem__) == expected


@pytest.mark.parametrize(
    ("damage", "severity"),
    [
        (Interval(0.2, 0.1, 0.3), "mild"),
        (Interval(0.2, -0.1, 0.5), ""),
        (Interval(0.05, 0.01, 0.1), ""),
        (Interval(0.4, 0.3, 0.5), "medium"),
        (Interval(0.6, 0.3, 0.9), "severe"),
    ],
)
def test_a_fault_counts_only_if_it_hurts(damage: Interval, severity: str) -> None:
    assert planting._severity(damage) == severity


def test_a_struck_student_is_fed_something_else_through_pipelines(scene: Scene) -> None:
    with_pipelines, ready = cases_of("flip", knob="horizontal")[:2]
    assert with_pipelines.corrections == ready.corrections == {"flip"}
    case = with_pipelines.case
    raw = torch.from_numpy(scene.heldout.raw[:5])
    before, after = case.preprocess.train, case.preprocess.inference
    made = [[p.call(one) for one in raw] if not p.batched else p.call(raw) for p in (before, after)]  # type: ignore[union-attr]
    straight, mirrored = (torch.stack(list(m)) for m in made)
    assert torch.equal(straight.flip(-1), mirrored)
    inputs, labels = ready.case.heldout
    assert torch.equal(inputs[:5], mirrored)
    assert np.array_equal(labels.numpy(), scene.heldout.labels)
    assert ready.case.preprocess.train is None
    assert ready.case.recipe_record.recipe.known() == {}


def test_class_order_moves_labels_and_an_export_moves_logits(scene: Scene) -> None:
    moved = INFERENCE["class_order"].apply(scene, "offset")
    assert np.array_equal(moved.heldout.labels, (scene.heldout.labels + 1) % 10)
    strings = INFERENCE["class_order"].apply(scene, "as strings")
    # '1', '10', '2', …, '9': class 10 is numbered 1, classes 2 to 9 move up by one.
    number_of = dict(
        zip(scene.heldout.labels.tolist(), strings.heldout.labels.tolist(), strict=True)
    )
    assert number_of == {0: 0, 9: 1, **{n: n + 1 for n in range(1, 9)}}
    exported = INFERENCE["exported_order"].apply(scene, 1)
    rows = scene.before(scene.heldout.raw[:4])
    assert torch.allclose(
        logits_of(exported.student, rows), logits_of(scene.student, rows).roll(1, dims=1), atol=1e-6
    )
    louder = INFERENCE["output_scale"].apply(scene, 2.0)
    assert torch.allclose(
        logits_of(louder.student, rows), 2 * logits_of(scene.student, rows), atol=1e-5
    )


def test_stale_statistics_lie_between_their_start_and_their_end() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    norm = model[0]
    assert isinstance(norm, nn.BatchNorm1d)
    norm.running_mean, norm.running_var = torch.tensor([4.0, 0.0]), torch.tensor([9.0, 1.0])
    scene = replace(scene_of(tiny()), student=model)
    stale = list(INFERENCE["stale_batchnorm"].apply(scene, 0.25).student.modules())[1]
    assert isinstance(stale, nn.BatchNorm1d)
    assert stale.running_mean is not None
    assert stale.running_mean.tolist() == [1.0, 0.0]
    assert stale.running_var is not None
    assert stale.running_var.tolist() == [3.0, 1.0]
    assert norm.running_mean.tolist() == [4.0, 0.0]


def test_lost_detail_may_be_a_shift_where_no_pipeline_tells() -> None:
    with_pipelines, ready = cases_of("blur", knob=1.1)[:2]
    assert with_pipelines.truth == {"preprocessing_mismatch"}
    assert ready.truth == {"preprocessing_mismatch", "distribution_shift"}


def test_what_became_of_wrong_labels_decides() -> None:
    def truth(share: float) -> frozenset[str]:
        return cases_of("taught_noise", memorised=share)[0].truth

    assert truth(0.1) == {"loss_imbalance"}
    assert truth(0.9) == {"overfitting", "lack_of_regularization"}
    assert truth(0.5) == truth(0.1) | truth(0.9)


def test_a_declared_recipe_is_what_the_user_believes() -> None:
    spec = tiny(scale_by_t2=False, task_weight=0.1, temperature=8.0)
    full, recipe_only = cases_of("missing_t2", spec, training_knob=0.1)
    assert full.truth == recipe_only.truth == {"loss_imbalance"}
    assert full.also == {"overfitting", "lack_of_regularization"}
    recipe = full.case.recipe_record.recipe
    assert (recipe.scale_by_t2, recipe.task_weight, recipe.temperature) == (True, 0.1, 8.0)


def test_two_faults_are_both_told() -> None:
    found = cases_of("few_rows+normalize", knob="half", training_knob=0.1)[0]
    assert found.truth == {"preprocessing_mismatch"}
    assert found.second == {"overfitting"}


def test_healthy_pairs_come_in_four_variants_of_one_cluster() -> None:
    found = cases_of("healthy")[:4]
    assert len({p.cluster for p in found}) == 1
    assert len({p.variant for p in found}) == 4
    assert not any(p.truth for p in found)
    few = found[-1].case
    assert len(few.train[1]) == 200
    assert len(few.heldout[1]) == 500
    history = found[0].case.history
    assert history is not None
    assert list(history["epoch"]) == [1, 2]


def test_an_entry_survives_being_written_down() -> None:
    spec = tiny().changed(priors=(0.5, 0.5))
    entry = Entry(CELL.name, "flip", "mild", spec, knob="horizontal", damage=0.2)
    assert Entry.from_json(entry.to_json()) == entry


def test_names_of_faults_are_distinct_and_sourced() -> None:
    names = [*INFERENCE, *TRAINING]
    assert len(names) == len(set(names))
    assert len(names) >= 14
    assert all(fault.imitates for fault in INFERENCE.values())
    assert all(fault.imitates for fault in TRAINING.values())


def test_a_planted_pair_is_diagnosed_and_a_broken_one_counts_as_failure() -> None:
    planted = cases_of("healthy")[2]
    outcome = diagnosed(planted)
    assert outcome.error is None
    assert outcome.verdict in {
        "healthy", "generalization_gap", "fit_shortfall", "shared_gap", "inconclusive",
    }  # fmt: skip

    def broken() -> object:
        raise ValueError("no such rows")

    failed = diagnosed(replace(planted, make=broken))  # type: ignore[arg-type]
    assert failed.error == "ValueError: no such rows"
    assert failed.false_alarm


def test_a_factory_draws_weights_as_a_users_does(scene: Scene) -> None:
    build = cases_of("healthy")[0].case.student_factory
    assert build is not None
    drawn = []
    with torch.random.fork_rng(devices=[]):
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            drawn.append(next(build().parameters()))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    given = scene.student.state_dict()
    assert {k: v.shape for k, v in build().state_dict().items()} == {
        k: v.shape for k, v in given.items()
    }


def test_a_teacher_is_read_anew_each_time() -> None:
    one, other = teacher_of("digits", CELL.teacher), teacher_of("digits", CELL.teacher)
    assert one is not other
    assert not one.training
