"""The mirror test on pairs whose pipelines differ by a known amount, and on equal ones."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset
from torchvision.transforms import v2

from gapdoctor import Preprocess, TeacherLogits
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Finding, Interval, Intervention
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.measures import measure_gap
from gapdoctor.observe.observations import Observations
from gapdoctor.probes.mirror import Mirror

Look = Callable[..., Observations]
PROBE = Mirror()


def asked(seen: Observations) -> tuple[Claim, Finding]:
    found = PROBE.examine(seen)
    assert isinstance(found, Finding)
    return found.claims[0], found


def offset_by(nudge: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda sample: (sample - 5) / 10 + nudge


def test_a_mismatch_is_named_with_the_nats_it_costs(planted: ModuleType, looked: Look) -> None:
    seen = looked(planted.mismatched())
    claim, found = asked(seen)
    assert claim.cause is Cause.PREPROCESSING_MISMATCH
    assert claim.strength == PROBE.strength
    assert claim.intervention == Intervention("pipeline", "train")
    assert claim.returned is not None
    b = seen.rows(Split.HELDOUT).reporting
    sound = looked(planted.mismatched(inference=planted.undo)).outputs(Model.STUDENT, Split.HELDOUT)
    broken = seen.outputs(Model.STUDENT, Split.HELDOUT)
    assert np.allclose(claim.returned.student, (broken.loss - sound.loss)[b], atol=1e-6)
    assert not claim.returned.teacher.any()
    assert [e.speaks for e in claim.evidence] == ["for"] * 3
    assert claim.evidence[0].value == pytest.approx(claim.returned.student.mean())
    assert claim.evidence[0].limit == measure_gap(seen).limit
    assert "train rows sent through the inference pipeline lose" in claim.evidence[1].statement
    assert claim.evidence[1].value == pytest.approx(1, abs=0.1)
    assert "The teacher would lose" in claim.evidence[2].statement
    assert found.warnings == ()


def test_pipelines_that_do_the_same_speak_against(planted: ModuleType, looked: Look) -> None:
    claim, _ = asked(looked(planted.mismatched(inference=offset_by(0.0))))
    assert claim.strength == PROBE.against
    assert claim.returned is None
    assert claim.intervention is None
    assert claim.evidence[0].value == pytest.approx(0, abs=1e-6)
    assert claim.evidence[0].speaks == "against"


def test_one_pipeline_for_both_says_nothing(planted: ModuleType, looked: Look) -> None:
    assert PROBE.examine(looked(planted.mismatched(inference=planted.undo))) == Finding("mirror")


def test_an_inference_pipeline_that_is_better_speaks_against(
    planted: ModuleType, looked: Look
) -> None:
    given = Preprocess(planted.forgotten, planted.undo)
    claim, _ = asked(looked(planted.mismatched(preprocess=given)))
    assert claim.evidence[0].value < 0
    assert claim.strength == PROBE.against


@pytest.mark.parametrize(
    ("low", "value", "high", "strength"),
    [
        (0.06, 0.3, 0.4, "strength"),
        (0.04, 0.06, 0.08, "weak_strength"),
        (0.01, 0.03, 0.04, None),  # a difference, too small to be the gap
        (0.01, 0.04, 0.06, None),
        (-0.01, 0.03, 0.06, None),  # too noisy to say
        (-0.01, 0.0, 0.01, "against"),
        (-0.2, -0.1, -0.05, "against"),
        (-float("inf"), 0.3, float("inf"), None),
    ],
)
def test_how_strongly_it_speaks(
    low: float, value: float, high: float, strength: str | None
) -> None:
    found = PROBE._strength(Interval(value, low, high), 0.05)
    assert found == (0.0 if strength is None else getattr(PROBE, strength))


def test_a_small_difference_is_no_claim_for_or_against(planted: ModuleType, looked: Look) -> None:
    claim, _ = asked(looked(planted.mismatched(2_000, inference=offset_by(0.65))))
    assert 0.01 < claim.evidence[0].value < 0.05
    assert claim.strength == 0.0
    assert claim.returned is None


def test_overfitting_gets_nothing_back(planted: ModuleType, looked: Look) -> None:
    rows = {
        "train": planted.raw(planted.rows(1, 600)),
        "heldout": planted.raw(planted.rows(2, 600)),
    }
    case = planted.overfitted(preprocess=Preprocess(planted.undo, offset_by(0.0)), **rows)
    seen = looked(case)
    assert measure_gap(seen).excess.low > 0.2
    assert asked(seen)[0].strength == PROBE.against


def test_what_the_teacher_gets_back_is_told_where_it_eats_the_same(
    planted: ModuleType, looked: Look
) -> None:
    claim, _ = asked(looked(planted.shared()))
    assert claim.returned is not None
    assert claim.returned.teacher.mean() == pytest.approx(claim.returned.student.mean(), abs=0.02)
    assert not any("The teacher would" in e.statement for e in claim.evidence)


def test_a_teacher_that_alone_would_suffer_is_warned_of(planted: ModuleType, looked: Look) -> None:
    """A student that does not look at the inputs does not mind how they were prepared."""
    student = planted.linear(np.zeros((3, 4)), np.zeros(3))
    claim, found = asked(looked(planted.mismatched(student=student)))
    assert claim.strength == PROBE.against
    assert [w.id for w in found.warnings] == ["teacher_would_suffer"]
    assert "The teacher would lose" in found.warnings[0].statement
    table = {(r["model"], r["pipeline"]): r["heldout_loss"] for r in found.tables[0][1].records()}
    assert table["student", "train"] == table["student", "inference"] == pytest.approx(np.log(3))
    assert table["teacher", "inference"] > table["teacher", "train"] + 0.1


def test_stored_logits_cannot_be_sent_through_another_pipeline(
    planted: ModuleType, looked: Look
) -> None:
    stored = TeacherLogits(np.zeros((600, 3)), np.zeros((600, 3)))
    claim, found = asked(looked(planted.mismatched(teacher=stored)))
    assert claim.strength == PROBE.strength
    assert not any("teacher" in e.statement for e in claim.evidence)
    assert {r["model"] for r in found.tables[0][1].records()} == {"student"}


def test_whole_groups_are_resampled(planted: ModuleType, looked: Look) -> None:
    few = [f"g{i % 9}" for i in range(600)]
    plain, grouped = (asked(looked(planted.mismatched(**m)))[0] for m in ({}, {"groups": few}))
    assert plain.evidence[0].statement != grouped.evidence[0].statement


class Pictures(Dataset[Any]):
    """Carries a transform, as torchvision's data sets do. Pixel columns tell the class."""

    def __init__(self, transform: Any, seed: int, n: int = 400) -> None:
        rng = np.random.default_rng(seed)
        self.transform = transform
        self.targets = rng.integers(0, 2, n)
        self.images = rng.integers(0, 120, (n, 8, 8, 3)).astype(np.uint8)
        self.images[np.arange(n), :, 1 + 5 * self.targets] += 120

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, i: int) -> Any:
        return self.transform(self.images[i]), int(self.targets[i])


def columns(scale: float = 20.0) -> torch.nn.Module:
    """Compares the two pixel columns."""
    weight = torch.zeros(2, 3, 8, 8)
    weight[0, :, :, 1], weight[1, :, :, 6] = 1 / 24, 1 / 24
    layer = torch.nn.Linear(192, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(scale * weight.flatten(1))
    return torch.nn.Sequential(torch.nn.Flatten(), layer)


def ready() -> list[Any]:
    return [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]


PLAIN = v2.Compose(ready())
FLIPPED = v2.Compose([*ready(), v2.RandomHorizontalFlip(p=1)])
AUGMENTED = v2.Compose([v2.RandomHorizontalFlip(p=0.0), *ready()])


def pictures(train: Any, heldout: Any) -> dict[str, Any]:
    return {
        "student": columns(), "teacher": columns(), "train": Pictures(train, 1),
        "heldout": Pictures(heldout, 2),
    }  # fmt: skip


def test_swapped_pipelines_of_data_sets_are_a_mirror_test(
    planted: ModuleType, looked: Look
) -> None:
    claim, _ = asked(looked(planted.healthy(**pictures(PLAIN, FLIPPED))))
    assert claim.strength == PROBE.strength
    assert claim.evidence[0].value > 1
    healthy = asked(looked(planted.healthy(**pictures(PLAIN, v2.Compose(ready())))))[0]
    assert healthy.strength == PROBE.against


@pytest.mark.parametrize(("scale", "fires"), [(20.0, True), (0.15, False)])
def test_on_a_replaced_random_step_it_needs_twice_the_limit(
    planted: ModuleType, looked: Look, scale: float, fires: bool
) -> None:
    case = pictures(AUGMENTED, FLIPPED) | {"student": columns(scale)}
    seen = looked(planted.healthy(**case))
    claim, _ = asked(seen)
    h = measure_gap(seen).limit
    assert claim.evidence[0].limit == 2 * h
    assert claim.evidence[0].value > h
    assert (claim.evidence[0].value > 2 * h) == fires
    assert claim.strength == (PROBE.strength if fires else 0.0)
