"""Class order: does another numbering of the classes fit better?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from gapdoctor.domain.findings import Floats

Order = NDArray[np.int64]
"""(C,): `order[predicted class] = class meant`."""

# Far below one row: among orders that fit alike, the one that moves the fewest classes wins.
_PREFER_STAYING = 1e-6


@dataclass(frozen=True, slots=True)
class OrderReading:
    """The numbering that fits best on rows that chose it, and how it does on rows that did not."""

    order: Order
    """(C,): `order[predicted class] = class meant`; the identity where nothing fits better."""
    offset: int | None
    """k where the order is "k added to every class" (cyclic), else None; 0 for the identity."""
    moved: int
    """Classes that the order moves."""
    before: Floats
    """(n_B,) 1 where the prediction is right as it stands."""
    after: Floats
    """(n_B,) 1 where it is right with the order applied."""


def confusion(predicted: ArrayLike, meant: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Return counts (C, C), row: class meant, column: class predicted."""
    rows = np.asarray(meant, dtype=np.int64)
    flat = rows * classes + np.asarray(predicted, dtype=np.int64)
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)


def best_order(counts: ArrayLike) -> Order:
    """Return the one-to-one order with the most rows right (Kuhn 1955, the Hungarian method).

    Parameters
    ----------
    counts : array (C, C)
        From `confusion`. Classes without rows stay where they are, as far as they can.
    """
    table = np.asarray(counts, dtype=np.float64)
    gain = table + _PREFER_STAYING * np.eye(len(table))
    meant, predicted = optimize.linear_sum_assignment(gain, maximize=True)
    order = np.empty(len(table), dtype=np.int64)
    order[predicted] = meant
    return order


def read_order(
    predicted_a: ArrayLike,
    meant_a: ArrayLike,
    predicted_b: ArrayLike,
    meant_b: ArrayLike,
    classes: int,
) -> OrderReading:
    """Choose an order on half A and score it on half B.

    The identity and the offsets by one (a background class more or less) come before the free
    order where they fit A as well.

    Parameters
    ----------
    predicted_a, meant_a : integer array (n_A,)
        Predictions and labels (or the teacher's predictions) of the rows that choose.
    predicted_b, meant_b : integer array (n_B,)
        The same of the rows that report.
    classes : int
        C.
    """
    counts = confusion(predicted_a, meant_a, classes)
    identity = np.arange(classes, dtype=np.int64)
    candidates = [
        (0, identity),
        (1, (identity + 1) % classes),
        (-1, (identity - 1) % classes),
        (None, best_order(counts)),
    ]
    # max keeps the first of equals: the most specific order.
    offset, order = max(candidates, key=lambda c: int(counts[c[1], identity].sum()))
    guess = np.asarray(predicted_b, dtype=np.int64)
    meant = np.asarray(meant_b, dtype=np.int64)
    return OrderReading(
        order=order,
        offset=offset,
        moved=int((order != identity).sum()),
        before=(guess == meant).astype(np.float64),
        after=(order[guess] == meant).astype(np.float64),
    )


def reorder(logits: ArrayLike, order: ArrayLike) -> Floats:
    """Return logits (n, C) with each column moved to the class that it means."""
    scores = np.asarray(logits, dtype=np.float64)
    moved = np.empty_like(scores)
    moved[:, np.asarray(order, dtype=np.int64)] = scores
    return moved
