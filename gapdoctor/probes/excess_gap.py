"""Excess gap: does the student fail to carry over what it fits, more than its teacher?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Evidence, Finding, Side, Skipped
from gapdoctor.observe.measures import limit_now, measure_left
from gapdoctor.observe.observations import Observations
from gapdoctor.probes._base import Probe


@dataclass(frozen=True)
class ExcessGap(Probe):
    """Does the student fail to carry over what it fits on train rows, more than its teacher does?

    The excess gap E, on top of whatever was proven before: a mismatch is undone, classes are put in
    order. What is left of it is the mark of a student that knows its train rows better than their
    like. It does not say why, and a shift of the data leaves it too; memorisation, learning curves
    and the weights of the losses tell those apart.
    """

    name: ClassVar[str] = "excess_gap"
    order: ClassVar[int] = 72

    clear: float = 2.0
    """Log-odds where E is above h with its whole interval."""
    some: float = 0.5
    """Log-odds where its interval is above 0."""
    against: float = -2.5
    """Log-odds where E is below h with its whole interval."""

    def examine(self, seen: Observations) -> Finding | Skipped:
        """Set what is left of E against 0 and against h."""
        left, limit = measure_left(seen).excess_gap, limit_now(seen)
        if left.low > limit:
            strength = self.clear
        elif left.high < limit:
            strength = self.against
        else:
            strength = self.some if left.low > 0 else 0.0
        evidence = Evidence(
            self.name,
            f"From train to held-out rows the student loses {left.value:.3g} nats more than its "
            f"teacher ({left.low:.3g} to {left.high:.3g}).",
            left.value, limit, "nats", "for" if strength > 0 else "against",
        )  # fmt: skip
        claim = Claim(
            Cause.OVERFITTING,
            strength,
            "excess gap",
            (evidence,),
            side=Side.EXCESS_GAP,
            valid_unless=frozenset({Cause.DISTRIBUTION_SHIFT}),
        )
        return Finding(self.name, (claim,))
