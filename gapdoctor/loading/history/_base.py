"""What every history format is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from gapdoctor.discovery import find_plugins

if TYPE_CHECKING:
    import pandas as pd


class HistoryFormat(ABC):
    """A way to write learning curves to a file.

    A subclass sits alone in a file of this folder that bears its `name`.
    """

    name: ClassVar[str]
    order: ClassVar[int]
    """Formats are asked in this order; the first that claims the file reads it."""

    @abstractmethod
    def claims(self, path: Path, text: str) -> bool:
        """Tell by name and content whether the file is of this format."""

    @abstractmethod
    def read(self, path: Path, text: str) -> pd.DataFrame:
        """Return the table as it stands in the file.

        Raises
        ------
        DataError
            When the file is damaged.
        """


def all_formats() -> list[HistoryFormat]:
    """Return every format found in this folder, in the order of asking."""
    found = find_plugins("gapdoctor.loading.history", HistoryFormat)
    return sorted(found, key=lambda f: (f.order, f.name))
