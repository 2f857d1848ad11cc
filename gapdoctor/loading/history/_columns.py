"""One table of learning curves out of many ways to name its columns."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gapdoctor.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("epoch", "train_loss", "heldout_loss", "train_accuracy", "heldout_accuracy", "lr")

_TRAIN = ("train", "training", "tr", "")
_HELDOUT = ("heldout", "held_out", "val", "valid", "validation", "eval", "dev", "test")
"""The first that is there counts: a run that logs both `val_` and `test_` chose by `val_`."""
_LOSS = ("loss_epoch", "loss", "losses", "loss_step")
_ACCURACY = (
    "accuracy_epoch", "acc_epoch", "accuracy", "acc", "acc1", "acc_1", "top1", "top_1",
    "accuracy_top1", "accuracies", "accs", "accuracy_step", "acc_step",
)  # fmt: skip
_EPOCH = ("epoch", "epochs", "ep")
_RATE = ("lr", "learning_rate", "train_lr", "lr_pg0", "lrs", "learning_rates")
_RATE_OF = re.compile(r"lr_[a-z]*(sgd|adam|adamw|nadam|radam|rmsprop)(_pg1)?")
"""Lightning's monitor names the optimizer: `lr-AdamW`."""
_EXTRA = {"heldout_accuracy": ("metrics_accuracy_top1",)}
_PERCENT = 1.5
"""An accuracy above this is in percent; rounding may lift a share a little above 1."""


def normalised(raw: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return `raw` with gapdoctor's columns, one row an epoch.

    Parameters
    ----------
    raw : DataFrame
        Columns as the trainer named them, with `val_`, `eval_`, `valid_` or `test_` for held-out;
        rows may be sparse (Lightning), several an epoch.
    name : str
        The file, for messages.

    Returns
    -------
    DataFrame
        `epoch, train_loss, heldout_loss[, train_accuracy, heldout_accuracy, lr]`; accuracies as
        shares, losses as logged. `attrs["columns"]` tells which column each came from.

    Raises
    ------
    DataError
        When a loss is not there, or a cell of a used column is no number.
    """
    import pandas as pd

    if raw.empty:
        raise DataError(f"{name}: no rows", "give one row an epoch")
    chosen = _chosen([str(c) for c in raw.columns])
    for needed in ("train_loss", "heldout_loss"):
        if needed not in chosen:
            raise DataError(
                f"{name}: no column for {needed}; found: {_listed(raw.columns)}",
                _hint(needed, raw.columns),
            )
    raw = raw.set_axis([str(c) for c in raw.columns], axis="columns")
    table = pd.DataFrame({to: _numbers(raw, column, name) for to, column in chosen.items()})
    if "epoch" not in table:
        table.insert(0, "epoch", range(1, len(table) + 1))
    table = _one_row_an_epoch(table, name)
    for column in ("train_accuracy", "heldout_accuracy"):
        if column in table and table[column].max() > _PERCENT:
            table[column] = table[column] / 100
    table.attrs["columns"] = chosen
    return table


def _chosen(columns: list[str]) -> dict[str, str]:
    by_key: dict[str, str] = {}
    for column in columns:
        by_key.setdefault(_key(column), column)
    tries = {
        "epoch": _EPOCH,
        "train_loss": _names(_TRAIN, _LOSS),
        "heldout_loss": _names(_HELDOUT, _LOSS),
        "train_accuracy": _names(_TRAIN, _ACCURACY),
        "heldout_accuracy": (*_names(_HELDOUT, _ACCURACY), *_EXTRA["heldout_accuracy"]),
        "lr": (*_RATE, *(key for key in by_key if _RATE_OF.fullmatch(key))),
    }
    found = {
        to: next((by_key[n] for n in names if n in by_key), None) for to, names in tries.items()
    }
    return {to: column for to, column in found.items() if column is not None}


def _names(prefixes: tuple[str, ...], endings: tuple[str, ...]) -> tuple[str, ...]:
    before = [f"{p}_{e}" if p else e for p in prefixes for e in endings]
    after = [f"{e}_{p}" for p in prefixes if p for e in ("loss", "acc", "accuracy") if e in endings]
    return (*before, *after)


def _key(column: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", column.strip().lower()).strip("_")


def _numbers(raw: pd.DataFrame, column: str, name: str) -> pd.Series[float]:
    import pandas as pd

    values = raw[column]
    if isinstance(values, pd.DataFrame):
        raise DataError(f"{name}: two columns are named {column!r}", "give each its own name")
    if pd.api.types.is_numeric_dtype(values):
        return values.astype("float64")
    text = values.astype("string").str.strip()
    numbers = pd.to_numeric(text, errors="coerce").astype("float64")
    said = text.notna() & ~text.str.lower().isin(["", "nan", "none", "null", "na", "n/a", "-"])
    bad = (said & numbers.isna()).to_numpy(dtype=bool).nonzero()[0]
    if len(bad):
        raise DataError(
            f"{name}: row {bad[0] + 1} of column {column!r}: {str(text.iloc[bad[0]])[:40]!r} is no "
            "number",
            "leave the cell empty where nothing was measured",
        )
    return numbers


def _one_row_an_epoch(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Sparse rows of one epoch are joined; of values told twice the later one counts."""
    if table["epoch"].isna().any():
        table = table.assign(epoch=table["epoch"].ffill())
    table = table[table["epoch"].notna()]
    joined = table.groupby("epoch", sort=True).last().reset_index()
    if joined["heldout_loss"].isna().all() and joined["train_loss"].isna().all():
        raise DataError(f"{name}: the loss columns are empty", "give one row an epoch")
    if (joined["epoch"] % 1 == 0).all():
        joined["epoch"] = joined["epoch"].astype("int64")
    return joined[[column for column in COLUMNS if column in joined]]


def _listed(columns: Iterable[object]) -> str:
    names = [str(c) for c in columns]
    return ", ".join(names[:12]) + (", …" if len(names) > 12 else "")


def _hint(needed: str, columns: Iterable[object]) -> str:
    near = difflib.get_close_matches(needed, [str(c) for c in columns], n=1)
    other = "train_loss or loss" if needed == "train_loss" else "heldout_loss or val_loss"
    return f"rename {near[0]!r} to {needed}" if near else f"name one column {other}"
