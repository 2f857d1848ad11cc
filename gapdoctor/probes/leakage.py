"""Leakage: held-out rows that stand in train, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gapdoctor.domain.findings import Finding, Floats, Skipped, Warning_
from gapdoctor.observe.case import Split
from gapdoctor.observe.input_statistics import mended_statistics
from gapdoctor.observe.observations import Observations
from gapdoctor.probes._base import Probe
from gapdoctor.stats.neighbours import near_duplicates


@dataclass(frozen=True)
class Leakage(Probe):
    """Are there held-out rows that stand in train, too, so that the gap looks too small?

    Nearest neighbours between a few thousand rows of each split, in a space of simple input
    statistics, each scaled by its deviation over train: a held-out row counts as near-duplicate
    where its nearest train row is much nearer than train rows lie to each other. Natural duplicates
    within train are subtracted. Where only a part of the train rows is looked at, only that part of
    the duplicates can be found, and the limit falls accordingly.

    Nothing is claimed about a cause; the warning says that the measured gap is flattered.
    """

    name: ClassVar[str] = "leakage"
    order: ClassVar[int] = 55

    rows: int = 2_000
    """Rows of each split that are compared."""
    least: int = 100
    """Rows of each split below which nothing is told."""
    share_limit: float = 0.02
    """Share of near-duplicates beyond the usual, whole interval, that is warned of."""

    def examine(self, seen: Observations) -> Finding | Skipped:
        """Look for held-out rows that nearly equal a train row."""
        train, held = (_finite(mended_statistics(seen, split)[: self.rows]) for split in Split)
        if min(len(train), len(held)) < self.least:
            return Skipped(
                self.name, f"{min(len(train), len(held))} rows of a split; duplicates are looked "
                f"for from {self.least} on: give more rows",
            )  # fmt: skip
        there = seen.data.train.length or len(train)
        looked = min(1.0, len(train) / there)
        reading = near_duplicates(*_scaled(train, held))
        if reading.share.low - reading.usual <= self.share_limit * looked:
            return Finding(self.name)
        among = "" if looked == 1.0 else f" among the {len(train)} of {there} looked at"
        statement = (
            f"{reading.share.value:.1%} of the held-out rows ({reading.share.low:.1%} to "
            f"{reading.share.high:.1%}) nearly equal a train row{among}, against "
            f"{reading.usual:.1%} of train rows another one: the gap is flattered."
        )
        return Finding(self.name, warnings=(Warning_("leakage", statement),))


def _finite(rows: Floats) -> Floats:
    return np.asarray(rows[np.isfinite(rows).all(axis=1)])


def _scaled(train: Floats, held: Floats) -> tuple[Floats, Floats]:
    """Both in deviations of the train columns: columns have units of their own."""
    spread = train.std(axis=0)
    varied = spread > 1e-9 * np.maximum(np.abs(train).max(axis=0), 1e-300)
    if not varied.any():  # a single picture over and over: distances are 0 as they are
        return train, held
    return train[:, varied] / spread[varied], held[:, varied] / spread[varied]
