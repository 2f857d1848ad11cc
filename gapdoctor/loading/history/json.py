"""One JSON value: lists by column, or a list of rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from gapdoctor.errors import DataError
from gapdoctor.loading.history._base import HistoryFormat

if TYPE_CHECKING:
    import pandas as pd


class Json(HistoryFormat):
    """`{"train_loss": [...], "val_loss": [...]}` or `[{"epoch": 1, ...}, ...]`, as scripts dump."""

    name: ClassVar[str] = "json"
    order: ClassVar[int] = 20

    def claims(self, path: Path, text: str) -> bool:
        """Tell by the first sign, where the whole text is one JSON value."""
        if text.lstrip()[:1] not in ("{", "["):
            return False
        lines = [line for line in text.splitlines() if line.strip()]
        return path.suffix.lower() == ".json" or len(lines) == 1 or _parsed(lines[0]) is None

    def read(self, path: Path, text: str) -> pd.DataFrame:
        """Read columns or rows."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: damaged JSON", "write the file again") from error
        table = as_table(value)
        if table is None:
            raise DataError(
                f"{path}: neither rows nor columns of equal length",
                'give {"epoch": [1, 2], "train_loss": [...], "heldout_loss": [...]}',
            )
        return table


def as_table(value: Any) -> pd.DataFrame | None:
    """Return plain data as a table: a list of rows, or columns of equal length; else None."""
    import pandas as pd

    if isinstance(value, list):
        rows = [row for row in value if isinstance(row, Mapping)]
        return pd.DataFrame(rows) if rows and len(rows) == len(value) else None
    if not isinstance(value, Mapping):
        return None
    columns = {str(k): v for k, v in value.items() if isinstance(v, list) and v}
    lengths = [len(v) for v in columns.values()]
    if not lengths:
        return None
    usual = max(lengths, key=lengths.count)  # a list of another kind may stand beside the curves
    return pd.DataFrame({k: v for k, v in columns.items() if len(v) == usual})


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
