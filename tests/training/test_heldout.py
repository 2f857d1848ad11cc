"""Held-out rows: their order, their halves, what the student is fed, and what is written."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from gapdoctor import Case
from gapdoctor.errors import DataError, IncompleteRun
from gapdoctor.observe.case import Preprocess
from gapdoctor.observe.observations import Settings
from gapdoctor.observe.sampling import choosing_half
from gapdoctor.training.heldout import HeldoutOutputs, read_outputs
from gapdoctor.training.materials import Materials

CPU = torch.device("cpu")


def seen(case: Case, **more: Any) -> tuple[Materials, HeldoutOutputs]:
    materials = Materials(case, Settings(batch_size=7, device="cpu"), **more)
    return materials, materials.heldout.outputs(case.student, CPU)


def test_rows_come_in_the_order_of_the_data(planted: ModuleType) -> None:
    case = planted.healthy(50)
    _, found = seen(case)
    assert np.array_equal(found.positions, np.arange(50))
    assert np.array_equal(found.labels, case.heldout[1].numpy())
    assert np.allclose(found.logits, case.predict("student", case.heldout[0]), atol=1e-5)
    assert not found.from_test.any()


@pytest.mark.parametrize("first", ["watched", "outputs"])
def test_half_a_alone_is_watched(planted: ModuleType, first: str) -> None:
    case = planted.healthy(50)
    materials = Materials(case, Settings(batch_size=7, device="cpu"))
    if first == "outputs":
        materials.heldout.outputs(case.student, CPU)
    half = torch.from_numpy(choosing_half(np.arange(50), None))
    for _ in range(2):
        batches = list(materials.heldout.watched())
        assert torch.equal(torch.cat([x for x, _ in batches]), case.heldout[0][half])
        assert torch.equal(torch.cat([y for _, y in batches]), case.heldout[1][half])
    found = materials.heldout.outputs(case.student, CPU)
    assert np.array_equal(found.labels, case.heldout[1].numpy())


def test_with_a_test_set_heldout_chooses_and_test_reports(planted: ModuleType) -> None:
    case = planted.healthy(50, test=planted.rows(3, 20))
    materials, found = seen(case)
    assert np.array_equal(found.from_test, np.arange(70) >= 50)
    assert np.array_equal(found.choosing, ~found.from_test)
    assert np.array_equal(found.positions, np.r_[np.arange(50), np.arange(20)])
    assert np.array_equal(found.labels[50:], case.test[1].numpy())
    assert sum(len(y) for _, y in materials.heldout.watched()) == 50


def test_groups_stay_whole(planted: ModuleType, tmp_path: Any) -> None:
    ids = [f"patient {i // 5}" for i in range(50)]
    _, found = seen(planted.healthy(50, groups=ids))
    assert np.array_equal(found.choosing, choosing_half(np.arange(50), ids))
    found.write(tmp_path / "outputs.npz")
    again = read_outputs(tmp_path / "outputs.npz")
    assert again.groups is not None
    assert again.groups.tolist() == ids


def test_rows_that_all_report_leave_nothing_to_choose_by(planted: ModuleType) -> None:
    reporting = next(str(i) for i in range(99) if not choosing_half(np.zeros(1, int), [str(i)])[0])
    with pytest.raises(DataError, match="none of 20 rows falls into the half that chooses"):
        seen(planted.healthy(20, groups=[reporting] * 20))


def test_it_is_fed_as_deployed_with_corrections(planted: ModuleType) -> None:
    sound = seen(planted.mismatched(40, planted.undo))[1]
    wrong = planted.mismatched(40)
    assert not np.allclose(seen(wrong)[1].logits, sound.logits, atol=0.1)
    mended = planted.mismatched(
        40, preprocess=Preprocess(planted.undo, planted.forgotten, corrections=(lambda x: x - 1.5,))
    )
    assert np.allclose(seen(mended)[1].logits, sound.logits, atol=1e-4)


class Transformed(Dataset[Any]):
    """Carries its pipeline itself, as torchvision's data sets do."""

    def __init__(self, rows: Any, transform: Any) -> None:
        self.rows, self.transform = rows, transform

    def __len__(self) -> int:
        return len(self.rows[1])

    def __getitem__(self, i: int) -> tuple[Any, int]:
        x = self.rows[0][i]
        return (x if self.transform is None else self.transform(x)), int(self.rows[1][i])


def test_corrections_reach_rows_whose_data_set_has_the_transform(planted: ModuleType) -> None:
    case = Case(
        student=planted.bayes(), teacher=planted.bayes(),
        train=Transformed(planted.raw(planted.rows(1, 30)), planted.undo),
        heldout=Transformed(planted.raw(planted.rows(2, 30)), planted.forgotten),
        preprocess=Preprocess(corrections=(lambda x: x - 1.5,)),
    )  # fmt: skip
    expected = planted.bayes()(planted.rows(2, 30)[0]).detach().numpy()
    assert np.allclose(seen(case)[1].logits, expected, atol=1e-4)


def test_another_order_of_the_classes(planted: ModuleType) -> None:
    """Held-out label `order[y]` is what train calls y."""
    order = np.array([2, 0, 1])
    inputs, labels = planted.rows(2, 40)
    plain = seen(planted.healthy(40))[1]
    case = planted.healthy(40, heldout=(inputs, torch.from_numpy(order)[labels]))
    materials, found = seen(case, class_order=order)
    assert found.choosing_loss() == pytest.approx(plain.choosing_loss(), rel=1e-6)
    assert np.allclose(found.logits[:, order], plain.logits, atol=1e-6)
    watched = torch.cat([y for _, y in materials.heldout.watched()])
    assert torch.equal(watched, labels[torch.from_numpy(plain.choosing)])


def test_a_label_without_a_logit_is_told(planted: ModuleType) -> None:
    inputs, labels = planted.rows(2, 40)
    with pytest.raises(DataError, match=r"data\.heldout: label 7 of row 11"):
        seen(planted.healthy(40, heldout=(inputs, labels.index_fill(0, torch.tensor([11]), 7))))


def test_the_loss_is_taken_at_its_own_temperature(planted: ModuleType) -> None:
    _, found = seen(planted.healthy(200))
    twice = HeldoutOutputs(5 * found.logits, found.labels, found.positions, found.choosing,
                           found.from_test)  # fmt: skip
    assert twice.choosing_loss() == pytest.approx(found.choosing_loss(), rel=1e-5)
    lost = found.logits.copy()
    lost[0] = np.nan
    broken = HeldoutOutputs(lost, found.labels, found.positions, found.choosing, found.from_test)
    assert np.isfinite(broken.choosing_loss())


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04"])
def test_a_damaged_file_is_one_line(tmp_path: Any, content: bytes) -> None:
    (tmp_path / "outputs.npz").write_bytes(content)
    with pytest.raises(IncompleteRun, match=r"outputs\.npz: cannot be read"):
        read_outputs(tmp_path / "outputs.npz")
