"""Between the candidates of the grid: the strength of a transform that was used in earnest."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable

from gapdoctor.corrections._base import Candidate
from gapdoctor.corrections._parse import parse_correction

ROUNDS = 7
"""Steps, at most."""
WIDE = (3.0, 2.0, 1 / 2, 1 / 3)
"""Factors that are tried first: the way there need not lead downhill."""
STEP = 1.4
"""Factor of the first one; it shrinks to its root where neither way is better."""
FINEST = 1.02
"""Factor below which nothing is looked for."""
_NUMBER = re.compile(r"(?<![\w.:/])\d+(?:\.\d+)?(?![\w.:/])")


def climbed(
    candidate: Candidate,
    far: Callable[[Candidate], float | None],
    distance: float,
    wide: tuple[float, ...] = WIDE,
    step: float = STEP,
) -> tuple[float, Candidate]:
    """Return (distance, candidate) of the nearest strength around that of a candidate.

    Parameters
    ----------
    candidate : Candidate
        Of the grid; one whose argument holds no strength is returned as it is.
    far : callable
        What a candidate leaves; None where it cannot be used.
    distance : float
        What `candidate` leaves.
    wide : tuple of float
        Factors that are tried first.
    step : float
        First factor after that.
    """
    best = _best((distance, candidate), far, wide)
    for _ in range(ROUNDS):
        nearer = _best(best, far, (step, 1 / step))
        if nearer is best:
            step = math.sqrt(step)
        best = nearer
        if step < FINEST:
            break
    return best


def _best(
    known: tuple[float, Candidate],
    far: Callable[[Candidate], float | None],
    factors: tuple[float, ...],
) -> tuple[float, Candidate]:
    found = known
    for factor in factors:
        other = varied(known[1], factor)
        left = None if other is None else far(other)
        if other is not None and left is not None and left < found[0]:
            found = (left, other)
    return found


def first_of_each(
    fits: Iterable[tuple[float, Candidate]],
) -> list[tuple[float, Candidate]]:
    """Return the first candidate of each transform whose strength can be another.

    A blur and an enlarged thumbnail are two transforms of one correction.
    """
    known: dict[str, tuple[float, Candidate]] = {}
    for fit in fits:
        if varied(fit[1], STEP) is not None:
            known.setdefault(_NUMBER.sub("", fit[1].text, count=1), fit)
    return list(known.values())


def varied(candidate: Candidate, factor: float) -> Candidate | None:
    """Return the candidate at another strength: the one number of its argument times a factor.

    None where there is no such number, or where it is fixed: a factor that is undone (255, 90°) is
    one of a few by its nature, a quality or a share is any.
    """
    first, comma, rest = candidate.argument.partition(",")
    numbers = list(_NUMBER.finditer(first))
    fixed = candidate.undo is not None and first[:1].isdigit()
    if len(numbers) != 1 or fixed or candidate.fitted:
        return None
    start, stop = numbers[0].span()
    value = float(first[start:stop]) * factor
    for text in (f"{value:.3g}", str(max(1, round(value)))):
        argument = f"{first[:start]}{text}{first[stop:]}{comma}{rest}"
        try:
            found = parse_correction(f"{candidate.correction}({argument})")
        except ValueError:  # a quality is whole, a share below one
            continue
        return found if found.argument != candidate.argument else None
    return None
