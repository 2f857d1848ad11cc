"""What is written: the best that was verified and beats what the user has. Or nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from gapdoctor.domain.findings import Floats, Interval
from gapdoctor.domain.trials import CONTROL, Start
from gapdoctor.stats.paired import Compared, Family, PairedRows, compare_paired, rows_needed
from gapdoctor.verify.arms import Arm
from gapdoctor.verify.comparison import Comparison


@dataclass(frozen=True)
class Candidate:
    """What might be written."""

    name: str
    """A fix id, ids joined by `+`, or `control`."""
    arm: Arm
    """Its best seed on half A is the file."""
    free: bool = False
    """The given student with free corrections; nothing was trained."""

    @property
    def file_loss(self) -> float:
        """Loss on half A of the one student that would be written, nats."""
        return self.arm.only([self.arm.best_seed]).loss_on_a


@dataclass(frozen=True)
class Choice:
    """What is written, if anything."""

    name: str | None
    """None: no fix verified beats what the user has."""
    start: Start | None = None
    seed: int | None = None
    """Of the student that is written; None for free corrections."""
    temperature: float = 1.0
    """Its logits are divided by it."""
    improvement: Interval | None = None
    """Written − given on half B, nats; simultaneous over all candidates."""
    needed: tuple[str, ...] = ()
    """Where nothing is chosen: what kept each candidate back, and what would be needed."""


def candidates(
    comparisons: Sequence[Comparison], verified: Collection[str], controls: Sequence[Arm]
) -> tuple[Candidate, ...]:
    """Return what may be chosen: verified fixes that were trained, and the controls."""
    fixes = [
        Candidate(c.plan.id, c.fix)
        for c in comparisons
        if c.plan.id in verified and not c.plan.free
    ]
    return (*fixes, *(Candidate(CONTROL, arm) for arm in controls))


def choose(
    found: Sequence[Candidate],
    given: Arm,
    rng: np.random.Generator,
    *,
    corrected: Arm | None = None,
) -> Choice:
    """Choose the best candidate by half A whose file beats the given checkpoint on half B.

    The file is one student: that of the seed which loses least on half A. On half B its loss must
    be lower than that of what the user has, the intervals of all candidates holding together:
    several files were held against one. What was trained is compared with the given student at
    its own temperature, so that none wins by the scale of its logits alone; where free
    corrections were verified, also with the given student under them, since those are to be had
    without training. Free corrections are compared with the given student as it stands. A control
    never comes before a verified fix of its own start, since half B has said which is better.

    Parameters
    ----------
    found : sequence of Candidate
        Verified fixes and controls (`candidates`), and the free corrections that were verified,
        together, as one candidate.
    given : Arm
        What the user has.
    rng : Generator
        The only source of randomness.
    corrected : Arm, optional
        The given student under the verified free corrections.
    """
    if not found:
        return Choice(None)
    order = _in_order(_hopeful(found, given, corrected))
    gains = _against(order, [_as_given(c, given) for c in order], rng)
    bars = gains
    if corrected is not None:
        healed = corrected.b.loss
        bars = _against(order, [_as_given(c, given) if c.free else healed for c in order], rng)
    for candidate, gain, bar in zip(order, gains.arms, bars.arms, strict=True):
        if max(gain.difference.high, bar.difference.high) < 0:
            return _chosen(candidate, gain.difference)
    harder = [max(pair, key=lambda one: one[0].difference.high)
              for pair in zip(_each(gains), _each(bars), strict=True)]  # fmt: skip
    needed = (_needed(c, *one) for c, one in zip(order, harder, strict=True))
    return Choice(None, needed=tuple(needed))


def _hopeful(found: Sequence[Candidate], given: Arm, corrected: Arm | None) -> Sequence[Candidate]:
    """Leave out what half A says is no better: each one more widens the intervals on half B."""

    def bar(one: Candidate) -> float:
        if one.free:
            return float(given.a.before.mean())
        return min(given.loss_on_a, inf if corrected is None else corrected.loss_on_a)

    return [one for one in found if one.file_loss < bar(one)] or found


def _each(family: Family) -> list[tuple[Compared, Family]]:
    return [(one, family) for one in family.arms]


def _in_order(found: Sequence[Candidate]) -> list[Candidate]:
    """Return the order of half A, a control behind the verified fixes of its start."""

    def place(one: Candidate) -> tuple[float, bool, str]:
        is_control = one.name == CONTROL
        before = [
            other.file_loss
            for other in found
            if is_control and other.name != CONTROL and not other.free
            and other.arm.start == one.arm.start
        ]  # fmt: skip
        return max([one.file_loss, *before]), is_control, one.name

    return sorted(found, key=place)


def _against(
    order: Sequence[Candidate], others: Sequence[Floats], rng: np.random.Generator
) -> Family:
    """Return each file − the loss of something else, row by row on half B."""
    rows = order[0].arm.rows
    files = [c.arm.only([c.arm.best_seed]).b.loss for c in order]
    differences = [PairedRows(f - o, (0,)) for f, o in zip(files, others, strict=True)]
    return compare_paired(differences, rng, groups=rows.groups_in(rows.reporting))


def _as_given(candidate: Candidate, given: Arm) -> Floats:
    """Return the loss (1, n) of what the user has, as it is compared with this candidate."""
    return given.b.before if candidate.free else given.b.loss


def _chosen(candidate: Candidate, improvement: Interval) -> Choice:
    arm = candidate.arm
    return Choice(
        candidate.name, arm.start, None if candidate.free else arm.best_seed,
        arm.temperature(arm.best_seed), improvement,
    )  # fmt: skip


def _needed(candidate: Candidate, bar: Compared, family: Family) -> str:
    """Return why a candidate is not written, and how many rows its effect would take."""
    d = bar.difference
    told = f"{candidate.name}: its student loses {abs(d.value):.3g} nats"
    if d.value >= 0:
        return f"{told} more than the given one on half B; more rows would not help"
    rows = rows_needed(family.units, bar.standard_error, family.critical, d.value)
    if rows is None:
        return f"{told} less than the given one, on too few rows (or groups) to tell"
    return (
        f"{told} less than the given one, which may be chance ({d.low:.3g} to {d.high:+.3g}): "
        f"about {rows:,} rows (or groups) in half B, instead of {family.units:,}, would show it"
    )
