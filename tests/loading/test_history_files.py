"""Learning curves out of the files that trainers write."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

import gapdoctor
from gapdoctor.discovery import plugin_names
from gapdoctor.errors import DataError
from gapdoctor.loading.checkpoint import read_checkpoint
from gapdoctor.loading.history import normalised, read_history, recover_history
from gapdoctor.loading.history._base import all_formats


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def columns(table: pd.DataFrame) -> dict[str, list[Any]]:
    return {str(column): table[column].tolist() for column in table}


def test_gapdoctors_own_columns(tmp_path: Path) -> None:
    text = (
        "epoch,train_loss,heldout_loss,train_accuracy,heldout_accuracy,lr\n1,2.5,2.75,.5,.25,.1\n"
    )
    table = read_history(written(tmp_path, "history.csv", text))
    assert columns(table) == {
        "epoch": [1], "train_loss": [2.5], "heldout_loss": [2.75], "train_accuracy": [0.5],
        "heldout_accuracy": [0.25], "lr": [0.1],
    }  # fmt: skip
    assert table.attrs["source"] == "history.csv"
    assert table["epoch"].dtype == "int64"


@pytest.mark.parametrize("prefix", ["val", "eval", "valid", "validation", "test", "heldout", "dev"])
@pytest.mark.parametrize("form", ["{}_loss", "{}/loss", "{} Loss", "loss_{}", "  {}-loss "])
def test_names_of_the_heldout_loss(tmp_path: Path, prefix: str, form: str) -> None:
    header = f"Epoch, train_loss, {form.format(prefix)}"
    table = read_history(written(tmp_path, "log.csv", f"{header}\n0, 2.0, 3.0\n1, 1.0, 2.5\n"))
    assert columns(table) == {"epoch": [0, 1], "train_loss": [2, 1], "heldout_loss": [3, 2.5]}


def test_validation_is_preferred_to_test(tmp_path: Path) -> None:
    text = "epoch,loss,test_loss,val_loss\n1,1,2,3\n"
    assert read_history(written(tmp_path, "a.csv", text))["heldout_loss"].tolist() == [3]


def test_sparse_rows_of_lightning(tmp_path: Path) -> None:
    text = (
        "epoch,lr-SGD,step,train_loss_epoch,train_loss_step,val_acc,val_loss\n"
        "0,,49,,2.1,,\n0,,99,,,0.5,1.5\n0,,99,1.8,,,\n0,0.1,99,,,,\n"
        "1,,149,,1.1,,\n1,,199,,,0.75,1.25\n1,,199,1.0,,,\n1,0.05,199,,,,\n"
    )
    assert columns(read_history(written(tmp_path, "metrics.csv", text))) == {
        "epoch": [0, 1], "train_loss": [1.8, 1.0], "heldout_loss": [1.5, 1.25],
        "heldout_accuracy": [0.5, 0.75], "lr": [0.1, 0.05],
    }  # fmt: skip


def test_timm_writes_percent(tmp_path: Path) -> None:
    text = "epoch,train_loss,eval_loss,eval_top1,eval_top5,lr\n0,6.5,6.25,2.5,9.0,0.001\n"
    table = read_history(written(tmp_path, "summary.csv", text))
    assert columns(table) == {
        "epoch": [0], "train_loss": [6.5], "heldout_loss": [6.25], "heldout_accuracy": [0.025],
        "lr": [0.001],
    }  # fmt: skip


def test_ultralytics_pads_its_headers(tmp_path: Path) -> None:
    text = (
        "   epoch,  time,  train/loss,  metrics/accuracy_top1,  val/loss,  lr/pg0\n"
        "       1,   3.2,        1.50,                   0.40,      1.75,    0.01\n"
    )
    assert columns(read_history(written(tmp_path, "results.csv", text))) == {
        "epoch": [1], "train_loss": [1.5], "heldout_loss": [1.75], "heldout_accuracy": [0.4],
        "lr": [0.01],
    }  # fmt: skip


@pytest.mark.parametrize("separator", ["\t", ";"])
def test_other_separators_and_a_byte_order_mark(tmp_path: Path, separator: str) -> None:
    rows = [("epoch", "loss", "val_loss"), ("1", "2", "3")]
    text = "\ufeff" + "\n".join(separator.join(row) for row in rows)
    table = read_history(written(tmp_path, "log.txt", text))
    assert columns(table) == {"epoch": [1], "train_loss": [2], "heldout_loss": [3]}


def test_keras_has_no_epoch_column(tmp_path: Path) -> None:
    text = "accuracy,loss,val_accuracy,val_loss\n0.5,2,0.25,3\n0.75,1,0.5,2\n"
    assert columns(read_history(written(tmp_path, "history.csv", text))) == {
        "epoch": [1, 2], "train_loss": [2, 1], "heldout_loss": [3, 2],
        "train_accuracy": [0.5, 0.75], "heldout_accuracy": [0.25, 0.5],
    }  # fmt: skip


def test_rows_that_end_early_or_with_a_separator(tmp_path: Path) -> None:
    text = "epoch,loss,val_loss,lr\n1,2,3,\n2,1,2,0.1,\n\n3,0.5\n"
    table = read_history(written(tmp_path, "h.csv", text))
    assert table["train_loss"].tolist() == [2, 1, 0.5]
    assert table["heldout_loss"].tolist()[:2] == [3, 2]
    assert table["lr"].tolist()[1] == 0.1


def test_a_run_that_diverged_stays_visible(tmp_path: Path) -> None:
    text = "epoch,train_loss,val_loss\n1,1.0,1.5\n2,nan,inf\n3,NaN,\n"
    table = read_history(written(tmp_path, "h.csv", text))
    assert math.isnan(table["train_loss"][1])
    assert math.isinf(table["heldout_loss"][1])
    assert table["epoch"].tolist() == [1, 2, 3]


def test_of_an_epoch_told_twice_the_later_counts(tmp_path: Path) -> None:
    text = "epoch,train_loss,val_loss\n1,9,9\n2,8,8\n2,1,2\n3,0.5,1.5\n"
    table = read_history(written(tmp_path, "h.csv", text))
    assert columns(table) == {
        "epoch": [1, 2, 3], "train_loss": [9, 1, 0.5], "heldout_loss": [9, 2, 1.5],
    }  # fmt: skip


def test_deits_log_with_a_cut_off_last_line(tmp_path: Path) -> None:
    rows = [
        {"train_lr": 0.1, "train_loss": 6.9, "test_loss": 6.5, "test_acc1": 1.6, "epoch": 0},
        {"train_lr": 0.2, "train_loss": 6.5, "test_loss": 6.0, "test_acc1": 4.0, "epoch": 1},
    ]
    text = "\n".join(json.dumps(row) for row in rows) + '\n{"train_lr": 0.1, "tra'
    assert columns(read_history(written(tmp_path, "log.txt", text))) == {
        "epoch": [0, 1], "train_loss": [6.9, 6.5], "heldout_loss": [6.5, 6.0],
        "heldout_accuracy": [0.016, 0.04], "lr": [0.1, 0.2],
    }  # fmt: skip


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "log.jsonl", '{"epoch": 1}\nnonsense\n{"epoch": 2}\n')
    with pytest.raises(DataError, match=r"log\.jsonl:2: not a JSON object"):
        read_history(path)


def test_the_trainers_log(tmp_path: Path) -> None:
    log = [
        {"loss": 2.0, "learning_rate": 1e-4, "epoch": 0.5, "step": 5},
        {"loss": 1.0, "learning_rate": 5e-5, "epoch": 1.0, "step": 10},
        {"eval_loss": 1.75, "eval_accuracy": 0.5, "epoch": 1.0, "step": 10},
        {"loss": 0.5, "learning_rate": 1e-5, "epoch": 1.9999999, "step": 20},
        {"eval_loss": 1.25, "eval_accuracy": 0.75, "epoch": 2.0, "step": 20},
        {"train_runtime": 9.0, "train_loss": 1.2, "epoch": 2.0, "step": 20},
    ]
    text = json.dumps({"log_history": log, "epoch": 2.0})
    assert columns(read_history(written(tmp_path, "trainer_state.json", text))) == {
        "epoch": [1, 2], "train_loss": [1.5, 0.5], "heldout_loss": [1.75, 1.25],
        "heldout_accuracy": [0.5, 0.75], "lr": [5e-5, 1e-5],
    }  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [
        {"loss": [2, 1], "val_loss": [3, 2], "note": ["odd"]},
        [{"loss": 2, "val_loss": 3}, {"loss": 1, "val_loss": 2}],
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_json_by_column_or_by_row(tmp_path: Path, value: Any, indent: int | None) -> None:
    path = written(tmp_path, "history.json", json.dumps(value, indent=indent))
    table = read_history(path)
    assert columns(table) == {"epoch": [1, 2], "train_loss": [2, 1], "heldout_loss": [3, 2]}


@pytest.mark.parametrize(
    ("name", "text", "said", "hint"),
    [
        ("h.csv", "", "the file is empty", "one row an epoch"),
        ("h.csv", "epoch,train_loss,val_loss\n", "no rows", ""),
        ("h.csv", "epoch,train_loss,hedlout_loss\n1,2,3\n",
         "no column for heldout_loss; found: epoch, train_loss, hedlout_loss",
         "rename 'hedlout_loss' to heldout_loss"),
        ("h.csv", "epoch,val_loss\n1,2\n", "no column for train_loss; found: epoch, val_loss", ""),
        ("h.csv", "epoch,loss,val_loss\n1,2,3\n2,two,3\n",
         "row 2 of column 'loss': 'two' is no number", "leave the cell empty"),
        ("h.csv", "epoch,loss,val_loss\n1,,\n2,,\n", "the loss columns are empty", ""),
        ("h.csv", "epoch,loss,val_loss\n1,2,3\n2,1,2,7\n",
         "h.csv:3: 4 cells in a table of 3 columns", "name every column"),
        ("h.csv", "epoch,loss,val_loss\n" + "1" * 200_000, "not a table: field larger", ""),
        ("h.json", "{", "damaged JSON", "write the file again"),
        ("h.json", '{"a": 1}', "neither rows nor columns", ""),
        ("trainer_state.json", '{"log_history": nonsense}', "damaged JSON", ""),
        ("trainer_state.json", '{"log_history": []}', "no rows", ""),
        ("log.txt", "Epoch 1 done\nEpoch 2 done\n", "no learning curves in a known format", "csv"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_the_columns_found(
    tmp_path: Path, name: str, text: str, said: str, hint: str
) -> None:
    path = written(tmp_path, name, text)
    with pytest.raises(DataError) as caught:
        read_history(path)
    assert said in caught.value.message
    assert str(path) in caught.value.message
    assert hint in caught.value.hint


def test_what_is_no_text_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_history(tmp_path / "none.csv")
    with pytest.raises(DataError, match="not a regular file"):
        read_history(tmp_path)
    path = tmp_path / "h.csv"
    path.write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(DataError, match="not a text file"):
        read_history(path)


def test_two_columns_of_one_name() -> None:
    table = pd.DataFrame([[1, 2, 3, 4]], columns=["epoch", "loss", "loss", "val_loss"])
    with pytest.raises(DataError, match="two columns are named 'loss'"):
        normalised(table, "frame")


def test_formats_are_asked_in_a_total_order() -> None:
    orders = [f.order for f in all_formats()]
    assert orders == sorted(set(orders))
    assert len(orders) == len(plugin_names("gapdoctor.loading.history"))


CURVES = {"train_loss": [2.0, 1.0], "heldout_loss": [3.0, 2.5]}


def checkpoint(folder: Path, **content: Any) -> Any:
    torch.save({"model": nn.Linear(2, 2).state_dict(), **content}, folder / "student.pth")
    return read_checkpoint(folder / "student.pth")


@pytest.mark.parametrize(
    ("content", "source"),
    [
        ({"history": CURVES}, "history"),
        ({"history": [{"loss": 2.0, "val_loss": 3.0}, {"loss": 1.0, "val_loss": 2.5}]}, "history"),
        ({"train_results": {"epoch": [1, 2], "train/loss": [2, 1], "val/loss": [3, 2.5]}},
         "train_results"),
        ({"log_history": [{"loss": 2.0, "epoch": 1.0}, {"eval_loss": 3.0, "epoch": 1.0},
                          {"loss": 1.0, "epoch": 2.0}, {"eval_loss": 2.5, "epoch": 2.0}]},
         "log_history"),
        ({"train_losses": [2.0, 1.0], "val_losses": torch.tensor([3.0, 2.5])}, "its own lists"),
    ],
)  # fmt: skip
def test_curves_inside_a_checkpoint(tmp_path: Path, content: Any, source: str) -> None:
    written(tmp_path, "history.csv", "epoch,loss,val_loss\n1,9,9\n")
    table = recover_history(checkpoint(tmp_path, **content))
    assert table is not None
    assert columns(table) == {"epoch": [1, 2], **CURVES}
    assert table.attrs["source"] == f"the checkpoint ({source})"


def test_curves_in_a_bundle(tmp_path: Path) -> None:
    path = tmp_path / "b.pth"
    gapdoctor.save_bundle(path, student=nn.Linear(2, 2), history=pd.DataFrame(CURVES))
    table = recover_history(read_checkpoint(path))
    assert table is not None
    assert columns(table) == {"epoch": [1, 2], **CURVES}


@pytest.mark.parametrize("name", ["history.csv", "metrics.csv", "summary.csv", "log.txt"])
def test_curves_beside_a_checkpoint(tmp_path: Path, name: str) -> None:
    written(tmp_path, name, "epoch,loss,val_loss\n1,2,3\n2,1,2.5\n")
    table = recover_history(checkpoint(tmp_path, history="not curves", metrics={"loss": [1.0]}))
    assert table is not None
    assert columns(table) == {"epoch": [1, 2], **CURVES}
    assert table.attrs["source"] == name


def test_no_curves_anywhere(tmp_path: Path) -> None:
    written(tmp_path, "results.csv", "name,score\nx,1\n")
    (tmp_path / "log.txt").mkdir()
    assert recover_history(checkpoint(tmp_path)) is None
