"""The log of the Hugging Face Trainer."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from gapdoctor.errors import DataError
from gapdoctor.loading.history._base import HistoryFormat

if TYPE_CHECKING:
    import pandas as pd


class TrainerState(HistoryFormat):
    """`trainer_state.json`: entries every few steps, with fractional epochs.

    Train losses of one epoch are averaged (each is a mean over its own steps); the last entry,
    a summary of the whole run, is left out.
    """

    name: ClassVar[str] = "trainer_state"
    order: ClassVar[int] = 10

    def claims(self, path: Path, text: str) -> bool:
        """Tell by the `log_history` inside."""
        return '"log_history"' in text and text.lstrip().startswith("{")

    def read(self, path: Path, text: str) -> pd.DataFrame:
        """Gather the entries by epoch."""
        try:
            log = json.loads(text)["log_history"]
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            raise DataError(f"{path}: damaged JSON", "copy the file again") from error
        return by_epoch(log if isinstance(log, list) else [])


def by_epoch(log: list[Any]) -> pd.DataFrame:
    """Return a Trainer's `log_history` as one row an epoch."""
    import pandas as pd

    rows = [_row(entry) for entry in log if isinstance(entry, Mapping)]
    table = pd.DataFrame([row for row in rows if row])
    if table.empty:
        return table
    means = [column for column in table if column in ("train_loss", "train_accuracy")]
    how = {c: "mean" if c in means else "last" for c in table if c != "epoch"}
    return table.groupby("epoch", sort=True).agg(how).reset_index()


def _row(entry: Mapping[str, Any]) -> dict[str, float]:
    epoch = entry.get("epoch")
    if not isinstance(epoch, int | float) or not math.isfinite(epoch) or "train_runtime" in entry:
        return {}
    numbers = {k: float(v) for k, v in entry.items() if isinstance(v, int | float)}
    if "loss" in numbers:
        numbers["train_loss"] = numbers.pop("loss")
    return {**numbers, "epoch": float(math.ceil(epoch - 1e-6))}
