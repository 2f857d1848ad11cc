"""The rows of both splits: opened, ordered, halved."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gapdoctor.errors import DataError
from gapdoctor.observe.case import Split
from gapdoctor.observe.inputs import CACHE_BYTES, Inputs
from gapdoctor.observe.outputs import SplitRows
from gapdoctor.observe.pipelines import Prepared
from gapdoctor.observe.rows import Rows
from gapdoctor.observe.sampling import choosing_half, reading_order

Order = NDArray[np.int64]


def seeded(seed: int, name: str) -> np.random.Generator:
    """Return the generator of that seed and name; the same at each call."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def parts_of(data: Prepared, split: Split) -> list[Rows]:
    """Return the data sets of a split: test's rows stand behind those of held-out."""
    if split is Split.TRAIN:
        return [data.train]
    return [data.heldout] if data.test is None else [data.heldout, data.test]


def orders_of(data: Prepared, seed: int) -> dict[Split, list[Order]]:
    """Return the order in which the rows of each part are read."""
    return {
        split: [
            reading_order(part.count, part.labels, seeded(seed, f"order of {part.name}"))
            for part in parts_of(data, split)
        ]
        for split in Split
    }


def open_inputs(data: Prepared, orders: dict[Split, list[Order]]) -> dict[Split, Inputs]:
    """Return what prepares the rows of each split; both share one cache budget."""
    budget = [CACHE_BYTES]
    distinct = {name: p for name, p in data.pipelines.items() if data.same[name] == name}
    return {
        split: Inputs(
            list(zip(parts_of(data, split), orders[split], strict=True)), distinct, budget
        )
        for split in Split
    }


def split_rows(
    split: Split, labels: Sequence[Order], index: Sequence[Order], groups: Sequence[object] | None
) -> SplitRows:
    """Return labels, halves and groups of the rows read of a split.

    Parameters
    ----------
    split : Split
        Which.
    labels, index : sequences of (n_part,) arrays
        A part each: held-out, and test behind it.
    groups : sequence or None
        One id a row of the held-out data set.
    """
    rows, numbers = np.concatenate(labels), np.concatenate(index)
    from_test = np.repeat(np.arange(len(index)) == 1, [len(i) for i in index])
    if split is Split.TRAIN:
        return SplitRows(rows, numbers, np.ones(len(rows), dtype=bool), from_test, None)
    ids = _groups(index, groups)
    if len(index) == 2:
        return SplitRows(rows, numbers, ~from_test, from_test, ids)
    half = choosing_half(numbers, None if ids is None else list(ids))
    return SplitRows(rows, numbers, half, from_test, ids)


def _groups(index: Sequence[Order], groups: Sequence[object] | None) -> NDArray[np.object_] | None:
    if groups is None:
        return None
    ids = np.array([str(groups[int(i)]) for i in index[0]], dtype=object)
    if len(index) == 1:
        return ids
    alone = np.array([f"test {i}" for i in index[1]], dtype=object)  # a group of its own each
    return np.concatenate([ids, alone])


def check_groups(groups: Sequence[object] | None, heldout_rows: int) -> None:
    """Raise DataError where there is not one group id a held-out row."""
    if groups is not None and len(groups) != heldout_rows:
        raise DataError(
            f"data.groups: {len(groups)} ids for {heldout_rows} held-out rows",
            "give one id a held-out row",
        )


def check_halves(rows: SplitRows) -> None:
    """Raise DataError where chance or few groups leave no held-out row to report on."""
    if not rows.reporting.any():
        whole = "" if rows.groups is None else f" of {len(set(rows.groups.tolist()))} groups"
        raise DataError(
            f"data.heldout: all {len(rows.labels)} rows{whole} fall into the half that chooses; "
            "none is left to report on",
            "give more held-out rows, more groups, or [data] test",
        )
