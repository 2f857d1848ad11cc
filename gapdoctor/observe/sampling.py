"""Which rows are looked at, in which order, and which half a row is in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FIRST_ROUND = 1_024
"""Rows a split looked at before it is asked whether they are enough; doubled each time."""


def reading_order(
    count: int, labels: NDArray[np.int64] | None, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return a random order of rows of which each prefix is stratified, where labels are known.

    Parameters
    ----------
    count : int
        Rows of the split.
    labels : (count,) array or None
        Class indices; None gives a plain random order.
    rng : Generator
        Seeded.

    Returns
    -------
    (count,) array
        Row numbers. With labels, the k-th of m rows of a class stands near the share k/m, so
        that every prefix holds each class in proportion.
    """
    if labels is None:
        return rng.permutation(count)
    position = np.empty(count)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        position[members] = (np.arange(len(members)) + rng.random(len(members))) / len(members)
    return np.argsort(position, kind="stable").astype(np.int64)


def choosing_half(index: NDArray[np.int64], groups: Sequence[Any] | None) -> NDArray[np.bool_]:
    """Return which held-out rows are in half A: one bit of a hash, whatever the seed.

    Parameters
    ----------
    index : (n,) array
        Row numbers in the held-out data set.
    groups : sequence of n ids, or None
        Where given, the bit is that of the group's id, so that groups stay whole.

    Returns
    -------
    (n,) bool array
        True: half A, which chooses. False: half B, which reports.
    """
    keys: Sequence[Any] = index.tolist() if groups is None else groups
    bits = {key: _bit(key) for key in dict.fromkeys(keys)}
    return np.array([bits[key] for key in keys], dtype=bool)


def _bit(key: Any) -> bool:
    return bool(hashlib.blake2b(str(key).encode(), digest_size=1).digest()[0] & 1)


def rounds(limit: int, batch_size: int) -> list[int]:
    """Return the numbers of rows after which looking may stop: 1,024, doubled, …, `limit`.

    All but the last are multiples of the batch size, so that later passes meet the same batches.
    """
    sizes = []
    size = -(-FIRST_ROUND // batch_size) * batch_size
    while size < limit:
        sizes.append(size)
        size *= 2
    return [*sizes, limit]
