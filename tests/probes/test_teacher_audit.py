"""Teachers that are broken, wrongly fed or another than was copied; and students at chance."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor import Case, Preprocess, TeacherLogits
from gapdoctor.domain.findings import Finding, Warning_
from gapdoctor.observe.observations import Observations
from gapdoctor.probes.teacher_audit import TeacherAudit

PROBE = TeacherAudit()
Look = Callable[..., Observations]
Rows = tuple[torch.Tensor, torch.Tensor]


def asked(seen: Observations) -> dict[str, Warning_]:
    found = PROBE.examine(seen)
    assert isinstance(found, Finding)
    assert found.claims == ()
    return {w.id: w for w in found.warnings}


# -- pictures: the class is a bright bar, and where it stands ---------------------------------


def pictures(seed: int, n: int, bright: float = 0.6) -> Rows:
    """Rows (n, 3, 4, 4) of four classes: a red or blue picture, bright to the left or the right."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n)
    x = rng.normal(0.0, 0.7, (n, 3, 4, 4))
    x[np.arange(n), 2 * (labels // 2)] += bright
    x[:, :, :, :2] += np.where(labels % 2 == 0, bright, 0.0)[:, None, None, None]
    x[:, :, :, 2:] += np.where(labels % 2 == 0, 0.0, bright)[:, None, None, None]
    return torch.tensor(x, dtype=torch.float32), torch.tensor(labels)


class Pictures(nn.Module):
    """The rule of these classes: red minus blue, left minus right. `clear`: how sure it is."""

    def __init__(self, clear: float = 1.0, change: Callable[..., torch.Tensor] | None = None):
        super().__init__()
        self.clear, self.change = clear, change

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x if self.change is None else self.change(x)
        red = (x[:, 0] - x[:, 2]).mean(dim=(1, 2)) * 16
        left = (x[..., :2] - x[..., 2:]).mean(dim=(1, 2, 3)) * 16
        return self.clear * torch.stack([red + left, red - left, left - red, -red - left], dim=1)


def mirrored(x: torch.Tensor) -> torch.Tensor:
    return x.flip(-1)


def swapped(sample: torch.Tensor) -> torch.Tensor:
    return sample.flip(-3)


def same(sample: torch.Tensor) -> torch.Tensor:
    return sample


def shown(**more: Any) -> Case:
    return Case(**{"student": Pictures(), "teacher": Pictures(), "train": pictures(1, 500),
                   "heldout": pictures(2, 500), **more})  # fmt: skip


# -- how the teacher was fed ------------------------------------------------------------------


def test_a_teacher_whose_channels_are_swapped_is_wrongly_fed(looked: Look) -> None:
    found = asked(looked(shown(preprocess=Preprocess(same, same, teacher=swapped))))
    assert found.keys() >= {"teacher_wrongly_fed"}
    warning = found["teacher_wrongly_fed"]
    assert warning.voids
    assert "channels reversed" in warning.statement
    assert "[preprocess] teacher" in warning.statement


@pytest.mark.parametrize("factor", [255.0, 1 / 255])
def test_a_teacher_fed_at_another_scale_is_wrongly_fed(
    planted: ModuleType, looked: Look, factor: float
) -> None:
    given = Preprocess(same, same, teacher=lambda x: factor * x)
    found = asked(looked(planted.healthy(student=planted.bayes(), preprocess=given)))
    warning = found["teacher_wrongly_fed"]
    assert warning.voids
    mends = "input ÷ 255" if factor == 255.0 else "input × 255"
    assert mends in warning.statement


def test_a_student_of_a_teacher_that_saw_mirror_images(looked: Look) -> None:
    """It copied the teacher under another condition: told, and nothing is void."""
    student = Pictures(0.25, mirrored)
    found = asked(looked(shown(student=student, teacher=Pictures(0.25))))
    warning = found["other_teacher_copied"]
    assert not warning.voids
    assert "left and right exchanged" in warning.statement
    assert "agree on 100.0%" in warning.statement


def test_a_close_copy_of_a_sound_teacher_costs_no_pass(looked: Look) -> None:
    seen = looked(shown(student=Pictures(1.02)))
    before = seen.scorer.samples()
    assert asked(seen) == {}
    assert seen.scorer.samples() == before


@pytest.mark.parametrize("sureness", [0.2, 30.0])
def test_an_unsure_or_oversure_student_is_no_copy_of_another(looked: Look, sureness: float) -> None:
    """A teacher at half the scale is less sure, and nearer to an unsure student; it is not that."""
    seen = looked(shown(student=Pictures(sureness)))
    before = seen.scorer.samples()
    assert asked(seen) == {}
    assert seen.scorer.samples() > before


class Known(nn.Module):
    """Sure of the label of each row that it has seen, `base` on others."""

    def __init__(self, seen: Rows, base: nn.Module) -> None:
        super().__init__()
        self.rows, self.labels, self.base = seen[0].flatten(1), seen[1], base

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        exact = "donot_use_mm_for_euclid_dist"
        near = torch.cdist(x.flatten(1), self.rows, compute_mode=exact).min(dim=1)
        sure = 12.0 * nn.functional.one_hot(self.labels[near.indices], 4)
        return torch.where(near.values[:, None] < 1e-3, sure.float(), self.base(x))


def test_a_teacher_that_knows_its_rows_by_heart_was_not_fed_otherwise(looked: Look) -> None:
    """On train rows a student that generalises is nearer to any changed view of such a teacher."""
    rule = Pictures(0.15)
    train, heldout = pictures(1, 500, 0.2), pictures(2, 500, 0.2)
    case = shown(student=rule, teacher=Known(train, rule), train=train, heldout=heldout)
    assert asked(looked(case)) == {}


def test_a_teacher_with_stale_statistics(planted: ModuleType, looked: Look) -> None:
    inputs = planted.rows(1, 600)[0]
    layer = nn.BatchNorm1d(4, affine=False)
    layer.running_mean, layer.running_var = inputs.mean(dim=0) + 6, inputs.var(dim=0)
    rule = planted.bayes()
    weight = rule.weight.detach() * inputs.std(dim=0)
    bias = rule.bias.detach() + rule.weight.detach() @ inputs.mean(dim=0)
    teacher = nn.Sequential(layer, planted.linear(weight, bias))
    found = asked(looked(planted.healthy(student=planted.bayes(), teacher=teacher)))
    warning = found["teacher_stale_batchnorm"]
    assert warning.voids
    assert "train mode" in warning.statement
    assert "teacher_wrongly_fed" not in found


# -- no better than chance --------------------------------------------------------------------


def constant(logits: list[float]) -> nn.Linear:
    layer = nn.Linear(4, len(logits))
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(torch.tensor(logits))
    return layer


@pytest.mark.parametrize("who", ["student", "teacher"])
def test_a_model_at_chance_voids_the_ranking(planted: ModuleType, looked: Look, who: str) -> None:
    found = asked(looked(planted.healthy(**{who: constant([0.0, 0.1, 0.0])})))
    assert found[f"{who}_at_chance"].voids
    assert "33.3% of the train rows" in found[f"{who}_at_chance"].statement
    other = "teacher" if who == "student" else "student"
    assert f"{other}_at_chance" not in found


def test_a_teacher_that_is_sound_on_heldout_rows_is_not_broken(
    planted: ModuleType, looked: Look
) -> None:
    """Train labels that are all wrong are no fault of the teacher's."""
    x, y = planted.rows(1, 600)
    found = asked(looked(planted.healthy(train=(x, (y + 1) % 3))))
    assert "teacher_at_chance" not in found
    assert "student_at_chance" in found


def test_one_that_only_knows_the_frequent_class_is_at_chance(
    planted: ModuleType, looked: Look
) -> None:
    """It is right on nine rows in ten, and has learned nothing."""
    x, y = planted.rows(1, 3_000)
    keep = (y == 0) | (torch.arange(3_000) % 20 == 0)
    share = float((y[keep] == 0).float().mean())
    assert share > 0.85
    found = asked(looked(planted.healthy(train=(x[keep], y[keep]), student=constant([2.0, 0, 0]))))
    assert "student_at_chance" in found
    assert "teacher_at_chance" not in found


def test_a_fair_judge_of_two_classes_is_not_at_chance(planted: ModuleType, looked: Look) -> None:
    def two(seed: int) -> Rows:
        x, y = planted.rows(seed, 900)
        return 0.25 * x[y < 2], y[y < 2]

    rule = planted.linear(planted.CENTRES[:2], np.zeros(2))
    found = asked(looked(Case(rule, rule, two(1), two(2))))
    assert found == {}


def test_a_broken_student_among_a_thousand_classes(looked: Look) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 1_000, 800)
    rows = torch.tensor(rng.normal(size=(800, 6)), dtype=torch.float32), torch.tensor(labels)
    model = nn.Linear(6, 1_000)
    found = asked(looked(Case(model, model, rows, rows)))
    assert found.keys() <= {"student_at_chance", "teacher_at_chance"}


# -- what cannot be asked ---------------------------------------------------------------------


def test_stored_logits_are_judged_by_their_accuracy_alone(
    planted: ModuleType, looked: Look
) -> None:
    n = 600
    rule = planted.bayes()
    with torch.no_grad():
        logits = [rule(planted.rows(seed, n)[0]).numpy() for seed in (1, 2)]
    blind = planted.blind()
    assert asked(looked(planted.healthy(n, student=blind, teacher=TeacherLogits(*logits)))) == {}
    flat = [np.zeros_like(one) for one in logits]
    found = asked(looked(planted.healthy(n, student=blind, teacher=TeacherLogits(*flat))))
    assert found["teacher_at_chance"].voids


def test_few_rows_are_not_enough_to_try_conditions_on(planted: ModuleType, looked: Look) -> None:
    case = planted.healthy(90, preprocess=Preprocess(same, same, teacher=lambda x: 16 * x))
    assert "teacher_wrongly_fed" not in asked(looked(case))


class Bag(nn.Module):
    """Counts of the first tokens as features of a linear rule."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        counts = torch.stack([(tokens == k).sum(dim=1) for k in range(len(self.weight))], dim=1)
        return counts.float() @ self.weight


def test_whole_numbers_have_no_transforms(looked: Look) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 400)
    tokens = rng.integers(0, 3, (400, 12))
    tokens[:, :4] = labels[:, None]
    rows = torch.tensor(tokens), torch.tensor(labels)
    seen = looked(Case(Bag(0.2 * torch.eye(3)), Bag(torch.eye(3)), rows, rows))
    before = seen.scorer.samples()
    assert asked(seen) == {}
    assert seen.scorer.samples() == before
