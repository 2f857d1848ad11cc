"""A table of numbers: one label column, the other numeric columns are features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gapdoctor.errors import DataError
from gapdoctor.loading.data._base import Known, SplitData
from gapdoctor.loading.data._classes import class_indices

if TYPE_CHECKING:
    import pandas as pd

LABELS = ("label", "target", "y", "class")


def split_of(frame: pd.DataFrame, who: str, known: Known) -> SplitData:
    """Return float32 rows (n, features) and labels (n,).

    A nameless first column, which pandas writes of an index, is no feature.

    Raises
    ------
    DataError
        When there is no label column, a label is missing, or no other column is numeric.
    """
    frame = frame.rename(columns=str)
    label = _label_column(list(frame.columns), who, known)
    features: list[str] = []
    ignored: list[str] = []
    for name in frame.columns:
        if name != label:
            is_feature = _is_numeric(frame[name]) and not name.startswith("Unnamed: ")
            (features if is_feature else ignored).append(name)
    if not features or len(frame) == 0:
        missing = "rows" if features else "numeric column beside the label"
        raise DataError(f"{who}: no {missing}", f"columns found: {', '.join(frame.columns[:12])}")
    rows = frame[features].to_numpy(dtype=np.float32)
    labels, classes = class_indices(_labels(frame[label], who), f"{who}: column {label!r}", known)
    notes = (f"{who}: columns left out: {', '.join(ignored)}.",) if ignored else ()
    return SplitData((rows, labels), classes, tuple(features), notes)


def _label_column(columns: list[str], who: str, known: Known) -> str:
    lower = {name.strip().lower(): name for name in reversed(columns)}
    for name in (known.keys[1].lower(), *LABELS):
        if name in lower:
            return lower[name]
    raise DataError(
        f"{who}: no label column among {', '.join(columns[:12])}",
        f'call it one of {", ".join(LABELS)}, or name it: [data] label = "…"',
    )


def _labels(column: pd.Series[Any], who: str) -> Any:
    missing = np.flatnonzero(column.isna().to_numpy())
    if len(missing):
        raise DataError(
            f"{who}: row {missing[0]} has no label ({len(missing)} such)", "leave these rows out"
        )
    return column.to_numpy() if _is_numeric(column) else column.astype(str).to_numpy(dtype=object)


def _is_numeric(column: pd.Series[Any]) -> bool:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return is_numeric_dtype(column) or is_bool_dtype(column)
