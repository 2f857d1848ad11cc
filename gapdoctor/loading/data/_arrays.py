"""Inputs and labels among the named arrays of one file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from gapdoctor.errors import DataError
from gapdoctor.loading.data._base import Known, SplitData
from gapdoctor.loading.data._classes import class_indices

INPUTS = ("x", "X", "images", "data", "inputs")
LABELS = ("y", "Y", "labels", "targets")


def pick(names: Collection[str], who: str, known: Known) -> tuple[str, str]:
    """Return the names of the inputs' and the labels' array.

    Raises
    ------
    DataError
        When one is missing, or several could be meant; lists the arrays found.
    """
    return (
        _one_of(names, (known.keys[0], *INPUTS), "inputs", who),
        _one_of(names, (known.keys[1], *LABELS), "labels", who),
    )


def split_of(arrays: Mapping[str, Any], who: str, known: Known) -> SplitData:
    """Return the split that two named arrays hold, inputs first, one entry a row.

    Raises
    ------
    DataError
        When they are of unequal length.
    """
    (x, inputs), (y, labels) = arrays.items()
    if min(inputs.ndim, labels.ndim) == 0 or len(inputs) != len(labels):
        raise DataError(
            f"{who}: {x!r} has shape {tuple(inputs.shape)}, {y!r} has {tuple(labels.shape)}",
            "both arrays need one entry a row",
        )
    indices, classes = class_indices(labels, f"{who}: {y!r}", known)
    return SplitData((inputs, indices), classes)


def _one_of(found: Collection[str], names: tuple[str, ...], role: str, who: str) -> str:
    wanted, *usual = names
    fitting = [wanted] if wanted in found else [name for name in usual if name in found]
    if len(fitting) == 1:
        return fitting[0]
    key = "input" if role == "inputs" else "label"
    listed = ", ".join(f"{name!r}" for name in sorted(found)) or "nothing"
    raise DataError(
        f"{who}: {'no' if not fitting else 'several'} {role} among the arrays found: {listed}",
        f'call them one of {", ".join(usual)}, or name the array: [data] {key} = "…"',
    )
