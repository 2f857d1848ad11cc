"""Columns in another order."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from gapdoctor.corrections._argument import numbers, written
from gapdoctor.corrections._base import Candidate, Context, Correction, Kind
from gapdoctor.corrections._statistics import Statistics, per_channel
from gapdoctor.errors import DataError

_MOST_COLUMNS = 1024  # the assignment takes a second there, and grows with the third power
_STAYING = 0.05  # deviations: columns that are alike stay where they are
_OFF = 0.25  # deviations: what a few hundred rows do not put between two samples of one column
_GAIN = 0.1  # deviations a moved column: less is noise of a few hundred rows

Signatures = tuple[torch.Tensor, torch.Tensor]
"""What a column is known by: quantiles (d, 21) and class means (d, K)."""


class PermuteColumns(Correction):
    """The columns are in another order than in training.

    A table written anew with sorted or shuffled columns. Each place takes the held-out column
    that is nearest to its train column: by the quantiles, and by the mean of each class, in the
    train column's standard deviations, one to one with the least sum (Kuhn 1955). Tried only where
    columns move and at least halve their distance by it; each moved column is one fitted number.
    The argument is the number of the held-out column for each place.

    Where the columns were standardised after they were mixed up, by the numbers of the places where
    they stood, they are also compared with mean 0 and deviation 1 each, and those that move also
    get their train column's mean and deviation:
    `ORDER; FACTORS; OFFSETS`, three fitted numbers a moved column. Columns of one shape that say
    nothing of the class cannot be told apart, and hardly matter.
    """

    name: ClassVar[str] = "permute_columns"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.COLUMNS})

    def candidates(self, context: Context) -> list[Candidate]:
        """Return the best order and the best order of shapes, where these are credible."""
        train, heldout = context.train, context.heldout
        if not 1 < len(train.mean) <= _MOST_COLUMNS:
            return []
        order = _order(_signatures(train), _signatures(heldout), _scale(train))
        if order is not None and not _are_off(order, train, heldout):
            return [self.parse(written(order))]
        # Columns that stand in another's mean and deviation may be found either way.
        shaped = _order(_shapes(train), _shapes(heldout), torch.ones_like(train.std))
        found = [] if order is None else [written(order)]
        rescaled = [_with_affine(o, train, heldout) for o in (order, shaped) if o is not None]
        return [self.parse(argument) for argument in (*found, *dict.fromkeys(rescaled))]

    def parse(self, argument: str) -> Candidate:
        """Return the candidate of `ORDER` or `ORDER; FACTORS; OFFSETS`."""
        order, *affine = (numbers(side) for side in argument.split(";"))
        places = [int(place) for place in order]
        if sorted(order) != list(range(len(order))):
            raise ValueError("takes each column number from 0 once")
        if affine and [len(side) for side in affine] != [len(order)] * 2:
            raise ValueError("takes the order; as many factors; as many offsets")
        moved = sum(place != at for at, place in enumerate(places))

        def undo(batch: torch.Tensor) -> torch.Tensor:
            if batch.shape[1] != len(places):
                raise DataError(
                    f"permute_columns: an order of {len(places)} columns for {batch.shape[1]}",
                    "name each column of a sample once",
                )
            back = batch[:, places]
            if not affine:
                return back
            return back * per_channel(affine[0], back) + per_channel(affine[1], back)

        label = f"{moved} columns put back in order" + (" and rescaled" if affine else "")
        fitted = moved * (3 if affine else 1)
        return Candidate(self.name, argument, label, fitted, undo=undo)


def _order(train: Signatures, heldout: Signatures, scale: torch.Tensor) -> list[int] | None:
    """Return the held-out column for each place, or None where no order is credible."""
    distance = sum(map(_distances, train, heldout), torch.zeros(()))
    costs = (distance / scale[:, None]).numpy()
    places, columns = linear_sum_assignment(costs + _STAYING * (1 - np.eye(len(costs))))
    moved = places != columns
    before, after = costs.diagonal()[moved], costs[places, columns][moved]
    credible = moved.any() and after.sum() < 0.5 * before.sum() and (before - after).mean() > _GAIN
    return [int(column) for column in columns] if credible else None


def _scale(rows: Statistics) -> torch.Tensor:
    """Return deviations (C,); of columns of one value, the mean deviation of all."""
    varied = rows.std > 1e-6 * rows.mean.abs()
    return torch.where(varied, rows.std, rows.std.mean().clamp(min=1e-12))


def _distances(train: torch.Tensor, heldout: torch.Tensor) -> torch.Tensor:
    """Return (d, d): mean absolute difference of each pair of rows, over what both know."""
    known = torch.isfinite(train).all(dim=0) & torch.isfinite(heldout).all(dim=0)
    count = max(1, int(known.sum()))
    return torch.cdist(train[:, known].double(), heldout[:, known].double(), p=1) / count


def _signatures(rows: Statistics) -> Signatures:
    return rows.quantiles, rows.class_means


def _shapes(rows: Statistics) -> Signatures:
    """Return signatures with mean 0 and deviation 1 a column."""
    mean, deviation = rows.mean[:, None], torch.where(rows.std > 0, rows.std, 1.0)[:, None]
    return (rows.quantiles - mean) / deviation, (rows.class_means - mean) / deviation


def _are_off(order: list[int], train: Statistics, heldout: Statistics) -> bool:
    """Whether another mean and deviation brings columns that move much nearer in their new place.

    By the quantiles: the deviation of a column with a long tail is little known.
    """
    moved = torch.tensor(order) != torch.arange(len(order))
    factors, offsets = _affine(order, train, heldout)
    have = heldout.quantiles[order]
    made = have * factors[:, None] + offsets[:, None]
    scale = _scale(train)
    before, after = (
        (values - train.quantiles).abs().mean(dim=1) / scale for values in (have, made)
    )
    return bool((moved & (before > _OFF) & (after < 0.5 * before)).any())


def _affine(
    order: list[int], train: Statistics, heldout: Statistics
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return factors and offsets (d,) that give columns which move their train mean, deviation."""
    mean, std = heldout.mean[order], heldout.std[order]
    moved = torch.tensor(order) != torch.arange(len(order))  # the others are as they were
    factors = torch.where((std > 0) & (train.std > 0) & moved, train.std / std, 1.0)
    return factors, torch.where(moved, train.mean - factors * mean, 0.0)


def _with_affine(order: list[int], train: Statistics, heldout: Statistics) -> str:
    factors, offsets = _affine(order, train, heldout)
    return "; ".join(written(side) for side in (order, factors.tolist(), offsets.tolist()))
