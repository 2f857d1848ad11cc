"""Temperature: how much of the gap is nothing but the scale of the logits?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

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
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.measures import accepted_train_rows, limit_now, measure_left
from gapdoctor.observe.observations import Observations
from gapdoctor.observe.outputs import Outputs, SplitRows
from gapdoctor.probes._base import Probe
from gapdoctor.stats.calibration import cross_entropy, fit_temperature
from gapdoctor.stats.intervals import mean_interval
from gapdoctor.stats.membership import agreement_drop, auc_difference


@dataclass(frozen=True)
class Temperature(Probe):
    """Is the gap nothing but the scale of the logits?

    One temperature is fitted on half A and scored on half B (Guo et al. 2017, arXiv 1706.04599); it
    changes no prediction. It recovers a large share of most faults, and is therefore asked last: a
    cause only where the student is as accurate as its teacher, has not learned its train rows by
    heart (it agrees with the teacher on held-out rows as on train rows, and its losses tell the two
    apart no better than the teacher's), and where one temperature does more for the student than
    one of its own does for the teacher. Elsewhere it is a fix with its residual told.
    """

    name: ClassVar[str] = "temperature"
    order: ClassVar[int] = 95

    accuracy_fall: float = 0.02
    """Share of rows by which the student may be less accurate than its teacher."""
    share: float = 0.6
    """Share of the excess that the temperature must return."""
    agreement_drop: float = 0.05
    """Share of rows by which the agreement with the teacher may fall from train to held-out."""
    auc_limit: float = 0.05
    """Difference of the membership AUC, student − teacher, above which rows were memorised."""
    strength: float = 4.0
    """Log-odds of an output scale that is off alone."""
    weak: float = 3.0
    """The same where what it returns beyond the teacher's is above 0, but may be below h."""

    def examine(self, seen: Observations) -> Finding | Skipped:
        """Fit one temperature a model on half A, score it on half B."""
        held = seen.rows(Split.HELDOUT)
        outputs = {m: seen.current(m, Split.HELDOUT) for m in Model}
        tau = {m: fit_temperature(o.logits[held.choosing], held.labels[held.choosing])
               for m, o in outputs.items()}  # fmt: skip
        returned = {m: o.loss[held.reporting] - _cooled(o, held, tau[m])
                    for m, o in outputs.items()}  # fmt: skip
        groups = None if held.groups is None else held.groups[held.reporting]
        back = mean_interval(returned[Model.STUDENT], seen.rng(self.name), groups=groups)
        alone = mean_interval(
            returned[Model.STUDENT] - returned[Model.TEACHER], seen.rng(self.name), groups=groups
        )
        limit = limit_now(seen)
        if back.low <= limit:
            return Finding(self.name)
        warning = self._warning(tau, back)
        fall = float(
            outputs[Model.TEACHER].correct[held.reporting].mean()
            - outputs[Model.STUDENT].correct[held.reporting].mean()
        )
        excess = measure_left(seen).excess
        most = alone.low > 0 and alone.value >= max(limit, self.share * excess.value)
        small = excess.value <= limit
        if small or not most or fall > self.accuracy_fall or self._memorised(seen):
            return Finding(self.name, warnings=(warning,))
        evidence = Evidence(
            self.name,
            f"Divided by one temperature ({tau[Model.STUDENT]:.2f}, fitted on half A), the logits "
            f"give {back.value:.3g} nats back on half B; accuracy is the teacher's within "
            f"{max(fall, 0):.1%}.",
            back.value, limit, "nats", "for",
        )  # fmt: skip
        claim = Claim(
            Cause.LOSS_IMBALANCE, self.strength if alone.low > limit else self.weak,
            "output scale", (evidence,),
            returned=Returned(returned[Model.STUDENT], returned[Model.TEACHER] * 0.0),
            intervention=Intervention(
                "temperature", "output scale", (("temperature", tau[Model.STUDENT]),)
            ),
            valid_unless=frozenset({Cause.PREPROCESSING_MISMATCH, Cause.DISTRIBUTION_SHIFT}),
            summary="Only the scale of the student's logits is off; its predictions are sound.",
        )  # fmt: skip
        return Finding(self.name, (claim,), (warning,))

    def _warning(self, tau: dict[Model, float], back: Interval) -> Warning_:
        own = tau[Model.STUDENT]
        return Warning_(
            "miscalibrated",
            f"The student's logits are {'too large' if own > 1 else 'too small'}: divided by "
            f"{own:.2f} (fitted on half A; the teacher's best is {tau[Model.TEACHER]:.2f}) they "
            f"cost {back.value:.3g} nats less on half B ({back.low:.3g} to {back.high:.3g}). It "
            "heals no prediction.",
        )

    def _memorised(self, seen: Observations) -> bool:
        """Whether the student knows its train rows better than others, more than its teacher."""
        keep, held = accepted_train_rows(seen), seen.rows(Split.HELDOUT)
        groups = None if held.groups is None else held.groups[held.in_gap]
        masks = {Split.TRAIN: keep, Split.HELDOUT: held.in_gap}
        losses = [seen.current(m, s).loss[masks[s]] for m in Model for s in Split]
        student, teacher = (
            {s: seen.current(m, s).logits.argmax(axis=1)[masks[s]] for s in Split} for m in Model
        )
        agree = {s: student[s] == teacher[s] for s in Split}
        rng = seen.rng(f"{self.name} memorised")
        auc = auc_difference(losses[0], losses[1], losses[2], losses[3], rng, groups=groups)
        drop = agreement_drop(agree[Split.TRAIN], agree[Split.HELDOUT], rng, groups=groups)
        return auc.low > self.auc_limit or drop.low > self.agreement_drop


def _cooled(outputs: Outputs, held: SplitRows, tau: float) -> Floats:
    b = held.reporting
    return cross_entropy(outputs.logits[b] / tau, held.labels[b])
