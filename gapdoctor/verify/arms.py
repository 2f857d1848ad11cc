"""An arm: one way to get a student, and what its students lose on both halves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gapdoctor.domain.findings import Floats, Interval
from gapdoctor.domain.trials import ArmRecord, Given, Start
from gapdoctor.errors import DataError
from gapdoctor.stats.calibration import TEMPERATURES, cross_entropy, fit_temperature
from gapdoctor.stats.intervals import accuracy_interval, group_codes, mean_interval

GIVEN = "given"
"""The student that the user has."""
CROSSED_ROWS = 8192
"""Rows of half A, at most, on which it is asked whether a temperature pays."""


@dataclass(frozen=True)
class HeldoutRows:
    """The held-out rows that all arms are scored on, in one order."""

    labels: NDArray[np.int64]
    """(n,)"""
    choosing: NDArray[np.bool_]
    """(n,) half A; the others are half B."""
    groups: NDArray[np.object_] | None = None
    """(n,) one id a row, where given: whole groups are resampled."""

    def __post_init__(self) -> None:
        if not self.choosing.any() or self.choosing.all():
            empty = "B" if self.choosing.any() else "A"
            raise DataError(
                f"[data] heldout: none of its {len(self.labels)} rows is in half {empty}",
                "give more held-out rows, or more groups: one half chooses, the other reports",
            )

    @property
    def reporting(self) -> NDArray[np.bool_]:
        """(n,) half B."""
        return ~self.choosing

    def groups_in(self, half: NDArray[np.bool_]) -> NDArray[np.object_] | None:
        """Return the group ids of the rows of a half, where there are any."""
        return None if self.groups is None else self.groups[half]


@dataclass(frozen=True)
class Scores:
    """What an arm's students lose on the rows of one half, one line a seed."""

    loss: Floats
    """(s, n) nats, at each student's own temperature."""
    before: Floats
    """(s, n) nats, as trained."""
    correct: NDArray[np.bool_]
    """(s, n)"""

    def of_lines(self, lines: Sequence[int]) -> Scores:
        """Return the same of some lines."""
        at = list(lines)
        return Scores(self.loss[at], self.before[at], self.correct[at])


@dataclass(frozen=True)
class Arm:
    """A fix, a control, or the student as given, under one or more seeds."""

    name: str
    """A fix id, ids joined by `+`, `control`, `without_teacher`, `given`."""
    start: Start
    seeds: tuple[int, ...]
    """One line of scores each, ascending; what trains nothing has one, of any number."""
    temperatures: tuple[float, ...]
    """(s,) fitted on half A; 1 where none is."""
    rows: HeldoutRows
    a: Scores
    b: Scores

    @classmethod
    def of(
        cls,
        name: str,
        start: Start,
        logits: Mapping[int, ArrayLike],
        rows: HeldoutRows,
        *,
        with_temperature: bool = True,
    ) -> Arm:
        """Score the students of an arm.

        Each is scored at its own temperature, fitted on half A (Guo et al. 2017,
        arXiv 1706.04599), so that no arm wins by the scale of its logits alone. The temperature
        stays 1 where half A cannot tell one: where each half of it, scored at what the other
        would fit, loses more than before, or where no row is wrong (then the loss falls for ever
        as the temperature shrinks).

        Parameters
        ----------
        name : str
        start : {"scratch", "checkpoint"}
            What it began from; free corrections and the given student: `checkpoint`.
        logits : mapping of int to array (n, C)
            By seed, as deployed, of all held-out rows. A row with NaN or infinity is no answer:
            it counts as wrong, at the loss of a uniform guess.
        rows : HeldoutRows
        with_temperature : bool
            False with `--skip scale_temperature`: no arm has one.

        Raises
        ------
        ValueError
            When there is no seed, or logits are not those of the rows.
        """
        if not logits:
            raise ValueError(f"{name}: no seed")
        seeds = tuple(sorted(logits))
        tables = [_answers(name, np.asarray(logits[s]), rows) for s in seeds]
        taus = tuple(_own_temperature(t, rows) if with_temperature else 1.0 for t, _ in tables)
        return cls(name, start, seeds, taus, rows, *(
            _scores(tables, taus, rows.labels, half) for half in (rows.choosing, rows.reporting)
        ))  # fmt: skip

    @property
    def loss_on_a(self) -> float:
        """Mean loss on half A over rows and seeds, nats."""
        return float(self.a.loss.mean())

    @property
    def best_seed(self) -> int:
        """The seed whose student loses least on half A: the one that would be written."""
        return self.seeds[int(self.a.loss.mean(axis=1).argmin())]

    def temperature(self, seed: int) -> float:
        """Return the temperature of one seed's student."""
        return self.temperatures[self.seeds.index(seed)]

    def only(self, seeds: Sequence[int]) -> Arm:
        """Return the arm with some of its seeds."""
        at = [self.seeds.index(s) for s in seeds]
        return replace(
            self, seeds=tuple(seeds), temperatures=tuple(self.temperatures[i] for i in at),
            a=self.a.of_lines(at), b=self.b.of_lines(at),
        )  # fmt: skip

    def repeated(self, seeds: Sequence[int], start: Start) -> Arm:
        """Return the one student of this arm as what each of these seeds is compared with."""
        once = [0] * len(seeds)
        return replace(
            self, start=start, seeds=tuple(seeds), temperatures=self.temperatures[:1] * len(seeds),
            a=self.a.of_lines(once), b=self.b.of_lines(once),
        )  # fmt: skip

    def without_temperature(self) -> Arm:
        """Return the same students as trained: what `scale_temperature` is compared with."""
        return replace(
            self, temperatures=(1.0,) * len(self.seeds),
            a=replace(self.a, loss=self.a.before), b=replace(self.b, loss=self.b.before),
        )  # fmt: skip


def arm_record(arm: Arm, rng: np.random.Generator) -> ArmRecord:
    """Return what a control's students lose on half B, seeds averaged row by row."""
    loss, accuracy, before = levels(arm, rng)
    return ArmRecord(arm.start, len(arm.seeds), loss, accuracy, before)


def given_record(given: Arm, rng: np.random.Generator) -> Given:
    """Return what the given student loses on half B."""
    return Given(*levels(given, rng))


def levels(arm: Arm, rng: np.random.Generator) -> tuple[Interval, Interval, Interval]:
    """Return loss, accuracy and loss before temperature on half B, each with its own interval.

    Over rows (or groups): the interval holds for these seeds.
    """
    groups = arm.rows.groups_in(arm.rows.reporting)
    return (
        mean_interval(arm.b.loss.mean(axis=0), rng, groups),
        accuracy_interval(arm.b.correct.mean(axis=0), rng, groups),
        mean_interval(arm.b.before.mean(axis=0), rng, groups),
    )


_Answers = tuple[NDArray[np.floating], NDArray[np.bool_]]


def _answers(name: str, logits: NDArray[np.floating], rows: HeldoutRows) -> _Answers:
    """Finite logits (n, C), and which rows (n,) were answered right."""
    if logits.ndim != 2 or len(logits) != len(rows.labels):
        raise ValueError(f"{name}: logits {logits.shape} of {len(rows.labels)} rows")
    lost = ~np.isfinite(logits).all(axis=1)
    finite = np.where(lost[:, None], logits.dtype.type(0), logits)
    return finite, np.asarray((finite.argmax(axis=1) == rows.labels) & ~lost)


def _scores(
    tables: Sequence[_Answers],
    taus: Sequence[float],
    labels: NDArray[np.int64],
    half: NDArray[np.bool_],
) -> Scores:
    truth = labels[half]
    before = [cross_entropy(logits[half], truth) for logits, _ in tables]
    own = [
        as_trained if tau == 1.0 else cross_entropy(logits[half] / tau, truth)
        for (logits, _), tau, as_trained in zip(tables, taus, before, strict=True)
    ]
    return Scores(np.stack(own), np.stack(before), np.stack([hit[half] for _, hit in tables]))


def _own_temperature(logits: NDArray[np.floating], rows: HeldoutRows) -> float:
    scores, truth = logits[rows.choosing].astype(np.float64), rows.labels[rows.choosing]
    fitted = fit_temperature(scores, truth)
    some = slice(0, CROSSED_ROWS)
    if fitted <= TEMPERATURES[0] or not _pays(scores[some], truth[some], _folds(rows)[some]):
        return 1.0
    return fitted


def _folds(rows: HeldoutRows) -> NDArray[np.bool_]:
    """Two parts of half A; groups stay whole."""
    groups = rows.groups_in(rows.choosing)
    codes = np.arange(int(rows.choosing.sum())) if groups is None else group_codes(groups)
    return np.asarray(codes % 2 == 0)


def _pays(scores: Floats, truth: NDArray[np.int64], first: NDArray[np.bool_]) -> bool:
    """Whether what each part would fit lowers the loss of the other."""
    if first.all():
        return False
    crossed = [
        cross_entropy(scores[there] / fit_temperature(scores[here], truth[here]), truth[there])
        for here, there in ((first, ~first), (~first, first))
    ]
    return bool(np.concatenate(crossed).sum() < cross_entropy(scores, truth).sum())
