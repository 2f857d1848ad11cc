"""Which layers are paired, by what, and why sometimes none are."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gapdoctor.observe.case import TeacherLogits
from gapdoctor.training.features.layers import Layer, Survey, survey
from gapdoctor.training.features.pairing import (
    ROWS,
    candidates,
    choose_pairs,
    paired_layers,
    similarity,
    spread,
)

Models = Callable[[str], tuple[nn.Module, nn.Module, torch.Tensor]]
CPU = torch.device("cpu")


def hooks_of(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


# -- the three kinds ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("conv", (("1", "2.0"), ("2.0", "2.1"), ("4", "4"))),
        (
            "tokens",
            (
                ("encoder.layers.0.norm1", "encoder.layers.0"),
                ("encoder.layers.0", "encoder.layers.1"),
                ("encoder", "encoder.layers.2"),
            ),
        ),
        ("plain", (("0", "0"), ("3", "2"))),
    ],
)
def test_blocks_of_like_depth_and_size_are_paired(
    models: Models, kind: str, expected: tuple[tuple[str, str], ...]
) -> None:
    student, teacher, rows = models(kind)
    pairs = paired_layers(student, teacher, rows)
    assert not isinstance(pairs, str)
    mine, theirs = survey(student, rows, "student", CPU), survey(teacher, rows, "teacher", CPU)
    before = -1.0
    for one, other in pairs:
        first, second = mine.layer(one), theirs.layer(other)
        assert first is not None
        assert second is not None
        assert abs(first.depth - second.depth) <= 0.2
        assert first.positions == second.positions
        assert second.depth > before
        assert first.shape != mine.logits
        before = second.depth
    assert pairs == expected


def test_both_models_are_left_as_they_were(models: Models) -> None:
    student, teacher, rows = models("conv")
    student.train()
    before = {k: v.clone() for k, v in student.state_dict().items()}
    state = torch.get_rng_state()
    paired_layers(student, teacher, rows)
    assert student.training
    assert hooks_of(student) == hooks_of(teacher) == 0
    assert all(torch.equal(v, before[k]) for k, v in student.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_same_rows_give_the_same_pairs(models: Models) -> None:
    student, teacher, rows = models("conv")
    found = [paired_layers(student, teacher, rows) for _ in range(2)]
    assert found[0] == found[1]


# -- what is a candidate -----------------------------------------------------------------------


def layers_of(model: nn.Module, rows: torch.Tensor) -> tuple[Survey, list[str]]:
    seen = survey(model, rows, "student", CPU)
    return seen, [layer.path for layer in candidates(seen)]


def test_logits_and_what_is_done_twice_are_no_candidates() -> None:
    act = nn.ReLU()
    model = nn.Sequential(
        nn.Linear(4, 6), act, nn.Linear(6, 7), act, nn.Dropout(0.5), nn.Linear(7, 3), nn.Identity()
    )
    seen, names = layers_of(model, torch.randn(9, 4))
    assert names == ["0", "2"]
    act_ = seen.layer("1")
    assert act_ is not None
    assert act_.calls == 2


def test_of_layers_with_one_tensor_the_outermost_stands_for_all() -> None:
    """An activation in place, the sequence that ends with it; dropout does nothing in eval mode."""
    inside = nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Dropout(0.5))
    model = nn.Sequential(inside, nn.Linear(6, 3))
    seen, names = layers_of(model, torch.randn(9, 4))
    assert names == ["0"]
    assert [(x.path, x.passed_on) for x in seen.layers][:4] == [
        ("0.0", True), ("0.1", True), ("0.2", True), ("0", False)
    ]  # fmt: skip


class Odd(nn.Module):
    """Returns what a layer of a foreign library may return."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: torch.Tensor) -> Any:
        whole = {"tuple": (x, x), "dict": {"x": x}, "whole": x.long(), "turned": x.T, "deep": 0}
        whole["deep"] = x[:, :, None, None, None]
        return whole[self.how]


class Holds(nn.Module):
    """Goes on with its own features whatever the odd layer returns."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.first, self.odd, self.head = nn.Linear(4, 6), Odd(how), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        self.odd(x)
        return self.head(x)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("how", "gives"),
    [
        ("tuple", "a tuple, not a tensor"),
        ("dict", "a dict, not a tensor"),
        ("whole", "numbers of int64"),
        ("turned", "a tensor whose first axis is 6 for 9 rows"),
        ("deep", "a tensor of 5 axes"),
    ],
)
def test_a_layer_without_a_plain_tensor_is_passed_over(how: str, gives: str) -> None:
    seen, names = layers_of(Holds(how), torch.randn(9, 4))
    assert names == ["first"]
    odd = seen.layer("odd")
    assert odd is not None
    assert odd.gives == gives


def test_the_channel_axis_is_told_by_the_weights() -> None:
    """Conv1d (n, C, L), tokens (n, L, C), and an image with its channels last."""

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.line = nn.Conv2d(3, 5, 1), nn.Linear(5, 7)
            self.act, self.head = nn.ReLU(), nn.Linear(7, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.act(self.line(self.conv(x).movedim(1, 3)))
            return self.head(x.mean((1, 2)))  # type: ignore[no-any-return]

    one = nn.Sequential(
        nn.Conv1d(2, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(5, 3)
    )
    for model, rows, expected in (
        (one, torch.randn(9, 2, 8), {"0": 1, "1": 1, "2": 2}),
        (Last(), torch.randn(9, 3, 4, 6), {"conv": 1, "line": 3, "act": 3}),
    ):
        seen = survey(model, rows, "student", CPU)
        assert {p: seen.layer(p).axis for p in expected} == expected  # type: ignore[union-attr]


def test_layers_inside_a_block_stand_behind_the_block() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = nn.Sequential(nn.Linear(6, 6), nn.ReLU())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.inside(x)  # type: ignore[no-any-return]

    model = nn.Sequential(nn.Linear(4, 6), nn.Sequential(Block(), Block()), nn.Linear(6, 3))
    seen = survey(model, torch.randn(9, 4), "student", CPU)
    inner = {layer.path for layer in seen.layers if layer.inner}
    assert inner == {
        f"1.{k}.inside{rest}" for k in (0, 1) for rest in ("", ".0", ".1")
    }  # fmt: skip


# -- the choice --------------------------------------------------------------------------------


def layer(path: str, depth: float, shape: tuple[int, ...], seed: int, **more: Any) -> Layer:
    features = torch.randn(20, 8, generator=torch.Generator().manual_seed(seed)).double()
    return Layer(path, depth, "", 1, (20, *shape), gram=features @ features.T, **more)


def test_size_comes_before_likeness_and_likeness_decides() -> None:
    mine = [layer("a", 0.5, (4, 8, 8), seed=1)]
    near = [
        layer("small and alike", 0.5, (4, 4, 4), seed=1),
        layer("large", 0.45, (4, 8, 8), seed=2),
        layer("large and alike", 0.6, (4, 8, 8), seed=1),
        layer("inside", 0.5, (4, 8, 8), seed=1, inner=True),
        layer("far", 0.75, (4, 8, 8), seed=1),
    ]
    assert choose_pairs(mine, near) == (("a", "large and alike"),)
    assert choose_pairs(mine, near[:2]) == (("a", "large"),)
    assert choose_pairs(mine, near[-1:]) == ()


def test_pairs_do_not_cross() -> None:
    mine = [layer("a", 0.3, (4,), seed=1), layer("b", 0.4, (4,), seed=2)]
    theirs = [layer("c", 0.35, (4,), seed=2), layer("d", 0.5, (4,), seed=1)]
    assert choose_pairs(mine, theirs) == (("a", "d"),)


# -- likeness ----------------------------------------------------------------------------------


def test_likeness_is_linear_cka() -> None:
    """‖YᵀX‖²_F / (‖XᵀX‖_F ‖YᵀY‖_F) of centred features; with many rows the bias is small."""
    chance = np.random.default_rng(0)
    x = chance.normal(size=(400, 5))
    y = x[:, :3] @ chance.normal(size=(3, 4)) + chance.normal(size=(400, 4))
    a, b = (v - v.mean(0) for v in (x, y))
    plain = np.linalg.norm(b.T @ a) ** 2 / np.linalg.norm(a.T @ a) / np.linalg.norm(b.T @ b)
    found = similarity(*(torch.from_numpy(v @ v.T) for v in (x, y)))
    assert found == pytest.approx(plain, abs=0.02)
    turned, _ = np.linalg.qr(chance.normal(size=(5, 5)))
    same = similarity(*(torch.from_numpy(v @ v.T) for v in (x, 3 * x @ turned)))
    assert same == pytest.approx(1.0)


def test_few_rows_of_many_features_are_not_alike_by_chance() -> None:
    """The plain estimate of two independent layers is above 0.9 here."""
    chance = np.random.default_rng(1)
    x, y = (chance.normal(size=(ROWS, 2000)) for _ in range(2))
    assert abs(similarity(*(torch.from_numpy(v @ v.T) for v in (x, y)))) < 0.1


def test_likeness_of_nothing_is_none() -> None:
    flat = torch.ones(9, 9).double()
    other = torch.randn(9, 9).double()
    assert similarity(flat, other @ other.T) == 0.0
    assert similarity(flat[:3, :3], flat[:3, :3]) == 0.0
    assert similarity(None, flat) == 0.0


def test_rows_are_taken_from_the_whole_data_set() -> None:
    assert spread(5).tolist() == [0, 1, 2, 3, 4]
    found = spread(10_000)
    assert len(set(found.tolist())) == ROWS
    assert (found[0], found[-1]) == (0, 9_999)


# -- why not -----------------------------------------------------------------------------------


def exported(model: nn.Module, rows: torch.Tensor) -> nn.Module:
    batch = torch.export.Dim("batch", min=1, max=512)
    return torch.export.export(model.eval(), (rows[:2],), dynamic_shapes=({0: batch},)).module()


def test_what_cannot_be_listened_to_says_why(models: Models) -> None:
    student, teacher, rows = models("plain")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        script = torch.jit.trace(teacher, rows)
    logits = TeacherLogits(np.zeros((40, 3)), np.zeros((40, 3)))
    flat = nn.Linear(4, 3)
    for mine, theirs, why in (
        (student, logits, "the teacher is a file of logits, which has no layers"),
        (student, script, "the teacher is a TorchScript program, whose layers cannot be "
                          "listened to"),
        (script, teacher, "the student is a TorchScript program, whose layers cannot be "
                          "listened to"),
        (student, exported(teacher, rows), "the teacher runs as one program, whose layers cannot "
                                           "be listened to"),
        (flat, teacher,
         "the student has no layer between inputs and logits that returns a plain tensor"),
        (nn.Sequential(flat), teacher,
         "the student has no layer between inputs and logits that returns a plain tensor"),
    ):  # fmt: skip
        assert paired_layers(mine, theirs, rows) == why


def test_layers_of_unlike_depth_are_not_paired() -> None:
    shallow = nn.Sequential(nn.Linear(4, 8), *(nn.Linear(8, 8) for _ in range(9)), nn.Linear(8, 3))
    late = nn.Sequential(nn.Flatten(), nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 3))
    mine = [x for x in candidates(survey(shallow, torch.randn(9, 4), "student", CPU))][-1:]
    theirs = candidates(survey(late, torch.randn(9, 4), "teacher", CPU))
    assert choose_pairs(mine, theirs) == ()
