"""From a file, or from a checkpoint and what lies beside it, to learning curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gapdoctor.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from gapdoctor.loading.checkpoint import Checkpoint

_LIMIT = 64 << 20
_SIDECARS = (
    "history.csv", "metrics.csv", "log.txt", "summary.csv", "results.csv", "trainer_state.json",
    "history.json", "log.jsonl", "metrics.jsonl",
)  # fmt: skip
_INSIDE = (
    "history", "train_results", "log_history", "logs", "log", "train_log", "training_history",
    "metrics", "stats", "curves",
)  # fmt: skip


def read_history(path: Path) -> pd.DataFrame:
    """Read learning curves.

    Parameters
    ----------
    path : Path
        CSV (also Lightning's, timm's, ultralytics'), JSON lines (DeiT's `log.txt`), JSON, or a
        Hugging Face `trainer_state.json`.

    Returns
    -------
    DataFrame
        `epoch, train_loss, heldout_loss[, train_accuracy, heldout_accuracy, lr]`, one row an
        epoch; `attrs["source"]` is the file's name.

    Raises
    ------
    DataError
        Naming the file and, where a column is missing, the columns found.
    """
    from gapdoctor.loading.history._base import all_formats
    from gapdoctor.loading.history._columns import normalised

    text = _text(path)
    found = next((f for f in all_formats() if f.claims(path, text)), None)
    if found is None:
        raise DataError(
            f"{path}: no learning curves in a known format",
            "give a csv with the columns epoch, train_loss, heldout_loss",
        )
    table = normalised(found.read(path, text), str(path))
    table.attrs["source"] = path.name
    return table


def recover_history(checkpoint: Checkpoint) -> pd.DataFrame | None:
    """Return the learning curves inside a checkpoint, else those in a file beside it, else None.

    What cannot be read as curves is passed over: nobody said that it was some.
    `attrs["source"]` tells where they were found.
    """
    for where, raw in _inside(checkpoint.meta):
        found = _curves(raw, where)
        if found is not None:
            return found
    for name in _SIDECARS:
        path = checkpoint.path.parent / name
        if not path.is_file():
            continue
        try:
            return read_history(path)
        except DataError:
            continue
    return None


def _inside(meta: Mapping[str, Any]) -> Iterator[tuple[str, pd.DataFrame | None]]:
    from gapdoctor.loading.history.json import as_table
    from gapdoctor.loading.history.trainer_state import by_epoch

    for key in _INSIDE:
        value = meta.get(key)
        if key == "log_history" and isinstance(value, list):
            yield key, by_epoch(value)
        yield key, as_table(value)
    yield "its own lists", as_table(meta)


def _curves(raw: pd.DataFrame | None, where: str) -> pd.DataFrame | None:
    from gapdoctor.loading.history._columns import normalised

    if raw is None:
        return None
    try:
        table = normalised(raw, where)
    except DataError:
        return None
    table.attrs["source"] = f"the checkpoint ({where})"
    return table


def _text(path: Path) -> str:
    try:
        if not path.exists():
            raise DataError(f"{path}: no such file", "check the path")
        if not path.is_file():
            raise DataError(f"{path}: not a regular file", "name a csv or json file")
        if path.stat().st_size > _LIMIT:
            raise DataError(f"{path}: larger than {_LIMIT >> 20} MiB", "give one row an epoch")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise DataError(f"{path}: {reason}", "name a csv or json file") from error
    if not text.strip():
        raise DataError(f"{path}: the file is empty", "give one row an epoch")
    return text
