"""Looking for a transform that reached both models: by what the inputs look like, then by loss."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from gapdoctor.corrections._base import Candidate, Transform
from gapdoctor.corrections._parse import parse_correction
from gapdoctor.domain.findings import Floats
from gapdoctor.errors import DataError
from gapdoctor.observe.input_statistics import distance, distances, input_statistics, layout
from gapdoctor.probes._climbing import STEP, climbed, first_of_each
from gapdoctor.probes._naming import GENERIC

FEW = 64
"""Rows of each split on which all candidates are tried."""
BEYOND = 1.3
"""Times what chance puts between two samples, from which they look different."""
CLEARLY = 2.5
"""Times chance from which they look clearly different."""
ALIKE = 1.7
"""Times chance up to which they look alike with a transform undone."""
NEARLY = 0.3
"""Share of the distance that a transform may leave which cannot be undone: another strength of it
was used than is tried."""
REARRANGED = 0.6
"""Share of the distance in the layout that a candidate may leave which cannot mend sharpness."""
SURELY = 2.0
"""Times √(1/n + 1/m): Kolmogorov–Smirnov distance of a column that differs (p < 0.001)."""
NEARLY_ALL = 0.95
"""Share of the distance beyond which no strength is looked for."""
KEPT = 8
"""Candidates that are tried on all rows."""
CLIMBED = 3
"""Transforms whose strength is looked for between those of the grid."""


@dataclass(frozen=True)
class Suspect:
    """A candidate that the inputs do not speak against."""

    candidate: Candidate
    left: float
    """Distance between held-out and train statistics that it leaves, 0 to 1."""
    blind: bool = False
    """It does not change the statistics (a mirror image of symmetric data): only losses tell."""
    mends: bool = False
    """The inputs looked clearly different, and look alike with it."""


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
    def clearly_differ(self) -> bool:
        """Whether they look as if something had been done to them."""
        return self.apart > CLEARLY * self.chance

    @property
    def differ(self) -> bool:
        """Whether the inputs look different: well above what two samples of one kind do."""
        return self.apart > BEYOND * self.chance

    def mended(self, left: float) -> bool:
        """Whether inputs that were clearly different are alike again."""
        return self.clearly_differ and left < max(ALIKE * self.chance, NEARLY * self.apart)


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
    candidates = [*candidates]
    candidates += sparing(candidates, look)
    blind: list[Candidate] = []
    telling: list[Candidate] = []
    few = input_statistics(look.usual[:FEW])
    for candidate in candidates:
        (blind if _is_blind(candidate, look, few) else telling).append(candidate)
    found = [Suspect(candidate, look.apart, blind=True) for candidate in blind]
    if look.differ:
        nearest = _refined(_nearest(_kept(telling, look), look), look)
        kept_on = {c.text for left, c in nearest if left < _most(c, look, closer)}
        found += [
            Suspect(c, left, mends=look.mended(left)) for left, c in nearest if c.text in kept_on
        ]
        others = [c for c in telling if c.undo is not None and c.text not in kept_on]
        found += [Suspect(c, look.apart, blind=True) for c in _rearranging(others, look)]
    return sorted(found, key=lambda s: (s.blind, s.left, s.candidate.fitted, s.candidate.text))


def sparing(candidates: Iterable[Candidate], look: Look) -> list[Candidate]:
    """Return `match_statistics` of those columns of a table that differ, where others do not.

    Matching the rest as well would only add the noise of its fit.
    """
    if look.mine.ndim != 2:
        return []
    apart = distances(input_statistics(look.mine), input_statistics(look.usual))
    off = apart > SURELY * np.sqrt(1 / len(look.mine) + 1 / len(look.usual))
    found = []
    for candidate in candidates:
        if candidate.correction != GENERIC or len(off) != look.mine.shape[1]:
            continue
        factors, offsets = (
            [float(word) for word in side.split()] for side in candidate.argument.split(";")
        )
        kept = "; ".join(
            " ".join(f"{x:.6g}" for x in np.where(off, side, neutral))
            for side, neutral in ((factors, 1.0), (offsets, 0.0))
        )
        if off.any() and not off.all():
            found.append(parse_correction(f"{GENERIC}({kept})"))
    return found


def _rearranging(candidates: Iterable[Candidate], look: Look) -> list[Candidate]:
    """Those that put things back in their place, whatever they leave of the sharpness.

    What was made smaller and is enlarged again is not as sharp as it was.
    """
    like, seen = input_statistics(look.usual), input_statistics(look.mine)
    where = layout(like, tuple(look.mine.shape[1:]))
    apart = distance(seen[:, where], like[:, where])
    if where.all() or apart < BEYOND * look.chance:
        return []
    found = []
    for candidate in candidates:
        assert candidate.undo is not None
        made = _changed(candidate.undo, look.mine)
        if made is not None:
            left = distance(input_statistics(made)[:, where], like[:, where])
            if left < REARRANGED * apart:
                found.append((left, candidate))
    return [candidate for _, candidate in sorted(found, key=lambda f: (f[0], f[1].text))]


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
    if distance(input_statistics(made), few) > BEYOND * chance:
        return False
    whole = _changed(candidate.undo, look.usual)
    assert whole is not None
    return distance(input_statistics(whole), input_statistics(look.usual)) < BEYOND * look.chance


def _kept(telling: list[Candidate], look: Look) -> list[Candidate]:
    """The nearest on a few rows, and the nearest strengths of the nearest transforms."""
    few = Look(look.mine[:FEW], look.usual[:FEW], 1.0, 1.0)
    ranked = _nearest(telling, few)
    first = first_of_each(ranked)[:CLIMBED]
    between = [climbed(c, lambda other: _left(other, few), left)[1] for left, c in first]
    return list({c.text: c for c in [*(c for _, c in ranked[:KEPT]), *between]}.values())


def _refined(nearest: list[tuple[float, Candidate]], look: Look) -> list[tuple[float, Candidate]]:
    """Add the nearest strength on all rows, of the transform that lies nearest."""
    first = next(iter(first_of_each(nearest)), None)
    if first is None or first[0] > NEARLY_ALL * look.apart:
        return nearest
    left, found = climbed(
        first[1], lambda other: _left(other, look), first[0], wide=(), step=math.sqrt(STEP)
    )
    return sorted([*nearest, (left, found)], key=lambda f: f[0]) if left < first[0] else nearest


def _left(candidate: Candidate, look: Look) -> float | None:
    tried = _nearest([candidate], look)
    return tried[0][0] if tried else None


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
