"""Sound pairs of odd shapes through every probe: a sensible answer, no crash, no alarm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import gapdoctor
from gapdoctor import Case, Recipe, TeacherLogits
from gapdoctor.domain.diagnosis import Diagnosis, Verdict
from gapdoctor.observe.needs import Need
from gapdoctor.report.wording import headline, verdict_sentence

CALM = {Verdict.HEALTHY, Verdict.INCONCLUSIVE}
Build = Callable[[ModuleType], Case]
Rows = tuple[torch.Tensor, torch.Tensor]


def asked(case: Case, **more: Any) -> Diagnosis:
    found = gapdoctor.diagnose(case, progress=False, **{"batch_size": 64, **more})
    assert [s for s in found.skipped if "crashed" in s.reason] == []
    return found


class Tokens(nn.Module):
    """Counts of tokens, weighed: whole numbers in, as of a text."""

    def __init__(self, sure: float) -> None:
        super().__init__()
        self.head = nn.Linear(3, 3, bias=False)
        with torch.no_grad():
            self.head.weight.copy_(sure * torch.eye(3))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        counts = torch.stack([(tokens == k).sum(dim=1) for k in range(3)], dim=1)
        return self.head(counts.float())


def texts(seed: int, n: int = 600) -> Rows:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    tokens = rng.integers(0, 3, (n, 12))
    tokens[:, :5] = labels[:, None]
    return torch.tensor(tokens), torch.tensor(labels)


def few(planted: ModuleType) -> Case:
    return planted.healthy(50)


def identical(planted: ModuleType) -> Case:
    rule = planted.bayes()
    return planted.healthy(student=rule, teacher=rule)


def two_classes(planted: ModuleType) -> Case:
    def two(seed: int) -> Rows:
        x, y = planted.rows(seed, 900)
        return x[y < 2], y[y < 2]

    def rule(sure: float) -> nn.Linear:
        return planted.linear(sure * planted.CENTRES[:2], np.zeros(2))

    return Case(rule(1.05), rule(1.0), two(1), two(2))


def thousand_classes(planted: ModuleType) -> Case:
    """One mean a class in 24 dimensions, a row or none of each."""
    means = np.random.default_rng(0).normal(0, 1.5, (1_000, 24))

    def rows(seed: int) -> Rows:
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 1_000, 800)
        x = means[labels] + rng.normal(0, 1, (800, 24))
        return torch.tensor(x, dtype=torch.float32), torch.tensor(labels)

    def rule(sure: float) -> nn.Linear:
        return planted.linear(sure * means, -sure * 0.5 * (means**2).sum(axis=1))

    return Case(rule(1.03), rule(1.0), rows(1), rows(2))


def a_class_without_rows(planted: ModuleType) -> Case:
    """The second class is in neither split."""
    splits = [(x[y != 1], y[y != 1]) for x, y in (planted.rows(s, 900) for s in (1, 2))]
    return planted.healthy(train=splits[0], heldout=splits[1])


def stored_logits(planted: ModuleType) -> Case:
    rule = planted.bayes()
    with torch.no_grad():
        said = [rule(planted.rows(seed, 600)[0]).numpy() for seed in (1, 2)]
    return planted.healthy(teacher=TeacherLogits(*said))


def whole_numbers(planted: ModuleType) -> Case:
    return Case(Tokens(1.02), Tokens(1.0), texts(1), texts(2))


def waves(planted: ModuleType) -> Case:
    """Long one-dimensional samples: sound. The class is the sign of the mean of each third."""

    class Thirds(nn.Module):
        def __init__(self, sure: float) -> None:
            super().__init__()
            self.head = nn.Linear(3, 3)
            with torch.no_grad():
                self.head.weight.copy_(4 * sure * torch.eye(3))
                self.head.bias.zero_()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(x.reshape(len(x), 3, -1).mean(dim=2))

    def heard(seed: int) -> Rows:
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 3, 600)
        x = rng.normal(0, 1, (600, 1, 1_500))
        x += 0.7 * np.repeat(np.eye(3)[labels], 500, axis=1)[:, None]
        x += rng.normal(0, 0.5, (600, 3)).repeat(500, axis=1)[:, None]
        return torch.tensor(x, dtype=torch.float32), torch.tensor(labels)

    return Case(Thirds(1.02), Thirds(1.0), heard(1), heard(2))


def without_a_head(planted: ModuleType) -> Case:
    """Logits that no linear layer has made."""
    student = nn.Sequential(planted.bayes(2.1), nn.Identity())
    student.append(type("Halved", (nn.Module,), {"forward": lambda self, x: x / 2})())
    return planted.healthy(student=student)


def constant_inputs(planted: ModuleType) -> Case:
    """Nothing to see: both models say what is true on the average."""
    rows = torch.ones(600, 4), torch.arange(600) % 3
    rule = planted.linear(np.zeros((3, 4)), np.zeros(3))
    return Case(rule, rule, rows, rows)


SOUND: list[Build] = [
    few, identical, two_classes, thousand_classes, a_class_without_rows, stored_logits,
    whole_numbers, waves, without_a_head,
]  # fmt: skip
named = pytest.mark.parametrize("build", SOUND, ids=lambda b: b.__name__)


@pytest.fixture(scope="module")
def told(planted: ModuleType) -> Callable[[Build], Diagnosis]:
    """What is said of a pair, asked once."""
    known: dict[Build, Diagnosis] = {}

    def of(build: Build) -> Diagnosis:
        if build not in known:
            known[build] = asked(build(planted))
        return known[build]

    return of


@named
def test_a_sound_pair_stays_sound(told: Callable[[Build], Diagnosis], build: Build) -> None:
    found = told(build)
    assert found.verdict in CALM
    assert [c.id for c in found.causes if c.confidence >= 0.5] == []
    assert [w.id for w in found.warnings if w.voids] == []


@named
def test_what_could_not_be_told_says_what_would_tell(
    told: Callable[[Build], Diagnosis], build: Build
) -> None:
    for skipped in told(build).skipped:
        assert len(skipped.reason) > 15
        assert not skipped.reason.startswith(" ")


def test_all_that_is_given_to_a_recipe_changes_no_sound_answer(planted: ModuleType) -> None:
    recipe = Recipe(
        task_weight=0.3, temperature=4.0, scale_by_t2=False, weight_decay=0.0, augment=(),
        label_smoothing=0.1, epochs=3,
    )  # fmt: skip
    for build in SOUND:
        found = asked(replace(build(planted), recipe=recipe))
        assert found.verdict in CALM, build.__name__
        assert [c.id for c in found.causes if c.confidence >= 0.5] == []


def test_a_student_that_is_better_than_its_teacher(planted: ModuleType) -> None:
    found = asked(planted.healthy(student=planted.bayes(), teacher=planted.blind()))
    assert found.verdict is Verdict.HEALTHY
    assert found.gap.excess.high < 0
    assert [c.id for c in found.causes if c.confidence >= 0.5] == []


def test_models_that_know_nothing_void_the_ranking(planted: ModuleType) -> None:
    found = asked(constant_inputs(planted))
    assert {w.id for w in found.warnings if w.voids} == {"student_at_chance", "teacher_at_chance"}
    assert found.verdict is Verdict.INCONCLUSIVE  # no gap, but no clean bill either
    assert "cannot be judged" in headline(found)
    assert "because of `student_at_chance`, `teacher_at_chance`" in verdict_sentence(found)
    assert [c.id for c in found.causes if c.confidence >= 0.5] == []


def test_a_broken_student_among_fifty_rows_is_told(planted: ModuleType) -> None:
    found = asked(planted.healthy(50, student=planted.linear(np.zeros((3, 4)), [3, 0, 0])))
    assert found.verdict not in CALM
    assert "few_samples" in {w.id for w in found.warnings}


def test_few_rows_name_the_probes_that_need_more(told: Callable[[Build], Diagnosis]) -> None:
    reasons = {s.probe: s.reason for s in told(few).skipped}
    for probe in ("corrections", "class_order", "shift", "leakage"):
        assert "give more" in reasons[probe]


def test_stored_logits_name_what_a_model_would_tell(told: Callable[[Build], Diagnosis]) -> None:
    reasons = {s.probe: s.reason for s in told(stored_logits).skipped}
    assert reasons["corrections"] == Need.TEACHER_MODEL.value


def test_a_broken_teacher_makes_no_student_healthy(planted: ModuleType) -> None:
    found = asked(planted.healthy(teacher=planted.linear(np.zeros((3, 4)), [3, 0, 0])))
    assert found.gap.excess.high < 0
    assert {w.id for w in found.warnings if w.voids} == {"teacher_at_chance"}
    assert found.verdict is Verdict.INCONCLUSIVE


def test_a_broken_student_beside_a_sound_teacher_keeps_its_gap(planted: ModuleType) -> None:
    found = asked(planted.healthy(student=planted.linear(np.zeros((3, 4)), [3, 0, 0])))
    assert "student_at_chance" in {w.id for w in found.warnings if w.voids}
    assert found.verdict not in CALM


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dirty", [(0.1, 0.0), (0.0, 0.1), (0.1, 0.1), (0.9, 0.9), (1.0, 1.0)])
@pytest.mark.parametrize("recipe", [None, Recipe(task_weight=0.3, temperature=4.0, augment=())])
def test_rows_with_nan_are_told_and_stop_no_probe(
    planted: ModuleType, value: float, dirty: tuple[float, float], recipe: Recipe | None
) -> None:
    def rows(seed: int, share: float) -> Rows:
        x, y = planted.rows(seed, 600)
        x[np.random.default_rng(seed).permutation(600)[: int(600 * share)], 1] = value
        return x, y

    splits = {"train": rows(1, dirty[0]), "heldout": rows(2, dirty[1])}
    told = {"recipe": recipe} if recipe else {}
    found = asked(planted.healthy(student=planted.blind(), **splits, **told))
    assert "non_finite_outputs" in {w.id for w in found.warnings if w.voids}
    assert found.verdict is not Verdict.HEALTHY
    reasons = {s.probe: s.reason for s in found.skipped}
    assert ("rows of a split" in reasons.get("leakage", "")) == (max(dirty) >= 0.9)
