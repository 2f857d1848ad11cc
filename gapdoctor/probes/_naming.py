"""Naming a transform: what makes one batch of inputs out of another, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch.nn import functional

from gapdoctor.corrections._base import Candidate
from gapdoctor.errors import DataError
from gapdoctor.probes._climbing import climbed, first_of_each

GENERIC = "match_statistics"
"""Fits nearly anything: named only where no other candidate comes near."""
FEW = 48
"""Rows on which all candidates are tried."""
CLIMBED = 3
"""Transforms whose strength is looked for between those of the grid."""
KEPT = 8
"""Candidates that are tried on all rows."""


@dataclass(frozen=True)
class Named:
    """The candidate that fits, and those that fit as well."""

    candidate: Candidate
    others: tuple[str, ...]
    """Ids of other corrections that tie."""
    difference: float
    """What it leaves between the two batches, in standard deviations of the wanted one."""
    untouched: float
    """The difference without it."""

    @property
    def summary(self) -> str:
        """One sentence for the ranking."""
        return summary_of(self.candidate, self.others)


def summary_of(candidate: Candidate, others: Iterable[str]) -> str:
    """Return the sentence that names a correction; long arguments are left to the claim."""
    how = (
        "At inference the inputs look as if this had been done to them"
        if candidate.undo is None
        else "The inputs at inference are not those of training; this mends them"
    )
    text = f"{how}: {candidate.label} ({candidate.correction})."
    ties = ", ".join(sorted(others))
    return f"{text} As likely: {ties}." if ties else text


def fitting(
    candidates: Iterable[Candidate], wrong: torch.Tensor, right: torch.Tensor
) -> list[tuple[float, float, Candidate]]:
    """Return (difference with it, difference without it, candidate), the nearest first.

    What can be undone is undone on `wrong` and compared with `right`; what cannot be is done to
    `right` and compared with `wrong`. Rows of both batches correspond. All candidates are tried on
    a few rows, the nearest of them on all.
    """
    few = _fitting(candidates, wrong[:FEW], right[:FEW])

    def far(other: Candidate) -> float | None:
        tried = _fitting([other], wrong[:FEW], right[:FEW])
        return tried[0][0] if tried else None

    first = first_of_each((left, c) for left, _, c in few)[:CLIMBED]
    between = [climbed(c, far, left)[1] for left, c in first]
    chosen = {c.text: c for c in [*(c for _, _, c in few[:KEPT]), *between]}
    return _fitting(chosen.values(), wrong, right)


def rearranging(
    candidates: Iterable[Candidate], wrong: torch.Tensor, right: torch.Tensor
) -> list[tuple[float, float, Candidate]]:
    """Return the same of images seen at half their resolution, of what can be undone.

    What was made smaller and is enlarged again is not as sharp as it was.
    """
    if right.ndim != 4 or min(right.shape[2:]) < 4:
        return []
    undone = [c for c in candidates if c.undo is not None]
    return _fitting(undone, wrong, right, functional.avg_pool2d)


def _same(batch: torch.Tensor, _: int) -> torch.Tensor:
    return batch


def _fitting(
    candidates: Iterable[Candidate],
    wrong: torch.Tensor,
    right: torch.Tensor,
    view: Callable[[torch.Tensor, int], torch.Tensor] = _same,
) -> list[tuple[float, float, Candidate]]:
    seen = view(wrong, 2), view(right, 2)
    plain = relative(seen[0], seen[1]), relative(seen[1], seen[0])
    found = []
    for candidate in candidates:
        undone = candidate.undo is not None
        made, wanted = _made(candidate, wrong if undone else right), right if undone else wrong
        if made is not None and made.shape == wanted.shape:
            left = relative(view(made, 2), seen[1 if undone else 0])
            found.append((left, plain[0 if undone else 1], candidate))
    return sorted(found, key=lambda f: (f[0], f[2].fitted, f[2].text))


@dataclass(frozen=True)
class Limits:
    """When a candidate names the transform; differences are in standard deviations."""

    near_best: float
    """Times the smallest difference up to which candidates tie."""
    near_generic: float
    """The same where `match_statistics` is the best: named corrections go before it."""
    slack: float
    """Added to that: rounding and clipping are no reason."""
    leaves: float
    """Share of the difference that it may leave."""
    leaves_alone: float
    """The same where every other correction leaves clearly more."""
    clearly: float
    """Times its difference that these must leave."""
    fitted: tuple[float, float]
    """Standard deviations and share of the difference that a named correction may leave and still
    go before `match_statistics`, which is fitted to these very rows."""


def named(fits: list[tuple[float, float, Candidate]], limits: Limits) -> Named | None:
    """Return the most specific candidate among those that fit about as well as the best, or None.

    Parameters
    ----------
    fits : list
        From `fitting`.
    limits : Limits
        What fits, and what ties.
    """
    if not fits:
        return None
    near = fits[0][0] * limits.near_generic + limits.slack
    near = max(near, min(limits.fitted[0], limits.fitted[1] * fits[0][1]))
    known = [f for f in fits if f[2].correction != GENERIC]
    well = known if known and known[0][0] <= near else fits
    most = well[0][0] * limits.near_best + limits.slack
    ties = [f for f in well if f[0] <= most]
    best = min(ties, key=lambda f: (f[2].correction == GENERIC, f[2].fitted, f[0]))
    if best[0] > limits.leaves * best[1] and not _alone(best, fits, limits):
        return None
    others = sorted({f[2].correction for f in ties} - {best[2].correction})
    return Named(best[2], tuple(others), best[0], best[1])


def _alone(
    best: tuple[float, float, Candidate],
    fits: list[tuple[float, float, Candidate]],
    limits: Limits,
) -> bool:
    """Whether it fits but roughly (another strength of it was used), and nothing else does."""
    known = {best[2].correction, GENERIC}
    others = min((f[0] for f in fits if f[2].correction not in known), default=best[1])
    return best[0] <= limits.leaves_alone * best[1] and others >= limits.clearly * best[0]


def relative(made: torch.Tensor, wanted: torch.Tensor) -> float:
    """Return the root mean square difference in standard deviations of `wanted`, by channel.

    Columns of a table have units of their own; a channel of one value counts in the mean of all
    deviations.
    """
    made, wanted = (_by_channel(t) for t in (made, wanted))
    spread = wanted.std(dim=1, unbiased=False)
    spread = torch.where(spread > 0, spread, spread.mean().clamp_min(1e-12))
    off = (made - wanted).square().mean(dim=1).sqrt() / spread
    return float(off.square().mean().sqrt())


def _by_channel(batch: torch.Tensor) -> torch.Tensor:
    rows = batch.double()
    return rows.reshape(1, -1) if rows.ndim == 3 else rows.transpose(0, 1).flatten(1)


def _made(candidate: Candidate, batch: torch.Tensor) -> torch.Tensor | None:
    change = candidate.undo or candidate.do
    assert change is not None
    try:
        return change(batch)
    except DataError:  # a correction may not be for samples of this shape
        return None
