"""What the interventions returned, one on top of the other, and what they leave to explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Floats, Interval, Side
from gapdoctor.stats.intervals import bootstrap_means, interval_of


@dataclass(frozen=True)
class Ledger:
    """Per-row losses that the accounts are made of. All in nats.

    The rows of half B are resampled together, so that sums and differences have intervals.
    """

    student: Floats
    """(n_B,) held-out loss of the student, as deployed, on half B."""
    teacher: Floats
    """(n_B,) held-out loss of the teacher, as scored."""
    train_difference: Floats
    """(n_train,) L_tr(student) − L_tr(teacher) of the accepted train rows, with what was proven
    undone: stale statistics cost train rows too, and are not to be explained twice."""
    groups: NDArray[np.object_] | None = None
    """(n_B,) ids of whole groups, or None."""


@dataclass(frozen=True)
class Account:
    """The nats of half B, by cause and by side."""

    explained: dict[Cause, Interval]
    """What a cause's interventions returned to the student."""
    shared: dict[Cause, Interval]
    """What they returned to the teacher."""
    alone: dict[Cause, Interval]
    """explained − shared."""
    left: dict[Side, Interval]
    """What the interventions leave of D and of E."""
    excess: Interval
    """The excess on half B."""
    unexplained: Interval
    """excess − Σ(explained − shared) − the sides that a cause took up."""


def draw_up(
    ledger: Ledger, claims: Sequence[Claim], taken: frozenset[Side], rng: np.random.Generator
) -> Account:
    """Return the account of half B.

    Parameters
    ----------
    ledger : Ledger
        Losses a row.
    claims : sequence of Claim
        Those with something returned count; several of one cause are summed.
    taken : frozenset of Side
        Sides whose rest a cause takes up.
    rng : Generator
        Of the bootstrap.

    Notes
    -----
    Interventions act on held-out rows and therefore on E, except those done to train rows
    (`Returned.split == "train"`), whose rows are resampled apart.
    """
    causes = sorted({c.cause for c in claims if c.returned is not None})
    heldout = _columns(ledger, claims, causes)
    draws = bootstrap_means(heldout, rng, groups=ledger.groups)
    point = heldout.mean(axis=0)
    _add_train_rows(point, draws, claims, causes, rng)
    deficit = ledger.train_difference[:, None]
    d_point, d_draws = float(deficit.mean()), bootstrap_means(deficit, rng)[:, 0]

    def interval(weights: Floats, sign: float = 0.0) -> Interval:
        return interval_of(
            draws @ weights + sign * d_draws, float(point @ weights) + sign * d_point
        )

    k = len(causes)
    student, teacher = np.eye(1 + 2 * k)[1 : k + 1], np.eye(1 + 2 * k)[k + 1 :]
    base = np.eye(1 + 2 * k)[0]
    returned = student.sum(axis=0) - teacher.sum(axis=0)
    rest = base - returned
    left = {Side.FIT_DEFICIT: interval(0 * base, 1.0), Side.EXCESS_GAP: interval(rest, -1.0)}
    # D + E' = excess − returned; a side that no cause takes up stays unexplained.
    sign = {frozenset(): (rest, 0.0), frozenset({Side.FIT_DEFICIT}): (rest, -1.0),
            frozenset({Side.EXCESS_GAP}): (0 * base, 1.0)}.get(taken, (0 * base, 0.0))  # fmt: skip
    return Account(
        {c: interval(student[i]) for i, c in enumerate(causes)},
        {c: interval(teacher[i]) for i, c in enumerate(causes)},
        {c: interval(student[i] - teacher[i]) for i, c in enumerate(causes)},
        left,
        interval(base),
        interval(*sign),
    )


def _columns(ledger: Ledger, claims: Sequence[Claim], causes: list[Cause]) -> Floats:
    """(n_B, 1 + 2k): the excess, then what each cause returned to student and to teacher."""
    n = len(ledger.student)
    table = np.zeros((n, 1 + 2 * len(causes)))
    table[:, 0] = ledger.student - ledger.teacher
    for claim in claims:
        if claim.returned is None or claim.returned.split != "heldout":
            continue
        i = causes.index(claim.cause)
        table[:, 1 + i] += claim.returned.student
        table[:, 1 + len(causes) + i] += claim.returned.teacher
    return table


def _add_train_rows(
    point: Floats,
    draws: Floats,
    claims: Sequence[Claim],
    causes: list[Cause],
    rng: np.random.Generator,
) -> None:
    """Add what was returned on train rows, resampled apart from the held-out rows."""
    for claim in claims:
        if claim.returned is None or claim.returned.split != "train":
            continue
        rows = np.stack([claim.returned.student, claim.returned.teacher], axis=1)
        again = bootstrap_means(rows, rng)
        for column, at in enumerate(
            (1 + causes.index(claim.cause), 1 + len(causes) + causes.index(claim.cause))
        ):
            point[at] += rows[:, column].mean()
            draws[:, at] += again[:, column]
