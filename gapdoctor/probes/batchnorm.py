"""BatchNorm 2 × 2: are the running statistics stale?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import (
    Claim,
    Evidence,
    Finding,
    Floats,
    Interval,
    Intervention,
    Returned,
    Skipped,
    Warning_,
)
from gapdoctor.observe.batchnorm import re_estimate, tracks
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.measures import limit_now
from gapdoctor.observe.observations import Observations
from gapdoctor.probes._base import Probe
from gapdoctor.stats.intervals import mean_interval

VARIANT = "student with BatchNorm statistics of train rows"


@dataclass(frozen=True)
class Batchnorm(Probe):
    """Do fresh BatchNorm statistics bring the loss back?

    Running statistics are averages over the last batches: with a tiny momentum, very small
    batches, or weights copied without their buffers they are stale, and eval mode is off while
    train mode is fine (Wu & Johnson 2021, arXiv 2105.07576). A copy of the student gets statistics
    of train rows; that takes a thousand rows and no labels. Train rows must gain by it, since they
    suffer from stale statistics alike; then the held-out rows are asked, and what half B gets back
    is returned.

    Statistics of held-out rows would heal a change of intensity too; that is a matter of the
    inputs and left to the corrections grid.
    """

    name: ClassVar[str] = "batchnorm"
    order: ClassVar[int] = 30

    rows: int = 1_000
    """Train rows that the statistics are estimated from (Wu & Johnson: 10³ to 10⁴)."""
    scored: int = 300
    """Of these, the rows on which what train rows gain is measured."""
    least: int = 64
    """Train rows below which there is nothing to estimate from."""
    train_share: float = 0.5
    """Times h that train rows must gain."""
    strength: float = 6.0
    """Log-odds where the interval of what comes back is above h."""
    against: float = -0.5
    """Log-odds where fresh statistics return less than h."""

    def examine(self, seen: Observations) -> Finding | Skipped:
        """Re-estimate the statistics of a copy, score it on train rows, then on held-out rows."""
        if not any(tracks(m) for m in seen.case.student.modules()):
            return Skipped(self.name, "the student has no BatchNorm statistics")
        some = seen.some(Split.TRAIN, seen.rows(Split.TRAIN).choosing, self.rows)
        if len(some) < self.least:
            return Skipped(
                self.name, f"{len(some)} train rows are too few for statistics; give {self.least}"
            )
        seen.offer(VARIANT, module=re_estimated(seen, some))
        seen.scorer.spend(len(some))
        on_train = self._on_train(seen, some[: self.scored])
        limit = limit_now(seen)
        if on_train <= self.train_share * limit:
            evidence = Evidence(
                self.name,
                f"BatchNorm statistics estimated afresh give train rows {on_train:.3g} nats back: "
                "those of the checkpoint are sound.",
                on_train, limit, "nats", "against",
            )  # fmt: skip
            return self._sound(evidence)
        returned, back = self._on_heldout(seen)
        evidence = Evidence(
            self.name,
            f"BatchNorm statistics estimated afresh on train rows give the student back "
            f"{back.value:.3g} nats on held-out rows ({back.low:.3g} to {back.high:.3g}) and "
            f"{on_train:.3g} on train rows.",
            back.value, limit, "nats", "for" if back.low > limit else "against",
        )  # fmt: skip
        return self._stale(evidence, returned) if back.low > limit else self._sound(evidence)

    def _on_train(self, seen: Observations, some: NDArray[np.int64]) -> float:
        labels = seen.rows(Split.TRAIN).labels[some]
        inputs = seen.inputs(Split.TRAIN, some, "train")
        after = seen.score(Model.STUDENT, inputs, labels, variant=VARIANT).loss
        return float((seen.outputs(Model.STUDENT, Split.TRAIN).loss[some] - after).mean())

    def _on_heldout(self, seen: Observations) -> tuple[Floats, Interval]:
        held = seen.rows(Split.HELDOUT)
        before = seen.current(Model.STUDENT, Split.HELDOUT).loss
        after = seen.under(Model.STUDENT, Split.HELDOUT, Intervention("batchnorm", VARIANT)).loss
        returned = (before - after)[held.reporting]
        groups = None if held.groups is None else held.groups[held.reporting]
        return returned, mean_interval(returned, seen.rng(self.name), groups=groups)

    def _sound(self, evidence: Evidence) -> Finding:
        claim = Claim(Cause.OPTIMIZATION, self.against, "batchnorm", (evidence,))
        return Finding(self.name, (claim,))

    def _stale(self, evidence: Evidence, returned: Floats) -> Finding:
        claim = Claim(
            Cause.OPTIMIZATION, self.strength, "batchnorm", (evidence,),
            returned=Returned(returned, np.zeros_like(returned)),
            intervention=Intervention("batchnorm", VARIANT),
            summary="The BatchNorm statistics are stale: fresh ones, estimated on train rows, "
            "bring the loss back.",
        )  # fmt: skip
        warning = Warning_(
            "stale_batchnorm", "The student's running BatchNorm statistics are not those of its "
            "train data; re-estimate them (recalibrate_batchnorm).",
        )  # fmt: skip
        return Finding(self.name, (claim,), (warning,))


def re_estimated(seen: Observations, some: NDArray[np.int64]) -> nn.Module:
    """Return a copy of the student with BatchNorm statistics of some train rows."""
    device = seen.scorer.device(Model.STUDENT)
    return re_estimate(seen.case.student, _batches(seen, some), device, seen.settings.seed)


def _batches(seen: Observations, some: NDArray[np.int64]) -> Iterator[torch.Tensor]:
    """Batches of about one size, none of them so small that it would weigh too much."""
    for part in np.array_split(some, max(1, len(some) // 128)):
        yield seen.inputs(Split.TRAIN, part, "train")
