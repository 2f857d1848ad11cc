from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from gapdoctor.errors import DataError, UserCodeError
from gapdoctor.loading.logits import read_logits
from gapdoctor.loading.sections import DataSection
from gapdoctor.loading.splits import Splits, open_splits, read_groups, row_count
from gapdoctor.loading.where import FileName, Reference, split_name

CODE = """\
import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

class Animals(TensorDataset):
    classes = ["cat", "dog"]

def animals(rows=4):
    return Animals(torch.zeros(rows, 2), torch.zeros(rows, dtype=torch.long))

def loader():
    return DataLoader(animals())

def other():
    data = animals()
    data.classes = ["dog", "cat"]
    return data

groups = ["a", "a", "b", "b"]

def patients():
    return torch.tensor([1, 1, 2, 2])

def both():
    return {"heldout": np.array(["a", "a", "b", "b"]), "train": ["a", "c"]}

def half():
    return {"heldout": [1, 1, 2, 2]}

def odd():
    return {"heldout": [1, 1, 2, 2], "train": 3}

def nested():
    return [[1], [2], [3], [4]]

def failing():
    yield 1
    raise RuntimeError("lost")
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run.py").write_text(CODE)
    return tmp_path


def ref(folder, name, key):
    where, what = split_name(name)
    return Reference(
        key=key, place=f"gapdoctor.toml:3: {key}", name=name, where=where, what=what, base=folder
    )


def section(folder, train, heldout, test=None, classes=None):
    return DataSection(
        train=ref(folder, train, "data.train"),
        heldout=ref(folder, heldout, "data.heldout"),
        test=None if test is None else ref(folder, test, "data.test"),
        groups=None,
        classes=classes,
        sample_keys=("input", "label"),
    )


def table(path, **columns):
    pd.DataFrame(columns).to_csv(path, index=False)


def test_names_of_the_train_split_number_all_splits(folder):
    table(folder / "train.csv", f=[1, 2, 3], label=["cat", "dog", "ant"])
    table(folder / "heldout.csv", f=[1, 2], label=["dog", "cat"])
    table(folder / "test.csv", f=[5], label=["ant"])
    splits = open_splits(section(folder, "train.csv", "heldout.csv", "test.csv"))
    assert splits.classes == ("ant", "cat", "dog")
    assert splits.train[1].tolist() == [1, 2, 0]
    assert splits.heldout[1].tolist() == [2, 1]
    assert splits.test[1].tolist() == [0]
    assert splits.notes == ()


def test_the_configs_class_names_are_kept(folder):
    table(folder / "a.csv", f=[1, 2], label=[0, 1])
    splits = open_splits(section(folder, "a.csv", "a.csv", classes=("zero", "one")))
    assert splits.classes == ("zero", "one")
    assert splits.test is None


def test_an_unseen_name_in_heldout_is_told_with_its_place(folder):
    table(folder / "train.csv", f=[1], label=["cat"])
    table(folder / "heldout.csv", f=[1], label=["cow"])
    match = r"gapdoctor.toml:3: data.heldout: heldout.csv: column 'label': class 'cow' is not in"
    with pytest.raises(DataError, match=match):
        open_splits(section(folder, "train.csv", "heldout.csv"))


def test_columns_that_differ_are_told(folder):
    table(folder / "train.csv", a=[1], b=[2], label=[0])
    table(folder / "swapped.csv", b=[1], a=[2], label=[0])
    table(folder / "fewer.csv", b=[1], label=[0])
    splits = open_splits(section(folder, "train.csv", "swapped.csv"))
    assert splits.heldout[0].tolist() == [[1, 2]]  # as the file has them
    assert splits.notes == (
        "data.heldout has other columns than data.train, or another order of them.",
    )
    with pytest.raises(DataError, match="1 feature columns, the train split has 2") as caught:
        open_splits(section(folder, "train.csv", "fewer.csv"))
    assert caught.value.hint == "missing: a"


def test_data_sets_bring_their_class_names(folder):
    splits = open_splits(section(folder, "run.py:loader", "run.py:animals"))
    assert isinstance(splits.train, DataLoader)
    assert splits.classes == ("cat", "dog")
    assert splits.notes == ()
    splits = open_splits(section(folder, "run.py:animals", "run.py:other"))
    assert splits.notes == (
        "data.heldout lists other classes than data.train, or another order of them.",
    )


def test_rows_are_counted_without_reading_them():
    data = TensorDataset(torch.zeros(5, 2), torch.zeros(5))
    assert row_count(data) == 5
    assert row_count(DataLoader(data, batch_size=2)) == 5
    assert row_count((np.zeros((3, 2)), np.zeros(3))) == 3
    assert row_count([np.zeros((3, 2)), np.zeros(3)]) == 3
    assert row_count(iter([1, 2])) is None


# Groups


def four_rows():
    return np.zeros((4, 1)), np.zeros(4, dtype=int)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("run.py:groups", None, ["a", "a", "b", "b"]),
        ("run.py:patients", None, [1, 1, 2, 2]),
        ("g.txt", "a\na\n007\nNA\n", ["a", "a", "007", "NA"]),
        ("g.csv", "group\n1\n1\n2\n2\n", ["1", "1", "2", "2"]),
        ("g.csv", "row,Group\n0,x\n1,x\n2,y\n3,y\n", ["x", "x", "y", "y"]),
    ],
)
def test_groups_come_from_code_or_a_file(folder, name, content, expected):
    if content:
        (folder / name).write_text(content)
    assert read_groups(ref(folder, name, "data.groups"), four_rows()) == expected


def test_groups_of_train_rows_stand_beside_those_of_held_out_rows(folder):
    found = read_groups(ref(folder, "run.py:both", "data.groups"), four_rows())
    assert found == ["a", "a", "b", "b"]
    assert found.train == ["a", "c"]


def test_groups_come_from_an_array_file(folder):
    np.save(folder / "g.npy", np.array(["p1", "p1", "p2", "p2"]))
    found = read_groups(ref(folder, "g.npy", "data.groups"), four_rows())
    assert found == ["p1", "p1", "p2", "p2"]


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("g.txt", "a\nb\n", DataError, "data.groups: 2 ids for 4 held-out rows"),
        ("g.csv", "a,b\n1,2\n", DataError, "no column is called group"),
        ("g.csv", "", DataError, "g.csv cannot be read"),
        ("g.npy", "no array", DataError, "g.npy cannot be read"),
        ("run.py:nested", None, DataError, "run.py:nested is no list of ids"),
        ("run.py:half", None, DataError, "run.py:half is no list of ids"),
        ("run.py:odd", None, DataError, "run.py:odd is no list of ids"),
        ("run.py:failing", None, UserCodeError, r"run.py:\d+: RuntimeError: lost"),
    ],
)
def test_groups_that_do_not_fit_are_refused(folder, name, content, error, message):
    if content is not None:
        (folder / name).write_text(content)
    with pytest.raises(error, match=message):
        read_groups(ref(folder, name, "data.groups"), four_rows())


@pytest.mark.parametrize("value", ["3.5", "'abcd'", "{1: 2, 3: 4, 5: 6, 7: 8}"])
def test_groups_of_something_else_are_refused(folder, value):
    (folder / "run.py").write_text(f"groups = {value}\n")
    with pytest.raises(DataError, match=r"run.py:groups is no list of ids"):
        read_groups(ref(folder, "run.py:groups", "data.groups"), four_rows())


# Stored logits


def splits_of(train, heldout, test=None, classes=None):
    return Splits(
        *(None if n is None else (np.zeros((n, 1)), np.zeros(n)) for n in (train, heldout, test)),
        classes,
        (),
    )


def logits_file(folder, **arrays):
    np.savez(folder / "t.npz", **arrays)
    return FileName(folder / "t.npz", "t.npz", "gapdoctor.toml:9: teacher.logits")


def test_stored_logits_are_read_as_float64(folder):
    file = logits_file(
        folder, train=np.ones((3, 2), np.float16), heldout=np.zeros((2, 2)), test=np.ones((1, 2))
    )
    stored = read_logits(file, splits_of(3, 2, 1, ("a", "b")))
    assert stored.train.dtype == np.float64
    assert [a.shape for a in (stored.train, stored.heldout, stored.test)] == [
        (3, 2),
        (2, 2),
        (1, 2),
    ]
    assert stored.file == "t.npz"
    assert len(stored.sha256) == 64
    assert read_logits(file, splits_of(3, 2)).test is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"train": (3, 2), "held_out": (2, 2)},
            "no array 'heldout'; arrays found: held_out, train",
        ),
        ({"train": (3, 2), "heldout": (4, 2)}, "'heldout' has 4 rows, data.heldout has 2"),
        ({"train": (3,), "heldout": (2, 2)}, r"'train' has shape \(3,\)"),
        ({"train": (3, 2), "heldout": (2, 3)}, "classes differ: train 2, heldout 3, class names 2"),
        ({"train": (3, 5), "heldout": (2, 5)}, "train 5, heldout 5, class names 2"),
    ],
)
def test_stored_logits_that_do_not_fit_are_refused(folder, arrays, message):
    file = logits_file(folder, **{name: np.zeros(shape) for name, shape in arrays.items()})
    with pytest.raises(DataError, match=message) as caught:
        read_logits(file, splits_of(3, 2, classes=("a", "b")))
    assert caught.value.message.startswith("gapdoctor.toml:9: teacher.logits: t.npz: ")


def test_stored_logits_for_the_test_split_are_asked_for(folder):
    file = logits_file(folder, train=np.zeros((3, 2)), heldout=np.zeros((2, 2)))
    with pytest.raises(DataError, match="no array 'test'"):
        read_logits(file, splits_of(3, 2, 1))


def test_stored_logits_are_finite_numbers(folder):
    bad = np.zeros((3, 2))
    bad[1, 0] = np.nan
    with pytest.raises(DataError, match="'train' has NaN or infinity in row 1"):
        read_logits(logits_file(folder, train=bad, heldout=bad[:2]), splits_of(3, 2))
    text = np.full((3, 2), "a")
    with pytest.raises(DataError, match="and type <U1"):
        read_logits(logits_file(folder, train=text, heldout=text[:2]), splits_of(3, 2))
