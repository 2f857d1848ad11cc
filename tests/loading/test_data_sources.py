from __future__ import annotations

import importlib.util
import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from gapdoctor.discovery import find_plugins
from gapdoctor.errors import ConfigError, DataError
from gapdoctor.loading.data._base import Known, Source, read_split

INPUTS = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)


def read(path, **known):
    return read_split(path, f"data.train: {path.name}", Known(**known))


def images(folder, *files):
    """Write one RGBA image of 4 × 3 pixels a name `class/file`."""
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGBA", (4, 3), (10, 20, 30, 255)).save(path)
    return folder


# Every source


@pytest.mark.parametrize(
    "source", find_plugins("gapdoctor.loading.data", Source), ids=lambda s: s.name
)
def test_every_source_accepts_only_its_own_form(source, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").touch()
    names = ["a.npz", "a.safetensors", "a.csv", "a.parquet", "a.txt", "folder", "saved"]
    for name in names[:5]:
        (tmp_path / name).touch()
    accepted = [name for name in names if source.accepts(tmp_path / name)]
    assert len(accepted) == 1
    assert source.form.startswith("a ")


def test_an_unknown_form_lists_the_known(tmp_path):
    (tmp_path / "a.txt").touch()
    with pytest.raises(DataError, match=r"data.train: a.txt: not a form of data") as caught:
        read(tmp_path / "a.txt")
    assert ".npz" in caught.value.hint
    assert "class folders" in caught.value.hint


# Class folders


def test_class_folders_are_numbered_by_sorted_name_and_give_rgb_images(tmp_path):
    split = read(images(tmp_path, "dog/1.png", "cat/1.png", "cat/2.png"))
    assert split.classes == ("cat", "dog")
    assert split.data.targets == [0, 0, 1]
    image, label = split.data[2]
    assert (image.mode, image.size, label) == ("RGB", (4, 3), 1)
    assert image.getpixel((0, 0)) == (10, 20, 30)


def test_a_class_missing_in_heldout_does_not_shift_the_others(tmp_path):
    split = read(images(tmp_path, "b/1.png", "c/1.png"), train_classes=("a", "b", "c"))
    assert split.data.targets == [1, 2]
    assert [label for _, label in split.data] == [1, 2]
    assert split.data.classes == ["a", "b", "c"]


def test_a_class_unseen_in_train_is_refused(tmp_path):
    with pytest.raises(DataError, match="class 'catt' is not in the train data") as caught:
        read(images(tmp_path, "catt/1.png"), train_classes=("cat", "dog"))
    assert caught.value.hint == "did you mean cat?"


def test_the_order_of_the_configs_classes_counts_where_it_names_the_folders(tmp_path):
    folder = images(tmp_path, "cat/1.png", "dog/1.png")
    assert read(folder, classes=("dog", "cat")).data.targets == [1, 0]
    assert read(folder, classes=("Cats", "Dogs")).data.targets == [0, 1]
    with pytest.raises(DataError, match=r"2 classes, but \[data\] classes has 3 names"):
        read(folder, classes=("a", "b", "c"))


def test_folders_without_images_are_refused(tmp_path):
    with pytest.raises(DataError, match="holds no class folders"):
        read(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(DataError, match="class folders hold no images"):
        read(tmp_path)


# Arrays


@pytest.mark.parametrize("x", ["x", "X", "images", "data", "inputs"])
@pytest.mark.parametrize("y", ["y", "Y", "labels", "targets"])
def test_an_archive_is_read_by_the_usual_names(tmp_path, x, y):
    np.savez(tmp_path / "a.npz", **{x: INPUTS, y: np.array([0, 1, 0]), "other": 1})
    split = read(tmp_path / "a.npz")
    inputs, labels = split.data
    assert inputs.dtype == np.uint8
    assert (inputs == INPUTS).all()
    assert labels.tolist() == [0, 1, 0]
    assert split.classes is None


def test_arrays_may_be_named_in_the_config(tmp_path):
    np.savez(tmp_path / "a.npz", x=INPUTS, pixels=INPUTS + 1, y=[1, 1, 1], digit=[0, 1, 2])
    inputs, labels = read(tmp_path / "a.npz", keys=("pixels", "digit")).data
    assert inputs[0, 0, 0] == 1
    assert labels.tolist() == [0, 1, 2]


def test_names_as_labels_become_sorted_indices(tmp_path):
    np.savez(tmp_path / "a.npz", x=INPUTS, y=["dog", "cat", "dog"])
    split = read(tmp_path / "a.npz")
    assert split.data[1].tolist() == [1, 0, 1]
    assert split.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": INPUTS, "y": [0, 1, 2]}, "no inputs among the arrays found: 'a', 'y'"),
        ({"x": INPUTS}, "no labels among the arrays found: 'x'"),
        ({"x": INPUTS, "X": INPUTS, "y": [0, 1, 2]}, "several inputs among the arrays"),
        ({"x": INPUTS, "y": [0, 1]}, r"'x' has shape \(3, 2, 2\), 'y' has \(2,\)"),
        ({"x": INPUTS, "y": 1}, r"'y' has \(\)"),
        ({"x": INPUTS, "y": np.array([{}, {}, {}])}, "cannot be read: Object arrays"),
    ],
)
def test_an_archive_of_another_form_is_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "a.npz")


@pytest.mark.parametrize("cut", [0, 10, 200])
def test_a_damaged_archive_is_refused(tmp_path, cut):
    path = tmp_path / "a.npz"
    np.savez(path, x=INPUTS, y=[0, 1, 2])
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"a.npz: cannot be read"):
        read(path)
    np.save(tmp_path / "b.npy", INPUTS)
    with pytest.raises(DataError, match="one array without a name"):
        read((tmp_path / "b.npy").rename(tmp_path / "b.npz"))


def test_safetensors_are_read_as_they_are(tmp_path):
    path = tmp_path / "a.safetensors"
    inputs = torch.arange(4.0).reshape(2, 2).bfloat16()
    save_file({"x": inputs, "y": torch.tensor([1, 0])}, path)
    found, labels = read(path).data
    assert torch.equal(found, inputs)
    assert labels.tolist() == [1, 0]
    path.write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"a.safetensors: cannot be read"):
        read(path)


# Tables


def table(path, **columns):
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def test_a_table_gives_float32_rows_of_its_numeric_columns(tmp_path):
    path = table(
        tmp_path / "a.csv", b=[1, 2], label=[0, 1], a=[0.5, 1.5], who=["x", "y"], on=[True, False]
    )
    split = read(path)
    rows, labels = split.data
    assert rows.dtype == np.float32
    assert rows.tolist() == [[1, 0.5, 1], [2, 1.5, 0]]
    assert labels.tolist() == [0, 1]
    assert split.columns == ("b", "a", "on")
    assert split.notes == ("data.train: a.csv: columns left out: who.",)


@pytest.mark.parametrize("name", ["label", "target", "y", "class", "Label"])
def test_the_label_column_has_one_of_the_usual_names(tmp_path, name):
    rows, labels = read(table(tmp_path / "a.csv", f=[1.0], **{name: [3]})).data
    assert (rows.tolist(), labels.tolist()) == ([[1.0]], [3])


def test_the_first_of_the_usual_names_counts_and_the_configs_before_all(tmp_path):
    path = table(tmp_path / "a.csv", y=[7.0], label=[1], species=["a"])
    assert read(path).columns == ("y",)
    split = read(path, keys=("input", "species"))
    assert split.columns == ("y", "label")
    assert split.classes == ("a",)


def test_a_written_index_is_no_feature(tmp_path):
    pd.DataFrame({"f": [1.0, 2.0], "label": [0, 1]}).to_csv(tmp_path / "a.csv")
    assert read(tmp_path / "a.csv").columns == ("f",)


def test_names_in_heldout_are_numbered_as_in_train(tmp_path):
    path = table(tmp_path / "a.csv", f=[1, 2], label=["dog", "bird"])
    split = read(path, train_classes=("bird", "cat", "dog"))
    assert split.data[1].tolist() == [2, 0]
    with pytest.raises(DataError, match="class 'dog' is not in the train data"):
        read(path, train_classes=("bird", "cat"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no label column among a, b"),
        ("label\n1\n", "no numeric column beside the label"),
        ("a,label\n", "no rows|no numeric"),
        ("a,label\n1,0\n2,\n", r"row 1 has no label \(1 such\)"),
        ("", "cannot be read: No columns"),
        ("a,label\n1,0\n1,2,3,4\n", "cannot be read: .*Expected 2 fields"),
    ],
)
def test_a_table_of_another_form_is_refused(tmp_path, text, message):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read(path)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(bytes(range(256)) * 4)
    with pytest.raises(DataError, match=r"a.csv: cannot be read|no label column"):
        read(path)


def test_parquet_is_read_as_a_table(tmp_path):
    pytest.importorskip("pyarrow")
    pd.DataFrame({"f": [1.0], "label": [2]}).to_parquet(tmp_path / "a.parquet")
    rows, labels = read(tmp_path / "a.parquet").data
    assert (rows.tolist(), labels.tolist()) == ([[1.0]], [2])


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is not None, reason="pyarrow is there")
def test_parquet_without_pyarrow_names_the_extra(tmp_path):
    (tmp_path / "a.parquet").touch()
    with pytest.raises(DataError, match="Parquet needs pyarrow") as caught:
        read(tmp_path / "a.parquet")
    assert caught.value.hint == "pip install 'gapdoctor[tables]'"


# Saved data sets


@pytest.mark.skipif(importlib.util.find_spec("datasets") is not None, reason="datasets is there")
def test_a_saved_data_set_without_datasets_names_the_extra(tmp_path):
    (tmp_path / "state.json").write_text(json.dumps({}))
    with pytest.raises(ConfigError, match="datasets is not installed") as caught:
        read(tmp_path)
    assert caught.value.hint == "pip install 'gapdoctor[hf]'"


def test_a_saved_data_set_of_several_splits_asks_for_one(tmp_path):
    (tmp_path / "dataset_dict.json").touch()
    (tmp_path / "train").mkdir()
    (tmp_path / "test").mkdir()
    with pytest.raises(DataError, match="holds several splits: test, train"):
        read(tmp_path)
