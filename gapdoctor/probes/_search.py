"""Looking for a transform that reached both models: by what the inputs look like, then by loss."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gapdoctor.corrections._base import Candidate, Context, Transform
from gapdoctor.corrections._statistics import Statistics
from gapdoctor.domain.findings import Floats
from gapdoctor.errors import DataError
from gapdoctor.observe.case import Split
from gapdoctor.observe.input_statistics import distance, input_statistics
from gapdoctor.observe.observations import Observations
from gapdoctor.probes._naming import GENERIC

Rows = NDArray[np.int64]

FEW = 64
"""Rows of each split on which all candidates are tried."""
BEYOND = 1.3
"""Times what chance puts between two samples, from which they look different."""
NEARLY = 0.3
"""Share of the distance that a transform may leave which cannot be undone: another strength of it
was used than is tried."""
NEGLIGIBLE = 0.1
"""Share of the remaining loss by which candidates may differ and still tie."""
KEPT = 8
"""Candidates that are tried on all rows."""


@dataclass(frozen=True)
class Suspect:
    """A candidate that the inputs do not speak against."""

    candidate: Candidate
    left: float
    """Distance between held-out and train statistics that it leaves, 0 to 1."""
    blind: bool = False
    """It does not change the statistics (a mirror image of symmetric data): only losses tell."""


@dataclass(frozen=True)
class Look:
    """How far the inputs of both splits are apart, and how far chance alone puts them."""

    mine: torch.Tensor
    """Held-out inputs of half A (n, …)."""
    usual: torch.Tensor
    """Train inputs (m, …)."""
    apart: float
    chance: float

    @classmethod
    def at(cls, mine: torch.Tensor, usual: torch.Tensor) -> Look:
        """Compare held-out with train inputs, and one half of the train inputs with the other."""
        like = input_statistics(usual)
        place = np.arange(len(like))
        halves = np.mean(
            [
                distance(like[half == 0], like[half == 1])
                for half in (place // k % 2 for k in (1, 2, 3))
            ]
        )
        # Kolmogorov–Smirnov distances of samples of one distribution go with √(1/n + 1/m).
        sizes = np.sqrt((1 / len(mine) + 1 / len(usual)) * len(usual) / 4)
        return cls(
            mine, usual, distance(input_statistics(mine), like), float(halves * sizes)
        )  # fmt: skip

    @property
    def differ(self) -> bool:
        """Whether the inputs look different: well above what two samples of one kind do."""
        return self.apart > BEYOND * self.chance


def suspects(candidates: Iterable[Candidate], look: Look, closer: float) -> list[Suspect]:
    """Return the candidates that bring the inputs of both splits together, the nearest first.

    A candidate that does not change the statistics of train rows can be told by losses only and
    stands behind the others. Where the inputs look alike, there are no others. All candidates are
    tried on a few rows, the nearest of them on all.

    Parameters
    ----------
    candidates : iterable of Candidate
        The grid.
    look : Look
        At the inputs.
    closer : float
        Share of the distance that a candidate may leave which is undone; the teacher's loss is
        asked about it. One that cannot be undone must leave about what chance does.
    """
    blind: list[Candidate] = []
    telling: list[Candidate] = []
    few = input_statistics(look.usual[:FEW])
    for candidate in candidates:
        (blind if _is_blind(candidate, look, few) else telling).append(candidate)
    found = [Suspect(candidate, look.apart, blind=True) for candidate in blind]
    if look.differ:
        kept = _nearest(telling, Look(look.mine[:FEW], look.usual[:FEW], 1.0, 1.0))[:KEPT]
        nearest = _nearest([candidate for _, candidate in kept], look)
        found += [Suspect(c, left) for left, c in nearest if left < _most(c, look, closer)]
    return sorted(found, key=lambda s: (s.blind, s.left, s.candidate.fitted, s.candidate.text))


def _most(candidate: Candidate, look: Look, closer: float) -> float:
    """What a candidate may leave; little, where no loss can tell whether it was undone."""
    if candidate.undo is not None:
        return closer * look.apart
    return min(max(BEYOND * look.chance, NEARLY * look.apart), closer * look.apart)


def _is_blind(candidate: Candidate, look: Look, few: Floats) -> bool:
    """`few`: statistics of the first train rows."""
    if candidate.undo is None:
        return False
    made = _changed(candidate.undo, look.usual[:FEW])
    if made is None:
        return True
    # What chance does to fewer rows is larger.
    chance = look.chance * np.sqrt(2 / len(few) / (1 / len(look.mine) + 1 / len(look.usual)))
    return bool(distance(input_statistics(made), few) < BEYOND * chance)


def _nearest(candidates: Iterable[Candidate], look: Look) -> list[tuple[float, Candidate]]:
    """Distance that each candidate leaves, the nearest first."""
    like, seen = input_statistics(look.usual), input_statistics(look.mine)
    found = []
    for candidate in candidates:
        undone = candidate.undo is not None
        change = candidate.undo or candidate.do
        assert change is not None
        made = _changed(change, look.mine if undone else look.usual)
        if made is not None:
            found.append((distance(input_statistics(made), like if undone else seen), candidate))
    return sorted(found, key=lambda f: (f[0], f[1].fitted, f[1].text))


def _changed(change: Transform, batch: torch.Tensor) -> torch.Tensor | None:
    try:
        return change(batch)
    except DataError:  # a correction may not be for samples of this shape
        return None


@dataclass(frozen=True)
class Trial:
    """What a candidate does for the teacher on rows of half A."""

    suspect: Suspect
    before: Floats
    """(n,) nats."""
    after: Floats
    """(n,) nats of the same rows, undone."""

    @property
    def gain(self) -> float:
        """Nats that come back, mean."""
        return float((self.before - self.after).mean())

    @property
    def error(self) -> float:
        """Standard error of that."""
        return _error(self.before - self.after)

    @property
    def doubt(self) -> float:
        """What a gain must exceed: more, where the inputs say nothing for the candidate."""
        return self.error * (2 if self.suspect.blind else 1)


def most_specific(trials: Sequence[Trial]) -> tuple[Suspect, tuple[str, ...]] | None:
    """Return the suspect with the fewest fitted numbers near the best, and the ids that tie.

    Near is what loses no more to the best, row by row, than one standard error or a tenth of what
    remains of the loss.
    """
    sure = [t for t in trials if t.gain > t.error]
    if not sure:
        return None
    top = max(sure, key=lambda t: t.gain)
    allowed = NEGLIGIBLE * float(top.after.mean())
    ties = [
        t
        for t in sure
        if float((t.after - top.after).mean()) <= max(_error(t.after - top.after), allowed)
    ]
    best = min(ties, key=_specific)
    others = {t.suspect.candidate.correction for t in ties}
    return best.suspect, tuple(sorted(others - {best.suspect.candidate.correction}))


def _specific(trial: Trial) -> tuple[bool, int, float, float]:
    """Named before generic, fewer fitted numbers first, then by what the inputs say."""
    candidate = trial.suspect.candidate
    return candidate.correction == GENERIC, candidate.fitted, trial.suspect.left, -trial.gain


def _error(rows: Floats) -> float:
    return float(rows.std() / np.sqrt(max(1, len(rows) - 1)))


def finite_rows(seen: Observations, split: Split, positions: Rows) -> Rows:
    """Return the positions whose inputs are finite, through each pipeline that is compared."""
    keep = np.ones(len(positions), dtype=bool)
    for pipeline in ("train", "inference") if split is Split.HELDOUT else ("train",):
        inputs = seen.inputs(split, positions, pipeline)
        keep &= inputs.reshape(len(inputs), -1).isfinite().all(dim=1).numpy()
    return positions[keep]


def context_of(
    seen: Observations, train: tuple[torch.Tensor, Rows], heldout: tuple[torch.Tensor, Rows]
) -> Context:
    """Return what candidates are made from: inputs and labels of train and held-out rows."""
    classes = len(seen.classes)
    found = [
        Statistics.of(batch, torch.from_numpy(labels), classes)
        for batch, labels in (train, heldout)
    ]
    return Context(found[0], found[1], tuple(train[0].shape[1:]))
