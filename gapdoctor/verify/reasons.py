"""The rules of `verified`, and the words for what keeps a fix from it."""

from __future__ import annotations

from math import isfinite

from gapdoctor.domain.findings import Interval
from gapdoctor.domain.trials import FixRecord
from gapdoctor.stats.paired import MIN_UNITS, Compared, Family, rows_needed
from gapdoctor.verify.comparison import Comparison

VERIFYING_SEEDS = 3
"""Seeds in each of which a fix must be better; with fewer it is promising."""
ACCURACY_FALL = 0.01
"""Share of rows by which accuracy may be lower in its estimate: a point."""


def unread(comparison: Comparison) -> str:
    """Return why a fix was not judged on half B."""
    if not comparison.seeds:
        return "no seed was finished by both it and its control"
    on_a = float(comparison.on_a().rows.mean())
    if on_a >= 0:
        return f"not better than its control on half A ({on_a:+.3g} nats): not judged on half B"
    return f"others did better on half A ({on_a:+.3g} nats): not judged on half B"


def failing_of(found: Compared, accuracy: Interval, units: int) -> list[str]:
    """Return what speaks against a fix, each in words."""
    reasons, d = [], found.difference
    if not isfinite(d.high):
        reasons.append(f"half B has {units} rows or groups, too few to tell (at least {MIN_UNITS})")
    elif d.value >= 0:
        reasons.append(f"it loses {d.value:.3g} nats more than what it is compared with")
    elif d.high >= 0:
        reasons.append(
            f"the difference may be chance: {d.value:.3g} nats, between {d.low:.3g} "
            f"and {d.high:+.3g}"
        )
    if accuracy.value < -ACCURACY_FALL:
        reasons.append(
            f"accuracy falls by {-100 * accuracy.value:.2g} points, more than "
            f"{100 * ACCURACY_FALL:.0f}"
        )
    elif accuracy.high < 0:
        reasons.append(
            f"accuracy falls, by {-100 * accuracy.high:.2g} to {-100 * accuracy.low:.2g} points"
        )
    return reasons


def split_seeds(found: Compared) -> list[str]:
    """Return in how many seeds a fix that is better on average is no better."""
    worse = int((found.by_seed >= 0).sum())
    if not worse or found.difference.value >= 0:
        return []
    return [f"it is no better in {worse} of {len(found.by_seed)} seeds"]


def too_few(seeds: int) -> str:
    """Return what is missing where nothing else speaks against a fix."""
    told = "1 seed" if seeds == 1 else f"{seeds} seeds"
    return f"better in {told}; {VERIFYING_SEEDS} are needed to verify it"


def needed_for(record: FixRecord, found: Compared, family: Family) -> str:
    """Return what would be needed to verify a fix that seems better."""
    if record.status == "promising":
        return f"{record.id}: --seeds {VERIFYING_SEEDS}"
    effect = found.difference.value
    if not isfinite(found.difference.high):
        return f"{record.id}: more rows (or groups) in half B"
    if found.difference.high < 0:
        return f"{record.id}: more seeds, or no fall of accuracy ({record.reason})"
    rows = rows_needed(family.units, found.standard_error, family.critical, effect)
    return (
        f"{record.id}: about {rows:,} rows (or groups) in half B, instead of {family.units:,}, "
        f"to show {effect:.3g} nats at a power of 80 %"
    )
