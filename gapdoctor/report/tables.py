"""Reads the tables of a diagnosis; a missing table or column is no error."""

from __future__ import annotations

import math
from typing import Any

from gapdoctor.domain.diagnosis import Diagnosis

Row = dict[str, Any]

_SMALLEST, _LARGEST = 1e-100, 1e100
"""Beyond them a logarithmic axis overflows."""


def rows_of(diagnosis: Diagnosis, name: str, *needed: str) -> list[Row]:
    """Return the rows of a table as dicts; none where the table or a needed column is missing."""
    table = diagnosis.tables.get(name)
    if table is None or not set(needed) <= set(table.columns):
        return []
    return table.records()


def real(value: Any) -> float:
    """Return `value` as a float that a chart can place; NaN where it is no such number."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    if abs(found) < _SMALLEST:
        return 0.0
    return found if abs(found) <= _LARGEST else math.nan


def finite(value: Any) -> bool:
    """Return whether `value` is a number that a chart can place."""
    return math.isfinite(real(value))
