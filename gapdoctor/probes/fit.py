"""Fit: does the student follow its teacher even on the train rows?"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from torch import nn

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Evidence, Finding, Side, Skipped
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.measures import limit_now, measure_left
from gapdoctor.observe.observations import Observations
from gapdoctor.probes._base import Probe
from gapdoctor.stats.calibration import fit_temperature_to
from gapdoctor.stats.head import dead_share

IMBALANCE = frozenset({Cause.LOSS_IMBALANCE})
"""Another loss, or another scale of the logits, leaves a sound head looking unfinished."""


@dataclass(frozen=True)
class Fit(Probe):
    """Does the student lose to its teacher already on the rows it was trained on?

    The fit deficit D speaks of capacity, of optimization, or of a wrong target. Beside it stand the
    sizes of both models, how sure the student is, and how far its head's weights have moved: one
    whose logits are flatter than its teacher's, or whose weights still spread as when initialised,
    was stopped on its way or taught flatter targets; one whose weights were driven far out met too
    high a learning rate, and so did one most of whose units are dead. A student that is merely too
    small is as sure as it can be.
    """

    name: ClassVar[str] = "fit"
    order: ClassVar[int] = 70

    dominates: float = 2.0
    """Times E that D must be for capacity to be the likelier side."""
    small: float = 0.25
    """Share of the teacher's parameters below which a student is small beside it."""
    small_strength: float = 0.5
    """Log-odds of capacity for such a student: distilled students mostly are, and do well."""
    tiny: float = 0.05
    """Share of the teacher's parameters below which it is very small beside it."""
    tiny_strength: float = 1.0
    """Log-odds of capacity for such a student."""
    large_strength: float = -1.0
    """Log-odds of capacity for one that is not small."""
    flat: float = 0.8
    """Temperature at which the student is nearest to its teacher on train rows, below which it is
    flatter (tuning part: 0.78 to 1.0 where it is too small)."""
    flat_slope: float = 10.0
    """Log-odds a unit of temperature below it."""
    chance: float = 1.5
    """Times the accuracy of chance below which a student learned nothing."""
    unsure: float = 1.5
    """Log-odds of either, at most."""
    hardly_moved: float = 1.55
    """Spread of the head's weights over that of a fresh layer, below which they hardly moved
    (tuning part: 1.7 to 2.7 where the student is too small)."""
    blown: float = 3.5
    """The same, above which they were driven far out, as by too high a learning rate."""
    moved: float = 1.0
    """Log-odds of either."""
    dead: float = 0.5
    """Share of the head's features that are the same on all train rows, above which steps too
    large have killed them (tuning part: at most 0.23 elsewhere, 0.69 to 1 there)."""
    dead_strength: float = 2.0
    """Log-odds of dead features."""
    clear: float = 1.5
    """Log-odds where D is above h with its whole interval."""
    against: float = -2.0
    """Log-odds where D is below h with its whole interval."""

    def examine(self, seen: Observations) -> Finding | Skipped:
        """Set what is left of D against h and against E."""
        left, limit = measure_left(seen), limit_now(seen)
        deficit = left.fit_deficit
        low = deficit.high < limit
        clear = deficit.low > limit and deficit.value > self.dominates * left.excess_gap.value
        if not low and not clear:
            return Finding(self.name)
        evidence = Evidence(
            self.name,
            f"On train rows the student loses {deficit.value:.3g} nats to its teacher "
            f"({deficit.low:.3g} to {deficit.high:.3g}); the excess gap is "
            f"{left.excess_gap.value:.3g}.",
            deficit.value, limit, "nats", "for" if clear else "against",
        )  # fmt: skip
        strength = self.clear if clear else self.against
        claims = [
            Claim(cause, strength, "fit deficit", (evidence,), side=Side.FIT_DEFICIT)
            for cause in (Cause.CAPACITY_SHORTFALL, Cause.OPTIMIZATION)
        ]
        if clear:
            claims += [*self._sizes(seen), *self._unsure(seen)]
            claims += [*self._spread(seen), *self._dead(seen)]
        return Finding(self.name, tuple(claims))

    def _sizes(self, seen: Observations) -> list[Claim]:
        teacher = seen.case.teacher
        if not isinstance(teacher, nn.Module):
            return []
        student, control = (
            sum(p.numel() for p in m.parameters()) for m in (seen.case.student, teacher)
        )
        share = student / max(1, control)
        small = share < self.small
        strength = self.small_strength if small else self.large_strength
        if share < self.tiny:
            strength = self.tiny_strength
        evidence = Evidence(
            self.name,
            f"The student has {student:,} parameters, {share:.1%} of its teacher's.",
            share, self.small, "share", "for" if small else "against",
        )  # fmt: skip
        return [
            Claim(
                Cause.CAPACITY_SHORTFALL, strength, "sizes", (evidence,), side=Side.FIT_DEFICIT
            )
        ]  # fmt: skip

    def _unsure(self, seen: Observations) -> list[Claim]:
        """Flatter than its teacher, or no better than chance: a student that was not finished."""
        student, teacher = (seen.current(m, Split.TRAIN) for m in Model)
        # As training left them: what they were divided by since says nothing of it.
        logits = student.logits * np.float32(seen.case.divided_since)
        tau = fit_temperature_to(teacher.logits, logits)
        right = float(student.correct.mean())
        lost = right < self.chance / len(seen.classes)
        if not lost and tau >= self.flat:
            return []
        statement = (
            f"The student is right on {right:.0%} of its train rows, which is about chance."
            if lost
            else "The student's logits are flatter than its teacher's: on train rows it is nearest "
            f"to the teacher at a temperature of {tau:.2f}."
        )
        value, limit, unit = (
            (right, self.chance / len(seen.classes), "share")
            if lost
            else (tau, self.flat, "temperature")
        )
        evidence = Evidence(self.name, statement, value, limit, unit, "for")
        strength = self.unsure if lost else min(self.unsure, self.flat_slope * (self.flat - tau))
        return self._unfinished("sureness", strength, evidence)

    def _spread(self, seen: Observations) -> list[Claim]:
        """Weights of the head that hardly left their initial spread, or were blown far out."""
        head = seen.scorer.head(Model.STUDENT)
        if head is None:
            return []
        # A fresh nn.Linear is uniform within ±1/√d: its standard deviation is 1/√(3d).
        times = float(head.weight.detach().float().std()) * math.sqrt(3 * head.in_features)
        times *= seen.case.folded_temperature or 1.0
        if self.blown >= times >= self.hardly_moved:
            return []
        low = times < self.hardly_moved
        evidence = Evidence(
            self.name,
            f"The weights of the student's head spread {times:.2g} times as wide as when "
            f"initialised: they {'have hardly moved' if low else 'were driven far out'}.",
            times, self.hardly_moved if low else self.blown, "times", "for",
        )  # fmt: skip
        return self._unfinished("weights", self.moved, evidence)

    def _dead(self, seen: Observations) -> list[Claim]:
        """Features that no row moves any more: a student cannot use what it has."""
        features = seen.current(Model.STUDENT, Split.TRAIN).features
        share = 0.0 if features is None else dead_share(features)
        if share <= self.dead:
            return []
        evidence = Evidence(
            self.name,
            f"{share:.0%} of the features that the student's head is fed are the same on all train "
            "rows: those units are dead, as steps too large leave them.",
            share, self.dead, "share", "for",
        )  # fmt: skip
        return self._unfinished("dead units", self.dead_strength, evidence)

    def _unfinished(self, topic: str, strength: float, evidence: Evidence) -> list[Claim]:
        """Speak for optimization and, as much, against capacity."""
        side, against = Side.FIT_DEFICIT, replace(evidence, speaks="against")
        return [
            Claim(
                Cause.OPTIMIZATION, strength, topic, (evidence,), side=side, valid_unless=IMBALANCE
            ),
            Claim(
                Cause.CAPACITY_SHORTFALL,
                -strength,
                topic,
                (against,),
                side=side,
                valid_unless=IMBALANCE,
            ),
        ]
