"""A fix beside what it is compared with, on rows and seeds that both have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gapdoctor.domain.findings import Interval
from gapdoctor.domain.trials import PlannedFix
from gapdoctor.stats.paired import PairedRows, compare_paired
from gapdoctor.verify.arms import Arm, Scores


@dataclass(frozen=True)
class Comparison:
    """A fix that was tried, and the arm that it is compared with.

    That is the control of its start; for a fix that trains nothing, the given student (under the
    free corrections that were verified before it; for `scale_temperature`,
    `Arm.without_temperature()`).
    """

    plan: PlannedFix
    fix: Arm
    control: Arm

    def __post_init__(self) -> None:
        if self.fix.start != self.control.start:
            raise ValueError(
                f"{self.plan.id}: starts from {self.fix.start}, its control {self.control.start}"
            )

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds that both were trained with."""
        return tuple(s for s in self.fix.seeds if s in self.control.seeds)

    def on_a(self) -> PairedRows:
        """Return fix − control on half A, nats."""
        return paired_loss(self.fix.only(self.seeds).a, self.control.only(self.seeds).a, self.seeds)

    def on_b(self) -> PairedRows:
        """Return fix − control on half B, nats."""
        return paired_loss(self.fix.only(self.seeds).b, self.control.only(self.seeds).b, self.seeds)

    def accuracy_on_b(self) -> PairedRows:
        """Return fix − control on half B: 1 where only the fix is right, −1 where it is not."""
        fix, control = (arm.only(self.seeds).b.correct for arm in (self.fix, self.control))
        return PairedRows(fix.astype(np.float64) - control, self.seeds)


def paired_loss(arm: Scores, other: Scores, seeds: tuple[int, ...]) -> PairedRows:
    """Return the difference of two arms' losses, row by row."""
    return PairedRows(arm.loss - other.loss, seeds)


def difference_interval(arm: Arm, other: Arm, rng: np.random.Generator) -> Interval:
    """Return the loss of `arm` − `other` on half B over the seeds of both, nats.

    With its own interval: for what stands in no ranking, such as training without a teacher.

    Raises
    ------
    ValueError
        When they share no seed.
    """
    seeds = tuple(s for s in arm.seeds if s in other.seeds)
    rows = paired_loss(arm.only(seeds).b, other.only(seeds).b, seeds)
    groups = arm.rows.groups_in(arm.rows.reporting)
    return compare_paired([rows], rng, groups=groups).arms[0].difference
