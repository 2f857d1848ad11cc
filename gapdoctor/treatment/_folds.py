"""What the folds of a plan tell: how long the fix that they belong to trains, and what is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gapdoctor.domain.findings import Floats, Interval
from gapdoctor.domain.trials import Change, Plan, PlannedFix, TrialSpec
from gapdoctor.fixes._rounds import fold_trials, with_length
from gapdoctor.loading.splits import GroupIds
from gapdoctor.observe.outputs import Outputs
from gapdoctor.stats.calibration import cross_entropy, fit_temperature
from gapdoctor.training.folder import TrialFolder
from gapdoctor.training.folds import FoldOutputs, read_fold
from gapdoctor.training.heldout import HeldoutOutputs, read_outputs
from gapdoctor.treatment._arms import Trained
from gapdoctor.verify.folds import FoldReading, heldout_beside_folds, read_folds

LATE = 0.9
"""Share of the epochs from which the lowest loss counts as that of the last epoch."""


@dataclass(frozen=True)
class FromFolds:
    """What the folds of a plan tell."""

    plan: Plan
    """With the trials of the fixes whose length is known now."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Folds:
    """The folds of one fix, all trained to their end."""

    fix: str
    own: tuple[FoldOutputs, ...]
    """What each student says of the train rows that it lacked."""
    heldout: tuple[HeldoutOutputs, ...]
    """And of the held-out rows."""
    curves: tuple[Sequence[float], ...]
    """Losses by epoch of each on the rows that it lacked, nats."""
    scaled: bool
    """Whether all losses are those at the temperature that suits them best."""

    @property
    def sizes(self) -> list[int]:
        """Rows of each."""
        return [len(fold.labels) for fold in self.own]

    def reading(self) -> FoldReading:
        """Return when to stop, and how sure that is."""
        return read_folds(self.curves, self.sizes)

    def beside_heldout(self, rng: np.random.Generator, groups: Any) -> Interval:
        """Return the loss on held-out rows − on train rows that the same students lacked.

        At the temperatures that suit the latter; on the rows that the gap is told of.
        """
        left_out, held = [], []
        for own, other in zip(self.own, self.heldout, strict=True):
            tau = fit_temperature(_finite(own), own.labels) if self.scaled else 1.0
            left_out.append(cross_entropy(_finite(own) / tau, own.labels))
            held.append(cross_entropy(_finite(other) / tau, other.labels))
        first = self.heldout[0]
        in_gap = first.from_test if first.from_test.any() else np.ones(len(held[0]), dtype=bool)
        mean: Floats = np.average(held, axis=0, weights=self.sizes)
        rows = np.concatenate([fold.positions for fold in self.own])
        of_train = groups.train if isinstance(groups, GroupIds) else None
        return heldout_beside_folds(
            np.concatenate(left_out), mean[in_gap], rng,
            train_groups=None if of_train is None else [str(of_train[i]) for i in rows],
            groups=None if first.groups is None else first.groups[in_gap],
        )  # fmt: skip


def lengths_of_folds(
    plan: Plan,
    trained: Trained,
    folder: Path,
    rng: np.random.Generator,
    *,
    scaled: bool,
    limit: float,
    groups: Any = None,
) -> FromFolds:
    """Return the plan with the trials of the fixes whose folds are all trained, and what is said.

    Parameters
    ----------
    plan : Plan
        Whose folds were run.
    trained : Trained
        How they ended.
    folder : Path
        Of the trials.
    rng : Generator
        Of intervals alone: which trials there are does not hang on it.
    scaled : bool
        Whether arms have a temperature of their own: then folds have one, too.
    limit : float
        h, nats: a smaller difference between held-out rows and others is none.
    groups : sequence, optional
        Of the case.
    """
    notes: list[str] = []
    for fix in dict.fromkeys(spec.fix for spec in fold_trials(plan)):
        specs = [spec for spec in fold_trials(plan) if spec.fix == fix]
        if all(spec in trained.done() for spec in specs):
            folds = _read(fix, specs, folder, scaled)
            reading = folds.reading()
            plan = _with_epoch(plan, fix, reading)
            notes += _stability(folds, reading)
            notes.append(_luck(fix, folds.beside_heldout(rng, groups), limit))
            notes += _grouped(fix, groups)
    return FromFolds(plan, tuple(notes))


def _read(fix: str, specs: Sequence[TrialSpec], folder: Path, scaled: bool) -> Folds:
    places = [TrialFolder(folder / spec.name) for spec in specs]
    own = tuple(read_fold(place.fold) for place in places)
    plain = [[row[2] for row in place.curve()] for place in places]
    curves = tuple(fold.losses.tolist() for fold in own) if scaled else tuple(plain)
    return Folds(fix, own, tuple(read_outputs(p.outputs) for p in places), curves, scaled)


def _finite(outputs: FoldOutputs | HeldoutOutputs) -> Floats:
    return Outputs.of(outputs.logits, outputs.labels).logits.astype(np.float64)


def _with_epoch(plan: Plan, fix: str, found: FoldReading) -> Plan:
    """With the trials of that many epochs; without, where the last is as good as any."""
    if _is_late(found):
        fixes = tuple(replace(f, status="not_applicable", reason=(
            f"rows left out are lost least after epoch {found.epoch} of {found.epochs}: "
            "there is nothing to cut short"
        )) if f.id == fix else f for f in plan.fixes)  # fmt: skip
        return replace(plan, fixes=fixes)
    fixes = tuple(_told(f, found) if f.id == fix else f for f in plan.fixes)
    return replace(with_length(plan, fix, found.epoch), fixes=fixes)


def _is_late(found: FoldReading) -> bool:
    return found.epoch >= LATE * found.epochs


def _told(planned: PlannedFix, found: FoldReading) -> PlannedFix:
    rest = tuple(c for c in planned.changes if c.key != "recipe.epochs")
    return replace(
        planned,
        summary=f"Trained for {found.epoch} epochs: {len(found.lowest)} folds of the train rows "
        "tell to stop there.",
        changes=(Change("recipe.epochs", found.epochs, found.epoch), *rest),
    )


# -- what is said --------------------------------------------------------------------------------


def _stability(folds: Folds, found: FoldReading) -> list[str]:
    k = len(folds.own)
    at = ", each at the temperature that suits it best" if folds.scaled else ""
    trained = (
        f"{folds.fix}: {k} students were trained, each without one of {k} parts of the train rows."
    )
    if _is_late(found):
        return [
            f"{trained} On these parts they lose no less before the end, after epoch "
            f"{found.epochs}: {_list(found.last)} nats{at}."
        ]
    earliest, latest = found.others
    epoch = "the same" if earliest == latest else f"one from {earliest} to {latest}"
    return [
        f"{trained} On these parts they lose least after epoch {found.epoch} of "
        f"{found.epochs}: {_list(found.lowest)} nats; after the last, {_list(found.last)}{at}.",
        f"{folds.fix}: stopped where the other parts say, a student loses "
        f"{_beside(found.gain)} than one that is trained to the end, less in {found.better} of "
        f"{k} parts; with any one part aside the epoch is {epoch}. The range is approximate: the "
        "students share train rows.",
    ]


def _luck(fix: str, found: Interval, limit: float) -> str:
    told = (
        f"{fix}: on held-out rows these students lose {_beside(_less(found))} than on train rows "
        "that they lacked"
    )
    if -limit < found.low and found.high < limit:
        return f"{told}: the held-out split is neither a lucky nor an unlucky one."
    if found.low > 0 and found.value > limit:
        return (
            f"{told}: the held-out split is an unlucky one, or its rows are of another kind than "
            "the train rows. Overfitting makes no such difference."
        )
    if found.high < 0 and found.value < -limit:
        return (
            f"{told}: the held-out split is a lucky one, its labels are cleaner, or it holds "
            "copies of train rows. New rows may cost more."
        )
    return f"{told}: too few rows to tell whether the held-out split is a lucky one."


def _grouped(fix: str, groups: Any) -> list[str]:
    if groups is None or isinstance(groups, GroupIds):
        return []
    return [
        f"{fix}: [data] groups names held-out rows only. Train rows that belong together may lie "
        'in two parts, which makes these look better than they are; let it give {"heldout": …, '
        '"train": …}.'
    ]


def _less(found: Interval) -> Interval:
    return Interval(-found.value, -found.high, -found.low)


def _beside(gain: Interval) -> str:
    """A gain in words: `0.1 nats less (0.2 less to 0.05 more)`."""
    ends = f"{_signed(gain.high)} to {_signed(gain.low)}"
    return f"{abs(gain.value):.3g} nats {'less' if gain.value >= 0 else 'more'} ({ends})"


def _signed(less: float) -> str:
    return f"{abs(less):.3g} {'less' if less >= 0 else 'more'}"


def _list(values: Floats) -> str:
    return ", ".join(f"{value:.3g}" for value in values)
