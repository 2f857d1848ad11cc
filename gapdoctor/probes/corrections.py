"""The corrections grid: which transform of the inputs has gone wrong?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gapdoctor.corrections._base import Kind, all_candidates, kind_of
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Evidence, Finding, Intervention, Skipped
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.measures import measure_gap
from gapdoctor.observe.observations import Need, Observations, own_pipeline
from gapdoctor.probes._base import Probe
from gapdoctor.probes._belief import done_to_train, undone
from gapdoctor.probes._naming import (
    GENERIC,
    Limits,
    fitting,
    named,
    rearranging,
    relative,
    summary_of,
)
from gapdoctor.probes._rows import context_of, finite_rows, look_count
from gapdoctor.probes._search import Look, Suspect, suspects
from gapdoctor.probes._trials import Trial, most_specific
from gapdoctor.stats.split import MIN_LIMIT

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Corrections(Probe):
    """Which transform of the inputs has gone wrong between training and inference?

    A grid of candidates: other scales, the usual mean and standard deviation pairs, channel order,
    rotations and flips, brightness and gamma, an affine match to the train statistics, columns in
    another order, and so on. What cannot be undone (blur, JPEG, a crop) is done to the inputs of
    the train pipeline instead.

    Where the mirror test fires, both pipelines are known to differ, and the grid only names how:
    the candidate that makes the one pipeline's inputs out of the other's, row by row.

    Where it does not, both models eat the same rows, and a transform that merely suits the student
    would look like a correction. First the inputs are looked at, which takes no model: candidates
    must bring the input statistics of both splits together, or not touch them at all. The teacher
    is asked about the nearest few on half A. The best is believed only where, on half B, the
    teacher gets loss back by it too, the gain of both stays when a temperature is fitted on both
    sides, and no accuracy falls. What it returns to the teacher is told as `shared`. A transform
    that cannot be undone must cost both models on train rows about what held-out rows cost.

    Named is the candidate with the fewest fitted numbers within one standard error of the best;
    `match_statistics`, which fits nearly anything, only where no other comes near.
    """

    name: ClassVar[str] = "corrections"
    order: ClassVar[int] = 20
    needs: ClassVar[frozenset[Need]] = frozenset({Need.TEACHER_MODEL})

    least: int = 50
    """Rows of half A and of train below which nothing is tried."""
    least_paired: int = 8
    """The same where both pipelines are known to differ, and rows are compared one by one."""
    screen_rows: int = 100
    """Rows of half A on which the teacher is asked about the suspects first."""
    rows: int = 500
    """Rows of half A on which the finalists are compared."""
    screened: int = 12
    """Suspects that the teacher is asked about."""
    finalists: int = 4
    """Of these, how many on all rows."""
    leaves: float = 0.4
    """Share of the difference between the two pipelines up to which a candidate names what the
    mirror test has found."""
    leaves_alone: float = 0.7
    """The same where every other correction leaves clearly more: another quality of JPEG."""
    clearly: float = 1.15
    """Times its difference that these must leave."""
    near_best: float = 1.5
    """Times the smallest difference up to which candidates tie."""
    near_generic: float = 2.0
    """The same where `match_statistics` comes nearest: named ones go before it."""
    fitted: tuple[float, float] = (0.25, 0.2)
    """Named ones also go before it that leave no more than so many standard deviations and so
    large a share of the difference: their numbers are those of a sample."""
    slack: float = 0.02
    """Standard deviations added to that."""
    closer: float = 0.8
    """Share of the distance between the input statistics of both splits that undoing may leave;
    a transform that cannot be undone may leave no more than chance."""
    done_first: float = 0.7
    """Times the distance that the best candidate for undoing leaves, below which one that cannot
    be undone is tried first."""
    accuracy_fall: float = 0.005
    """Share of rows by which accuracy may fall under a believed candidate."""
    costs: tuple[float, float] = (0.4, 1.6)
    """What a transform done to train rows may cost, as shares of what held-out rows cost more."""
    ties: float = 1.1
    """Times the smallest distance up to which transforms that cannot be undone tie."""
    strength: float = 6.0
    """Log-odds of a correction that both models get loss back by."""
    done_strength: float = 4.0
    """Log-odds of a transform that cannot be undone and costs what held-out rows cost."""
    naming: float = 0.5
    """Log-odds added where the mirror test has fired and the transform has a name."""

    def examine(self, seen: Observations) -> Finding | Skipped:
        """Name what the mirror has found, or look for what reached both models."""
        held, train = seen.rows(Split.HELDOUT), seen.rows(Split.TRAIN)
        sample = seen.inputs(Split.TRAIN, seen.some(Split.TRAIN, train.choosing, 1))
        shape = "×".join(map(str, sample.shape[1:]))
        if not sample.is_floating_point():
            return Skipped(self.name, f"the inputs are whole numbers ({shape}), not measurements")
        if kind_of(tuple(sample.shape[1:])) is Kind.OTHER:
            return Skipped(self.name, f"no corrections are known for inputs of shape {shape}")
        count = look_count(tuple(sample.shape[1:]))
        a = finite_rows(seen, Split.HELDOUT, seen.some(Split.HELDOUT, held.choosing, count))
        usual = finite_rows(seen, Split.TRAIN, seen.some(Split.TRAIN, train.choosing, count))
        # corrections in force on model-ready rows are no pipeline of which the right one is known
        differ = seen.data.given and not seen.same_pipeline("train", "inference")
        least = min(self.least_paired if differ else self.least, count)
        if min(len(a), len(usual)) < least:
            return Skipped(
                self.name,
                f"{len(a)} rows in the half of held-out that chooses, {len(usual)} train rows; "
                f"corrections are tried from {least} on: give more rows",
            )
        found = self._name(seen, a) if differ else None
        return found if found is not None else self._search(seen, a, usual)

    # -- the mirror has fired: name it -------------------------------------------------------

    def _name(self, seen: Observations, a: Rows) -> Finding | Skipped | None:
        wrong = seen.inputs(Split.HELDOUT, a, "inference")
        right = seen.inputs(Split.HELDOUT, a, "train")
        if wrong.shape != right.shape:
            shapes = " and ".join("×".join(map(str, t.shape[1:])) for t in (right, wrong))
            return Skipped(
                self.name, f"the two pipelines make inputs of different shapes ({shapes})"
            )
        if relative(wrong, right) <= self.slack:
            return None  # two pipelines that make the same of a row
        labels = seen.rows(Split.HELDOUT).labels[a]
        context = context_of(seen, (right, labels), (wrong, labels))
        grid = all_candidates(context)
        limits = Limits(
            self.near_best, self.near_generic, self.slack,
            self.leaves, self.leaves_alone, self.clearly, self.fitted,
        )  # fmt: skip
        found = named(fitting(grid, wrong, right), limits)
        found = found or named(rearranging(grid, wrong, right), limits)
        if found is None:
            return Skipped(
                self.name,
                "no single known transform makes the one pipeline's inputs out of the other's; "
                "compare the two step by step",
            )
        evidence = Evidence(
            self.name,
            f"What one pipeline makes of a row becomes what the other makes of it by: "
            f"{found.candidate.label} (it leaves {found.difference:.2g} standard deviations of "
            f"{found.untouched:.2g}).",
            found.difference, self.leaves * found.untouched, "standard deviations", "for",
        )  # fmt: skip
        fired = any(i.kind == "pipeline" for i in seen.stack.interventions)
        claim = Claim(
            Cause.PREPROCESSING_MISMATCH, self.naming if fired else 0.0, "named", (evidence,),
            correction=found.candidate.text, summary=found.summary,
        )  # fmt: skip
        return Finding(self.name, (claim,))

    # -- the mirror is silent: what reached both models --------------------------------------

    def _search(self, seen: Observations, a: Rows, usual: Rows) -> Finding | Skipped:
        gap = measure_gap(seen)
        suffers = gap.teacher_generalization.low > gap.limit
        mine = seen.inputs(Split.HELDOUT, a, "inference")
        theirs = seen.inputs(Split.HELDOUT, a, "heldout_teacher")
        if mine.shape != theirs.shape or relative(theirs, mine) > self.slack:
            return Skipped(
                self.name, "teacher and student have pipelines of their own: what reached both "
                "cannot be undone for both at once",
            )  # fmt: skip
        look = Look.at(mine, seen.inputs(Split.TRAIN, usual, "train"))
        asked = suffers or look.clearly_differ or (look.differ and gap.excess.high > gap.limit)
        columns = mine.ndim == 2
        if not (asked or columns):
            return Finding(self.name)
        labels = seen.rows(Split.HELDOUT).labels[a], seen.rows(Split.TRAIN).labels[usual]
        context = context_of(seen, (look.usual, labels[1]), (mine, labels[0]))
        grid = all_candidates(context)
        # An order of columns is offered only where columns look as if they had changed places.
        called = {c.text for c in grid if columns and c.fitted and c.correction != GENERIC}
        if not (asked or called):
            return Finding(self.name)
        found = suspects(grid, look, self.closer)
        undo = [
            s for s in found
            if s.candidate.undo is not None
            and (suffers or not s.blind or s.candidate.text in called)
        ]  # fmt: skip
        do = [s for s in found if s.candidate.undo is None]
        nearest = min((s.left for s in undo if not s.blind), default=look.apart)
        # What fits nearly anything must not hide what has a name.
        generic = bool(undo) and undo[0].candidate.correction == GENERIC
        if do and (generic or do[0].left < self.done_first * nearest):
            claim = self._done(seen, do) or self._undone(seen, undo)
        else:
            claim = self._undone(seen, undo) or self._done(seen, do)
        return Finding(self.name, () if claim is None else (claim,))

    def _undone(self, seen: Observations, found: list[Suspect]) -> Claim | None:
        best = most_specific(self._trials(seen, found))
        if best is None:
            return None
        suspect, others = best
        a = seen.some(Split.HELDOUT, seen.rows(Split.HELDOUT).choosing, self.rows)
        gains = [self._trial(seen, m, suspect, a).gain for m in Model]
        if max(gains) <= MIN_LIMIT:
            return None
        return self._proven(seen, suspect, others)

    def _trials(self, seen: Observations, found: list[Suspect]) -> list[Trial]:
        """Ask the teacher about the best suspects on half A."""
        held = seen.rows(Split.HELDOUT)
        a = seen.some(Split.HELDOUT, held.choosing, self.rows)
        if len(found) <= self.finalists:  # a mild fault is not seen on a few rows
            return [self._trial(seen, Model.TEACHER, s, a) for s in found]
        few = a[: self.screen_rows]
        screened = [self._trial(seen, Model.TEACHER, s, few) for s in found[: self.screened]]
        sure = [t for t in screened if t.gain > max(t.doubt, MIN_LIMIT / 2)]
        best = sorted(sure, key=lambda t: float(t.after.mean()))[: self.finalists]
        return [self._trial(seen, Model.TEACHER, t.suspect, a) for t in best]

    def _trial(self, seen: Observations, model: Model, suspect: Suspect, a: Rows) -> Trial:
        assert suspect.candidate.undo is not None
        own = own_pipeline(model, Split.HELDOUT)
        inputs = suspect.candidate.undo(seen.inputs(Split.HELDOUT, a, own))
        after = seen.score(model, inputs, seen.rows(Split.HELDOUT).labels[a]).loss
        return Trial(suspect, seen.outputs(model, Split.HELDOUT).loss[a], after)

    def _proven(
        self, seen: Observations, suspect: Suspect, others: tuple[str, ...]
    ) -> Claim | None:
        candidate = suspect.candidate
        intervention = Intervention("correction", candidate.text, touches_teacher=True)
        found = undone(seen, candidate, intervention, self.accuracy_fall, mends=suspect.mends)
        if found is None:
            return None
        evidence = tuple(
            Evidence(
                self.name,
                f"Held-out rows that did not choose it give the {who} back {back.value:.3g} nats "
                f"({back.low:.3g} to {back.high:.3g}) by: {candidate.label}.",
                back.value, at, "nats", "for",
            )
            for who, back, at in (
                ("student", found.student, found.limit), ("teacher", found.teacher, 0.0)
            )
        )  # fmt: skip
        return Claim(
            Cause.PREPROCESSING_MISMATCH, self.strength, "named", evidence,
            returned=found.returned, correction=candidate.text, intervention=intervention,
            summary=summary_of(candidate, others),
        )  # fmt: skip

    def _done(self, seen: Observations, found: list[Suspect]) -> Claim | None:
        """What cannot be undone: done to train rows, do both models lose what held-out rows do?"""
        candidate = found[0].candidate if found else None
        if candidate is None or candidate.do is None:
            return None
        some = seen.some(Split.TRAIN, seen.rows(Split.TRAIN).choosing, self.rows)
        few, many = self.costs
        told = done_to_train(
            seen,
            candidate.do,
            some,
            lambda cost, more: few * more < cost < many * more + MIN_LIMIT,
        )
        if told is None:
            return None
        evidence = Evidence(
            self.name,
            f"Held-out rows look like train rows to which this was done: {candidate.label}. Done "
            f"to train rows, it costs the student {told.student.value:.3g} and the teacher "
            f"{told.teacher.value:.3g} nats; held-out rows cost {told.costs[0]:.3g} and "
            f"{told.costs[1]:.3g} more than train rows.",
            told.student.value, told.limit, "nats", "for",
        )  # fmt: skip
        ties = {s.candidate.correction for s in found if s.left < self.ties * found[0].left}
        return Claim(
            Cause.PREPROCESSING_MISMATCH, self.done_strength, "named", (evidence,),
            returned=told.returned, correction=candidate.text,
            summary=summary_of(candidate, ties - {candidate.correction}),
        )  # fmt: skip
