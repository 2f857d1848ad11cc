"""The order of rows and their batches: by seed and epoch alone, whatever the recipe."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from gapdoctor.training.rows import Indices


def order_of(seed: int, epoch: int, count: int) -> Indices:
    """Return the order (count,) in which an epoch, counted from 0, meets the rows."""
    return np.random.default_rng([seed, epoch]).permutation(count).astype(np.int64)


def batches_of(order: Indices, size: int) -> list[Indices]:
    """Cut an order into batches of `size`; a last batch of one row joins the one before.

    BatchNorm cannot work on a single row. Batches that are meant to be of one row stay so.
    """
    cuts = list(range(size, len(order), size))
    if size > 1 and cuts and len(order) - cuts[-1] == 1:
        cuts.pop()
    return [np.asarray(batch) for batch in np.split(order, cuts)]


def batch_count(count: int, size: int) -> int:
    """Return how many batches an epoch has."""
    whole, rest = divmod(count, size)
    return max(1, whole + (rest > 1))


def parts_of(count: int, rows: int) -> list[slice]:
    """Cut a batch of `count` rows into parts of about equal length, of about `rows` at most.

    A part of one row is avoided where `rows` is more than that.
    """
    parts = -(-count // rows)
    if rows > 1:
        parts = max(1, min(parts, count // 2))
    cuts = np.linspace(0, count, parts + 1).astype(int).tolist()
    return [slice(start, stop) for start, stop in pairwise(cuts)]
