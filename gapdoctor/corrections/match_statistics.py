"""Another mean and deviation a channel, whatever the reason."""

from __future__ import annotations

from typing import ClassVar

import torch

from gapdoctor.corrections._argument import numbers, parts, written
from gapdoctor.corrections._base import Candidate, Context, Correction, Kind
from gapdoctor.corrections._statistics import per_channel


class MatchStatistics(Correction):
    """Each channel has another mean and standard deviation than in training.

    Undone by a factor and an offset a channel (a column, where samples are rows of columns) that
    give the held-out rows the mean and deviation of the train rows: two fitted numbers a channel,
    the least specific of all corrections. It is named only where no other comes near: it says
    that intensities are off, not why. The argument is the factors, then the offsets.
    """

    name: ClassVar[str] = "match_statistics"
    kinds: ClassVar[frozenset[Kind]] = frozenset(Kind)

    def candidates(self, context: Context) -> list[Candidate]:
        """Return the one candidate, where it would change something."""
        train, heldout = context.train, context.heldout
        varied = (train.std > 0) & (heldout.std > 1e-6 * heldout.mean.abs())
        factors = torch.where(varied, train.std / heldout.std, 1.0)
        offsets = train.mean - factors * heldout.mean
        moved = (train.mean - heldout.mean).abs() > 0.05 * train.std
        if not bool((moved | ((factors - 1).abs() > 0.05)).any()):
            return []
        return [self.parse(f"{written(factors.tolist())}; {written(offsets.tolist())}")]

    def parse(self, argument: str) -> Candidate:
        """Return the candidate of `FACTORS; OFFSETS`, as many of one as of the other."""
        sides = parts(argument, 2, "factors; offsets", separator=";")
        factors, offsets = (numbers(side) for side in sides)
        if len(factors) != len(offsets):
            raise ValueError("takes as many factors as offsets")

        def undo(batch: torch.Tensor) -> torch.Tensor:
            return batch * per_channel(factors, batch) + per_channel(offsets, batch)

        label = "mean and deviation of each channel matched to train"
        return Candidate(self.name, argument, label, 2 * len(factors), undo=undo)
