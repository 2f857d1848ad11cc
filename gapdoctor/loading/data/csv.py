"""Comma-separated tables."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from gapdoctor.errors import DataError
from gapdoctor.loading.data._base import Known, Source, SplitData
from gapdoctor.loading.data._table import split_of


class Csv(Source):
    """A table with a header line, a row a sample.

    The label column is called `label`, `target`, `y` or `class` (the first of these that is
    there), or as `[data] label` says; the other numeric columns are the features, in the file's
    order. A raw sample is a 1-D float32 row. Labels that are names become indices of the sorted
    train names.
    """

    name: ClassVar[str] = "csv"
    form: ClassVar[str] = "a .csv file"

    def accepts(self, path: Path) -> bool:
        """Whether it is a `.csv` file."""
        return path.suffix.lower() == ".csv" and path.is_file()

    def read(self, path: Path, who: str, known: Known) -> SplitData:
        """Read a split."""
        import pandas as pd

        try:
            frame = pd.read_csv(path)
        except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
            raise DataError(
                f"{who}: cannot be read: {error}", "write a header line and a row a sample"
            ) from error
        return split_of(frame, who, known)
