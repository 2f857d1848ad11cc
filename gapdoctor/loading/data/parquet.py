"""Parquet tables."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from gapdoctor.errors import DataError
from gapdoctor.loading.data._base import Known, Source, SplitData
from gapdoctor.loading.data._table import split_of


class Parquet(Source):
    """A Parquet table, a row a sample; its columns are read as those of a `.csv` file.

    Needs pyarrow: `pip install 'gapdoctor[tables]'`.
    """

    name: ClassVar[str] = "parquet"
    form: ClassVar[str] = "a .parquet file"

    def accepts(self, path: Path) -> bool:
        """Whether it is a `.parquet` file."""
        return path.suffix.lower() == ".parquet" and path.is_file()

    def read(self, path: Path, who: str, known: Known) -> SplitData:
        """Read a split."""
        import pandas as pd

        try:
            frame = pd.read_parquet(path)
        except ImportError as error:
            raise DataError(
                f"{who}: Parquet needs pyarrow", "pip install 'gapdoctor[tables]'"
            ) from error
        except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
            raise DataError(f"{who}: cannot be read: {error}", "check the file") from error
        return split_of(frame, who, known)
