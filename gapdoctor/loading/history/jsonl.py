"""One JSON object a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from gapdoctor.errors import DataError
from gapdoctor.loading.history._base import HistoryFormat

if TYPE_CHECKING:
    import pandas as pd


class Jsonl(HistoryFormat):
    """One object an epoch: `log.txt` of DeiT and its relatives, mmengine's `scalars.json`."""

    name: ClassVar[str] = "jsonl"
    order: ClassVar[int] = 30

    def claims(self, path: Path, text: str) -> bool:
        """Tell by a first line that is a whole object."""
        return isinstance(_parsed(text.lstrip().partition("\n")[0]), dict)

    def read(self, path: Path, text: str) -> pd.DataFrame:
        """Read each line; one that was cut off at the end by a crash is left out."""
        import pandas as pd

        lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
        rows = []
        for number, line in lines:
            row = _parsed(line)
            if isinstance(row, dict):
                rows.append(row)
            elif number != lines[-1][0]:
                raise DataError(f"{path}:{number}: not a JSON object", "give one object a line")
        return pd.DataFrame(rows)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
