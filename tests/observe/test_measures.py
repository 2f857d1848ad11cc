"""The canonical numbers equal those of a plain evaluation loop."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from gapdoctor import Case, TeacherLogits
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.measures import (
    REJECTED_SHARE,
    accepted_train_rows,
    measure_fidelity,
    measure_gap,
    measure_metrics,
    report_tables,
)
from gapdoctor.observe.observations import Observations, Settings
from gapdoctor.observe.progress import Progress
from gapdoctor.pipeline import look

BATCH = 32


def looked(case: Case, **more: Any) -> Observations:
    return look(case, Settings(**{"batch_size": BATCH, **more}), Progress())


def network(seed: int) -> nn.Module:
    """With BatchNorm that has seen data and dropout; left in training mode, as users do."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5),
        nn.Linear(4 * 16, 5),
    )  # fmt: skip
    model(3 * torch.randn(64, 1, 6, 6) + 1)
    return model.train()


def images(seed: int, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    return torch.randn(n, 1, 6, 6), torch.randint(0, 5, (n,))


def plain_loop(model: nn.Module, rows: tuple[torch.Tensor, torch.Tensor]) -> tuple[float, float]:
    """Mean cross-entropy and accuracy, as everybody writes it."""
    model.eval()
    loss, right, n = 0.0, 0, 0
    with torch.no_grad():
        for x, y in DataLoader(TensorDataset(*rows), batch_size=BATCH):
            logits = model(x)
            loss += float(functional.cross_entropy(logits, y, reduction="sum"))
            right += int((logits.argmax(1) == y).sum())
            n += len(y)
    return loss / n, right / n


def test_metrics_equal_those_of_a_plain_evaluation_loop() -> None:
    pair = {"student": network(1), "teacher": network(2)}
    data = {"train": images(3, 150), "heldout": images(4, 130)}
    found = measure_metrics(looked(Case(**pair, **data)))
    assert [(m.model, m.split, m.n) for m in found] == [
        ("teacher", "train", 150), ("teacher", "heldout", 130),
        ("student", "train", 150), ("student", "heldout", 130),
    ]  # fmt: skip
    for m in found:
        loss, accuracy = plain_loop(pair[m.model], data[m.split])
        assert m.loss.value == pytest.approx(loss, abs=1e-6)
        assert m.accuracy.value == pytest.approx(accuracy, abs=1e-12)
        assert m.loss.low < m.loss.value < m.loss.high


def test_known_losses_give_the_known_gap(planted: ModuleType) -> None:
    """A student without an opinion loses log 3, a teacher that knows loses log(1 + 2/e³)."""
    x, y = planted.rows(1, 60)
    knows = 3.0 * functional.one_hot(y, 3).numpy()
    student = planted.linear(np.zeros((3, 4)), np.zeros(3))
    seen = looked(Case(student, TeacherLogits(0 * knows, knows), (x, y), (x, y)))
    gap = measure_gap(seen)
    excess = np.log(3) - np.log(1 + 2 * np.exp(-3))
    assert gap.excess.value == pytest.approx(excess, abs=1e-6)
    assert gap.fit_deficit.value == pytest.approx(0, abs=1e-6)
    assert gap.excess_gap.value == pytest.approx(excess, abs=1e-6)
    assert gap.teacher_generalization.value == pytest.approx(-excess, abs=1e-6)
    assert gap.limit == 0.05
    fidelity = measure_fidelity(seen, Split.HELDOUT)
    assert fidelity.agreement.value == pytest.approx(float((y == 0).float().mean()))
    p = np.exp(3) / (np.exp(3) + 2)
    q = (1 - p) / 2
    kl = p * np.log(3 * p) + 2 * q * np.log(3 * q)
    assert fidelity.kl.value == pytest.approx(kl, abs=1e-6)


def test_the_limit_is_a_tenth_of_what_the_teacher_loses_beyond_half_a_nat(
    planted: ModuleType,
) -> None:
    unsure = planted.linear(np.zeros((3, 4)), np.zeros(3))
    seen = looked(planted.healthy(100, teacher=unsure))
    assert measure_gap(seen).limit == pytest.approx(0.1 * np.log(3), abs=1e-6)
    assert measure_gap(seen, 0.5).limit == pytest.approx(0.1 * (np.log(3) - 0.5), abs=1e-6)
    assert measure_gap(seen, 1.0).limit == 0.05


def stored(y: torch.Tensor, wrong: int, sure: float) -> np.ndarray:
    """Logits that reject the labels of the first `wrong` rows."""
    said = (y + (torch.arange(len(y)) < wrong)) % 3
    return sure * functional.one_hot(said, 3).numpy()


@pytest.mark.parametrize(
    ("wrong", "sure", "kept"),
    [
        (0, 5.0, 200),
        (int(200 * REJECTED_SHARE), 5.0, 200),
        (20, 5.0, 180),
        (20, 2.0, 200),
        (200, 5.0, 200),
    ],
    ids=["none", "a few", "many", "unsure", "all"],
)
def test_labels_that_the_teacher_is_sure_are_wrong_are_left_out(
    planted: ModuleType, wrong: int, sure: float, kept: int
) -> None:
    x, y = planted.rows(1, 200)
    teacher = TeacherLogits(stored(y, wrong, sure), stored(y, 0, sure))
    seen = looked(Case(planted.bayes(), teacher, (x, y), (x, y)))
    keep = accepted_train_rows(seen)
    assert keep.sum() == kept
    index = seen.rows(Split.TRAIN).index
    if kept < 200:
        assert set(index[~keep].tolist()) == set(range(wrong))
    difference = (
        seen.outputs(Model.STUDENT, Split.TRAIN).loss
        - seen.outputs(Model.TEACHER, Split.TRAIN).loss
    )
    gap = measure_gap(seen)
    assert gap.fit_deficit.value == pytest.approx(difference[keep].mean(), abs=1e-9)
    assert gap.excess.value == pytest.approx(gap.fit_deficit.value + gap.excess_gap.value)


def test_a_group_counts_as_one_sample(planted: ModuleType) -> None:
    """Each row ten times over: grouped, the interval is that of a tenth of the rows."""
    x, y = planted.rows(2, 40)
    tenfold = x.repeat_interleave(10, 0), y.repeat_interleave(10, 0)
    groups = np.repeat(np.arange(40), 10).tolist()
    student = planted.bayes(3.0)

    def width(**more: Any) -> float:
        excess = measure_gap(looked(planted.healthy(student=student, **more))).excess
        return excess.high - excess.low

    grouped = width(heldout=tenfold, groups=groups)
    assert grouped == pytest.approx(width(heldout=(x, y)), rel=0.2)
    assert grouped > 2.5 * width(heldout=tenfold)


def test_tables_add_up(planted: ModuleType) -> None:
    tables = report_tables(looked(planted.overfitted(200)))
    for name in ("reliability", "loss_histogram"):
        totals: dict[tuple[str, str], int] = {}
        for row in tables[name].records():
            key = row["model"], row["split"]
            totals[key] = totals.get(key, 0) + row["rows"]
        assert totals == {(m, s): 200 for m in ("teacher", "student") for s in ("train", "heldout")}
    classes = tables["per_class"].records()
    assert [row["class"] for row in classes] == ["0", "1", "2"]
    assert sum(row["rows"] for row in classes) == 200


def test_a_class_without_rows_has_no_numbers(planted: ModuleType) -> None:
    x, y = planted.rows(2, 200)
    some = x[y != 1], y[y != 1]
    row = report_tables(looked(planted.healthy(heldout=some)))["per_class"].records()[1]
    assert row["rows"] == 0
    assert row["student_loss"] is None
