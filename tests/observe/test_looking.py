"""Looking: which rows are read, how often, and when it stops."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset

from gapdoctor import Case, Pipeline, Preprocess, TeacherLogits
from gapdoctor.domain.findings import Intervention
from gapdoctor.errors import DataError
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.measures import measure_gap
from gapdoctor.observe.observations import Need, Observations, Settings
from gapdoctor.observe.progress import Progress
from gapdoctor.pipeline import look


class Counted(Dataset[Any]):
    """Rows that count how often each is read."""

    def __init__(self, rows: tuple[torch.Tensor, torch.Tensor], known: bool = True) -> None:
        self.inputs, self.labels_ = rows
        self.reads = np.zeros(len(self.labels_), dtype=int)
        if known:
            self.targets = self.labels_

    def __len__(self) -> int:
        return len(self.labels_)

    def __getitem__(self, i: int) -> Any:
        self.reads[i] += 1
        return self.inputs[i], int(self.labels_[i])


def looked(case: Case, **more: Any) -> Observations:
    return look(case, Settings(**{"batch_size": 64, **more}), Progress())


def data_of(seen: Observations) -> tuple[Counted, Counted]:
    return seen.case.train, seen.case.heldout


def test_rows_beyond_max_samples_are_never_read(planted: ModuleType) -> None:
    train, heldout = Counted(planted.rows(1, 900)), Counted(planted.rows(2, 700))
    seen = looked(planted.healthy(train=train, heldout=heldout), max_samples=100)
    assert train.reads.sum() == heldout.reads.sum() == 100
    assert (train.reads <= 1).all()
    assert len(seen.rows(Split.TRAIN).labels) == len(seen.rows(Split.HELDOUT).labels) == 100
    assert seen.outputs(Model.STUDENT, Split.TRAIN).loss.shape == (100,)


def test_where_labels_are_known_the_rows_read_are_stratified(planted: ModuleType) -> None:
    inputs, _ = planted.rows(1, 2_000)
    labels = torch.tensor(np.repeat([0, 1, 2], [1_600, 300, 100]))
    seen = looked(planted.healthy(train=Counted((inputs, labels))), max_samples=200)
    counts = np.bincount(seen.rows(Split.TRAIN).labels)
    assert np.abs(counts - [160, 30, 10]).max() <= 2


def test_looking_stops_once_the_gap_is_known_well_enough(planted: ModuleType) -> None:
    train, heldout = Counted(planted.rows(1, 5_000)), Counted(planted.rows(2, 5_000))
    seen = looked(planted.healthy(train=train, heldout=heldout))
    assert seen.used == 1_024  # the two models all but agree: the first round is enough
    assert train.reads.sum() == heldout.reads.sum() == 1_024


def test_looking_goes_on_while_the_interval_is_wide(planted: ModuleType) -> None:
    train = Counted(planted.rows(1, 3_000))
    case = planted.healthy(student=planted.bayes(6.0), train=train, heldout=planted.rows(2, 3_000))
    seen = looked(case)
    assert seen.used == 3_000
    assert train.reads.tolist() == [1] * 3_000
    gap = measure_gap(seen)
    assert gap.excess.high - gap.excess.low > 0.05


@pytest.mark.parametrize(("excess", "used"), [(0.1 * np.log(3) / 1.1, 3_000), (0.3, 1_024)])
def test_looking_goes_on_while_a_narrow_interval_holds_the_limit(
    planted: ModuleType, excess: float, used: int
) -> None:
    inputs, labels = planted.rows(2, 3_000)
    # every row costs the student log 3 and the teacher `excess` less, give or take 0.05
    loss = np.log(3) - excess + 0.05 * np.resize([1, -1], 3_000)
    logits = np.zeros((3_000, 3))
    logits[np.arange(3_000), labels] = -np.log((np.exp(loss) - 1) / 2)
    same = planted.linear(np.zeros((3, 4)), np.zeros(3))
    rows = (inputs, labels)
    seen = looked(Case(same, TeacherLogits(logits, logits), rows, rows))
    gap = measure_gap(seen)
    assert gap.excess.high - gap.excess.low < 0.02
    assert (gap.excess.low <= gap.limit <= gap.excess.high) == (used == 3_000)
    assert seen.used == used


def test_a_probe_reads_no_row_again(planted: ModuleType) -> None:
    train, heldout = (Counted(planted.raw(planted.rows(seed, 300))) for seed in (1, 2))
    given = Preprocess(planted.undo, planted.forgotten)
    seen = looked(planted.healthy(train=train, heldout=heldout, preprocess=given))
    for split in Split:
        for pipeline in ("train", "inference"):
            for model in Model:
                seen.outputs(model, split, pipeline)
    assert train.reads.tolist() == heldout.reads.tolist() == [1] * 300


def test_a_stream_is_kept_to_max_samples(planted: ModuleType) -> None:
    class Stream(IterableDataset[Any]):
        given = 0

        def __iter__(self) -> Any:
            for x, y in zip(*planted.rows(1, 10_000), strict=True):
                self.given += 1
                yield x, int(y)

    stream = Stream()
    seen = looked(planted.healthy(train=stream), max_samples=50)
    assert stream.given == 200
    assert len(seen.rows(Split.TRAIN).labels) == 50


# -- halves and groups -------------------------------------------------------------------------


def halves(seen: Observations) -> dict[int, bool]:
    rows = seen.rows(Split.HELDOUT)
    return dict(zip(rows.index.tolist(), rows.choosing.tolist(), strict=True))


def test_a_rows_half_depends_on_neither_seed_nor_other_rows(planted: ModuleType) -> None:
    case = planted.healthy(400)
    whole = halves(looked(case))
    for seed in (0, 5):
        some = halves(looked(case, seed=seed, max_samples=100))
        assert some == {i: whole[i] for i in some}
    assert set(halves(looked(case, seed=0, max_samples=100))) != set(some)


def test_groups_are_whole(planted: ModuleType) -> None:
    groups = [f"patient {i % 20}" for i in range(300)]
    rows = looked(planted.healthy(300, groups=groups)).rows(Split.HELDOUT)
    assert rows.groups is not None
    assert rows.groups.tolist() == [groups[i] for i in rows.index]
    for group in set(groups):
        assert len(set(rows.choosing[rows.groups == group].tolist())) == 1


def test_with_a_test_set_gap_and_reporting_are_its_own(planted: ModuleType) -> None:
    far = planted.rows(3, 200)[0] * 0, planted.rows(3, 200)[1]
    seen = looked(planted.healthy(300, student=planted.bayes(3.0), test=far))
    rows = seen.rows(Split.HELDOUT)
    assert (rows.choosing.sum(), rows.reporting.sum()) == (300, 200)
    loss = seen.outputs(Model.STUDENT, Split.HELDOUT).loss
    assert loss.shape == (500,)
    teacher = seen.outputs(Model.TEACHER, Split.HELDOUT).loss
    expected = (loss - teacher)[rows.from_test].mean()
    assert measure_gap(seen).excess.value == pytest.approx(expected, abs=1e-12)


# -- stored logits -----------------------------------------------------------------------------


def test_stored_logits_stand_for_the_teacher(planted: ModuleType) -> None:
    case = planted.healthy(300)
    with torch.no_grad():
        train, heldout = (planted.bayes()(s[0]).numpy() for s in (case.train, case.heldout))
    stored = looked(planted.healthy(300, teacher=TeacherLogits(train, heldout)))
    live = looked(case)
    for split in Split:
        found, expected = (s.outputs(Model.TEACHER, split) for s in (stored, live))
        assert np.allclose(found.logits, expected.logits, atol=1e-6)
        assert found.features is None
    assert stored.missing(frozenset({Need.TEACHER_MODEL})) is not None
    assert live.missing(frozenset({Need.TEACHER_MODEL})) is None


@pytest.mark.parametrize(
    ("train", "told"),
    [
        (np.zeros((299, 3)), "teacher.logits: 299 rows of train, but the data set has 300"),
        (np.zeros((300, 4)), "the student has 3 classes, the teacher 4"),
        (np.zeros(300), r"teacher\.logits: train has shape \(300,\)"),
        (np.full((300, 3), "x"), r"teacher\.logits: train has shape \(300, 3\) of <U1"),
    ],
)
def test_stored_logits_that_do_not_fit_are_refused(
    planted: ModuleType, train: Any, told: str
) -> None:
    stored = TeacherLogits(train, np.zeros((300, 3)))
    with pytest.raises(DataError, match=told):
        looked(planted.healthy(300, teacher=stored))


def test_a_test_set_needs_stored_logits_too(planted: ModuleType) -> None:
    stored = TeacherLogits(np.zeros((300, 3)), np.zeros((300, 3)))
    with pytest.raises(DataError, match=r"teacher\.logits: 0 rows of test"):
        looked(planted.healthy(300, teacher=stored, test=planted.rows(3, 50)))


# -- classes, temperature, views ---------------------------------------------------------------


def test_classes_are_named_by_the_user_the_data_or_their_number(planted: ModuleType) -> None:
    heldout = Counted(planted.rows(2, 90))
    heldout.classes = ["a", "b", "c"]  # type: ignore[attr-defined]
    assert looked(planted.healthy(90)).classes == ("0", "1", "2")
    assert looked(planted.healthy(90, heldout=heldout)).classes == ("a", "b", "c")
    named = looked(planted.healthy(90, heldout=heldout, classes=["x", "y", "z"]))
    assert named.classes == ("x", "y", "z")
    heldout.classes = ["a", "b"]  # type: ignore[attr-defined]
    assert looked(planted.healthy(90, heldout=heldout)).classes == ("0", "1", "2")
    with pytest.raises(DataError, match=r"data\.classes: 2 names, but the models have 3 classes"):
        _ = looked(planted.healthy(90, classes=["x", "y"])).classes


def test_the_students_logits_are_divided_by_its_temperature(planted: ModuleType) -> None:
    hot, plain = (looked(planted.healthy(90, output_temperature=t)) for t in (2.0, 1.0))
    for model, factor in ((Model.STUDENT, 2.0), (Model.TEACHER, 1.0)):
        found, expected = (s.outputs(model, Split.TRAIN).logits for s in (hot, plain))
        assert np.allclose(found * factor, expected, atol=1e-6)


def test_batched_pipelines_see_the_same_rows(planted: ModuleType) -> None:
    single = looked(planted.mismatched(200))
    given = Preprocess(Pipeline(planted.undo, True), Pipeline(planted.forgotten, True))
    batched = looked(planted.mismatched(200, preprocess=given))
    for name in ("train", "inference"):
        one, other = (s.outputs(Model.STUDENT, Split.HELDOUT, name) for s in (single, batched))
        assert np.allclose(one.loss, other.loss, atol=1e-6)


def test_later_probes_stand_on_a_believed_pipeline(planted: ModuleType) -> None:
    seen = looked(planted.mismatched(200))
    before = seen.current(Model.STUDENT, Split.HELDOUT).loss
    assert before.tolist() == seen.outputs(Model.STUDENT, Split.HELDOUT, "inference").loss.tolist()
    seen.believe(Intervention("pipeline", "train"))
    after = seen.current(Model.STUDENT, Split.HELDOUT).loss
    assert after.tolist() == seen.outputs(Model.STUDENT, Split.HELDOUT, "train").loss.tolist()
    assert after.mean() < before.mean()
    assert seen.outputs(Model.STUDENT, Split.HELDOUT).loss.tolist() == before.tolist()


def test_an_array_asked_for_early_is_whole_after_looking_farther(planted: ModuleType) -> None:
    seen = Observations(planted.mismatched(300), Settings(batch_size=64))
    seen.extend(128)
    assert len(seen.outputs(Model.STUDENT, Split.HELDOUT, "train").loss) == 128
    seen.extend(300)
    for pipeline in ("train", "inference"):
        assert len(seen.outputs(Model.STUDENT, Split.HELDOUT, pipeline).loss) == 300
    assert len(seen.rows(Split.HELDOUT).labels) == 300


def test_inputs_can_be_asked_for_by_position(planted: ModuleType) -> None:
    seen = looked(planted.healthy(100, test=planted.rows(3, 50)))
    positions = seen.some(Split.HELDOUT, seen.rows(Split.HELDOUT).reporting, 7)
    inputs = seen.inputs(Split.HELDOUT, positions)
    rows = seen.rows(Split.HELDOUT)
    expected = planted.rows(3, 50)[0][torch.tensor(rows.index[positions])]
    assert torch.equal(inputs, expected)
    found = seen.score(Model.STUDENT, inputs, rows.labels[positions])
    whole = seen.outputs(Model.STUDENT, Split.HELDOUT).loss[positions]
    assert np.allclose(found.loss, whole, atol=1e-6)
