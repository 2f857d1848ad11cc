"""Label noise: train labels that the teacher does not believe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Evidence, Finding, Interval, Side, Skipped, Warning_
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.measures import (
    REJECTED_CONFIDENCE,
    REJECTED_SHARE,
    larger_side,
    rejected_train_rows,
)
from gapdoctor.observe.observations import Observations
from gapdoctor.probes._base import Probe
from gapdoctor.stats.calibration import fit_temperature, log_softmax
from gapdoctor.stats.intervals import wilson


@dataclass(frozen=True)
class LabelNoise(Probe):
    """Are there train labels that the teacher confidently rejects, and does the student know them?

    Wrong labels look like overfitting. The teacher rejects a label where it is sure (above 0.9) of
    another class, and does so on train rows far more often than on held-out rows; where it does so
    on both, it may as well be too sure of itself, and nothing is claimed. A student that is right
    on the rejected rows has learned wrong labels by heart: that is overfitting. One that is not
    right on them, but under-confident everywhere although the task loss weighs half or more, was
    taught the noise on the average: the teacher was not listened to, which is a matter of the loss
    weights.

    D, E and memorisation are taken over the accepted rows wherever more than 2 % are rejected.
    """

    name: ClassVar[str] = "label_noise"
    order: ClassVar[int] = 50

    least: int = 10
    """Rejected rows below which nothing is claimed."""
    beyond: float = 2.0
    """Times the share that it rejects of held-out rows: above, train labels are the matter."""
    known: float = 0.5
    """Share of rejected rows on which the student agrees with the label: above, they are
    memorised (measured: 100 % where memorised, 15 % where taught)."""
    task_weight: float = 0.5
    """Declared task weight from which labels outweigh the teacher."""
    flat: float = 0.8
    """Temperature fitted on half A below which a student counts as under-confident."""
    strength: float = 3.5
    """Log-odds of either."""
    spared: float = -5.0
    """Log-odds of overfitting where the noise was taught: that the labels were learned by heart is
    what was asked and is not so."""
    unfit: float = -2.0
    """Log-odds of the causes of a fit deficit there: labels and teacher pull apart, and a student
    in between fits neither, whatever its size."""
    unknown: float = 3.0
    """Log-odds of taught noise where the task weight is not known."""

    def examine(self, seen: Observations) -> Finding | Skipped:
        """Count the rejected rows and ask the student about them."""
        rejected = rejected_train_rows(seen)
        share = wilson(int(rejected.sum()), len(rejected))
        if share.value <= REJECTED_SHARE or share.value == 1.0:
            return Finding(self.name)
        elsewhere = _rejected_heldout(seen)
        noisy = share.low > self.beyond * elsewhere
        warning = _warning(share, elsewhere, noisy)
        if not noisy or rejected.sum() < self.least:
            return Finding(self.name, warnings=(warning,))
        right = float(seen.outputs(Model.STUDENT, Split.TRAIN).correct[rejected].mean())
        evidence = Evidence(
            self.name,
            f"On {share.value:.1%} of the train rows the teacher is sure of another class than the "
            f"label (on {elsewhere:.1%} of held-out rows); the student agrees with the label on "
            f"{right:.0%} of those.",
            right, self.known, "share", "for",
        )  # fmt: skip
        if right >= self.known:
            claim = Claim(
                Cause.OVERFITTING, self.strength, "label noise", (evidence,), side=Side.EXCESS_GAP,
                summary="The student has learned wrong train labels by heart.",
            )  # fmt: skip
            return Finding(self.name, (claim,), (warning,))
        return Finding(self.name, self._taught(seen, evidence), (warning,))

    def _taught(self, seen: Observations, evidence: Evidence) -> tuple[Claim, ...]:
        held = seen.rows(Split.HELDOUT)
        logits = seen.current(Model.STUDENT, Split.HELDOUT).logits[held.choosing]
        tau = fit_temperature(logits, held.labels[held.choosing])
        weight = seen.recipe.recipe.task_weight
        if tau >= self.flat or (weight is not None and weight < self.task_weight):
            return ()
        flat = Evidence(
            self.name, f"The student is under-confident: its best temperature is {tau:.2f}.",
            tau, self.flat, "temperature", "for",
        )  # fmt: skip
        claim = Claim(
            Cause.LOSS_IMBALANCE, self.unknown if weight is None else self.strength,
            "weight in force", (evidence, flat),
            side=larger_side(seen),
            summary="Wrong train labels were taught on the average: the teacher, who rejects them, "
            "weighs too little.",
        )  # fmt: skip
        unknown = replace(evidence, speaks="against")
        spared = Claim(
            Cause.OVERFITTING, self.spared, "label noise", (unknown,), side=Side.EXCESS_GAP
        )
        unfit = [
            Claim(cause, self.unfit, "label noise", (unknown,), side=Side.FIT_DEFICIT)
            for cause in (Cause.CAPACITY_SHORTFALL, Cause.OPTIMIZATION)
        ]
        return (claim, spared, *unfit)


def _rejected_heldout(seen: Observations) -> float:
    """Share of held-out rows on which the teacher is sure of another class than the label."""
    found = seen.current(Model.TEACHER, Split.HELDOUT)
    sure: NDArray[np.bool_] = np.exp(log_softmax(found.logits).max(axis=1)) > REJECTED_CONFIDENCE
    return float((sure & ~found.correct).mean())


def _warning(share: Interval, elsewhere: float, noisy: bool) -> Warning_:
    told = (
        f"The teacher confidently rejects {share.value:.1%} of the train labels ({share.low:.1%} "
        f"to {share.high:.1%})"
    )
    rest = "fit deficit, excess gap and memorisation are taken over the rest."
    if noisy:
        return Warning_("label_noise", f"{told}; {rest}")
    return Warning_(
        "label_noise",
        f"{told} and {elsewhere:.1%} of the held-out labels: either both hold wrong labels, or the "
        f"teacher is too sure of itself; {rest}",
    )
