"""Comma-separated learning curves."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from gapdoctor.errors import DataError
from gapdoctor.loading.history._base import HistoryFormat

if TYPE_CHECKING:
    import pandas as pd

_SEPARATORS = (",", "\t", ";")


class Csv(HistoryFormat):
    """A header and a row an epoch: by hand, Lightning, timm, ultralytics, Keras.

    Separated by commas, tabs or semicolons; spaces around headers do no harm.
    """

    name: ClassVar[str] = "csv"
    order: ClassVar[int] = 40

    def claims(self, path: Path, text: str) -> bool:
        """Tell by the ending, or by a first line that names an epoch or a loss."""
        first = text.partition("\n")[0].lower()
        headed = any(s in first for s in _SEPARATORS) and ("epoch" in first or "loss" in first)
        return path.suffix.lower() in (".csv", ".tsv") or headed

    def read(self, path: Path, text: str) -> pd.DataFrame:
        """Read every cell as text; what is a number is decided column by column."""
        import pandas as pd

        first = text.partition("\n")[0]
        separator = max(_SEPARATORS, key=first.count)
        try:
            rows = list(csv.reader(io.StringIO(text), delimiter=separator))
        except csv.Error as error:
            raise DataError(f"{path}: not a table: {error}", "give one row an epoch") from error
        header = [cell.strip() for cell in rows[0]]
        cells = [
            _cells(row, len(header), f"{path}:{number}")
            for number, row in enumerate(rows[1:], 2)
            if any(cell.strip() for cell in row)
        ]
        return pd.DataFrame(cells, columns=header, dtype="string")


def _cells(row: list[str], width: int, place: str) -> list[str]:
    if any(cell.strip() for cell in row[width:]):
        raise DataError(
            f"{place}: {len(row)} cells in a table of {width} columns", "name every column"
        )
    return [*row[:width], *[""] * (width - len(row))]
