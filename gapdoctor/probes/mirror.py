"""The mirror test: the same rows through both pipelines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

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
    Table,
    Warning_,
)
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.measures import measure_gap
from gapdoctor.observe.observations import Need, Observations
from gapdoctor.probes._base import Probe
from gapdoctor.stats.intervals import mean_interval


@dataclass(frozen=True)
class Mirror(Probe):
    """Do the held-out rows get their loss back when they are sent through the train pipeline?

    The same held-out rows are read through the `inference` and through the `train` pipeline.
    What the loss falls by is what a difference between the two pipelines costs, whatever that
    difference is; nobody has to guess the transform. Overfitting gives back nothing here: its
    rows go through equal pipelines, and a membership test cannot tell the two apart.

    It is confirmed the other way round: train rows sent through the `inference` pipeline should
    lose about what held-out rows lose, (L_mirror − L_tr) / (L_ho − L_tr) near 1. A second fault
    lowers that share, so it never vetoes.

    The teacher eats the `train` pipeline as its control; it is scored through `inference` too,
    and the table `pipelines` says what either model loses through either pipeline.

    A pipeline that was derived from a data set's own random transform is only an approximation:
    a mismatch that rests on it is named only above twice the limit.
    """

    name: ClassVar[str] = "mirror"
    order: ClassVar[int] = 10
    needs: ClassVar[frozenset[Need]] = frozenset({Need.PIPELINES})

    strength: float = 6.0
    """Log-odds of a mismatch whose returned nats are above h with their whole interval: it was
    switched off, and the loss came back."""
    weak_strength: float = 1.0
    """Log-odds where the interval is above 0 and its value above h, but it reaches below h."""
    against: float = -3.0
    """Log-odds where the interval is below h and holds 0, or lies below it: the pipelines do not
    cost the student anything. Between 0 and h the mirror does not speak: there is a difference,
    too small to be the gap."""
    derived_factor: float = 2.0
    """Times h: the limit where a pipeline was derived from a random transform."""

    def examine(self, seen: Observations) -> Finding | Skipped:
        """Compare both pipelines on half B of the held-out rows."""
        if seen.same_pipeline("train", "inference"):
            return Finding(self.name)
        returned = _returned(seen)
        rows = seen.rows(Split.HELDOUT)
        groups = None if rows.groups is None else rows.groups[rows.reporting]
        back = mean_interval(returned.student, seen.rng(self.name), groups=groups)
        limit = measure_gap(seen).limit * (self.derived_factor if _is_derived(seen) else 1.0)
        strength = self._strength(back, limit)
        fires = strength > 0
        evidence = (
            self._returns(back, limit, fires),
            *(self._reverse(seen) if fires else ()),
            *(teacher := self._teacher(seen, limit)),
        )
        claim = Claim(
            Cause.PREPROCESSING_MISMATCH,
            strength,
            "pipelines differ",
            evidence,
            returned=returned if fires else None,
            intervention=Intervention("pipeline", "train") if back.low > limit else None,
            summary=_SUMMARY if fires else "",
        )
        hurt = [e for e in teacher if e.speaks == "for" and not fires]
        warnings = tuple(Warning_("teacher_would_suffer", e.statement) for e in hurt)
        return Finding(self.name, (claim,), warnings, (("pipelines", _table(seen)),))

    def _returns(self, back: Interval, limit: float, fires: bool) -> Evidence:
        return Evidence(
            self.name,
            "The same held-out rows sent through the train pipeline instead of the inference "
            f"pipeline give the student back {back.value:.3g} nats "
            f"({back.low:.3g} to {back.high:.3g}).",
            back.value,
            limit,
            "nats",
            "for" if fires else "against",
        )

    def _strength(self, back: Interval, limit: float) -> float:
        if back.low > limit:
            return self.strength
        if back.low > 0 and back.value > limit:
            return self.weak_strength
        return self.against if back.high < limit and back.low <= 0 else 0.0

    def _reverse(self, seen: Observations) -> tuple[Evidence, ...]:
        """Train rows through `inference`: do they lose what held-out rows lose?"""
        train = float(seen.outputs(Model.STUDENT, Split.TRAIN).loss.mean())
        mirrored = float(seen.outputs(Model.STUDENT, Split.TRAIN, "inference").loss.mean())
        in_gap = seen.rows(Split.HELDOUT).in_gap
        heldout = float(seen.outputs(Model.STUDENT, Split.HELDOUT).loss[in_gap].mean())
        if heldout <= train:
            return ()
        share = (mirrored - train) / (heldout - train)
        statement = (
            f"The other way round, train rows sent through the inference pipeline lose "
            f"{mirrored - train:.3g} nats, {share:.0%} of what held-out rows lose against train."
        )
        return (Evidence(self.name, statement, share, 0.5, "share", "for"),) if share > 0.5 else ()

    def _teacher(self, seen: Observations, limit: float) -> tuple[Evidence, ...]:
        if seen.missing(frozenset({Need.TEACHER_MODEL})) is not None:
            return ()
        if seen.same_pipeline("teacher", "inference"):
            return ()  # it is scored so; what it gets back is told as shared
        loses = _teacher_loses(seen, "inference")
        verb = "would lose" if loses > 0 else "would gain"
        return (
            Evidence(
                self.name,
                f"The teacher {verb} {abs(loses):.3g} nats through the inference pipeline too.",
                loses,
                limit,
                "nats",
                "for" if loses > limit else "against",
            ),
        )


_SUMMARY = (
    "The inference pipeline feeds the student something else than the train pipeline did: the "
    "same held-out rows cost less through the train pipeline."
)


def _table(seen: Observations) -> Table:
    """Held-out loss of each model through each pipeline, teacher's own included."""
    mask = seen.rows(Split.HELDOUT).in_gap
    pipelines = ("train", "inference")
    rows = [
        (
            Model.STUDENT.value,
            pipeline,
            float(seen.outputs(Model.STUDENT, Split.HELDOUT, pipeline).loss[mask].mean()),
        )
        for pipeline in pipelines
    ]
    if seen.missing(frozenset({Need.TEACHER_MODEL})) is None:
        own = float(seen.outputs(Model.TEACHER, Split.HELDOUT).loss[mask].mean())
        rows += [(Model.TEACHER.value, p, own + _teacher_loses(seen, p)) for p in pipelines]
    return Table(("model", "pipeline", "heldout_loss"), tuple(rows))


def _teacher_loses(seen: Observations, pipeline: str) -> float:
    """Nats that the teacher loses on held-out rows through another pipeline than its own.

    A short pass: nothing is proven by it, and the teacher is the larger model.
    """
    if seen.same_pipeline("heldout_teacher", pipeline):
        return 0.0
    held = seen.rows(Split.HELDOUT)
    some = seen.some(Split.HELDOUT, held.in_gap)

    def taken() -> float:
        parts = np.array_split(some, -(-len(some) // seen.settings.batch_size))
        batches = (seen.inputs(Split.HELDOUT, part, pipeline) for part in parts)
        there = seen.score(Model.TEACHER, batches, held.labels[some]).loss
        return float((there - seen.outputs(Model.TEACHER, Split.HELDOUT).loss[some]).mean())

    return seen.once(f"teacher through {pipeline}", taken)


def _is_derived(seen: Observations) -> bool:
    pipelines = (seen.data.pipelines[name] for name in ("train", "inference"))
    return any(p is not None and p.replaced for p in pipelines)


def _returned(seen: Observations) -> Returned:
    """Nats a row of half B gets back; the teacher's only where it eats the inference pipeline."""
    half = seen.rows(Split.HELDOUT).reporting

    def back(model: Model, pipeline: str) -> Floats:
        before = seen.outputs(model, Split.HELDOUT, pipeline).loss
        return (before - seen.outputs(model, Split.HELDOUT, "train").loss)[half]

    student = back(Model.STUDENT, "inference")
    suffers = seen.same_pipeline("teacher", "inference")
    return Returned(
        student, back(Model.TEACHER, "heldout_teacher") if suffers else np.zeros_like(student)
    )
