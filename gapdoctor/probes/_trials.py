"""What candidates do for the teacher, and which of those that help is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gapdoctor.domain.findings import Floats
from gapdoctor.probes._naming import GENERIC
from gapdoctor.probes._search import Suspect

SLACK = 0.05
"""Distance that ties may leave more, beyond twice the smallest."""
NEGLIGIBLE = 0.1
"""Share of the remaining loss by which candidates may differ and still tie."""
USUAL = ("rescale_input", "normalize", "swap_channels", "flip", "rotate", "brightness", "gamma")
"""Transforms that tie (a mirror image and half a turn of symmetric pictures): the first of these is
named, by how often they are reported."""
RARE = frozenset({"flip(diagonal)"})
"""Forms of these that are seldom reported."""


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
    remains of the loss, and leaves the inputs about as near.
    """
    sure = [t for t in trials if t.gain > t.doubt]
    if not sure:
        return None
    top = max(sure, key=lambda t: t.gain)
    allowed = NEGLIGIBLE * float(top.after.mean())
    helping = [
        t
        for t in sure
        if float((t.after - top.after).mean()) <= max(_error(t.after - top.after), allowed)
    ]
    near = 2 * min(t.suspect.left for t in helping) + SLACK
    ties = [t for t in helping if t.suspect.left <= near]
    best = min(ties, key=_specific)
    others = {t.suspect.candidate.correction for t in ties}
    return best.suspect, tuple(sorted(others - {best.suspect.candidate.correction}))


def _specific(trial: Trial) -> tuple[bool, int, int, float]:
    """Named before generic, fewer fitted numbers first, then what is reported more often."""
    candidate = trial.suspect.candidate
    usual = USUAL.index(candidate.correction) if candidate.correction in USUAL else len(USUAL)
    if candidate.text in RARE:  # a mirrored turn: a turn is likelier
        usual = len(USUAL)
    return candidate.correction == GENERIC, candidate.fitted, usual, trial.suspect.left


def _error(rows: Floats) -> float:
    return float(rows.std() / np.sqrt(max(1, len(rows) - 1)))
