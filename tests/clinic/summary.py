"""Scores and failures as plain text, for whoever runs the clinic."""

from __future__ import annotations

from collections.abc import Sequence

from tests.clinic.aims import MEASURES
from tests.clinic.outcomes import Outcome
from tests.clinic.score import Scores, Share, is_failure


def summary(scores: Scores) -> str:
    """Return the scores as plain text."""
    lines = [
        f"{scores.cases} pairs: {scores.faulty} with a fault, {scores.healthy} healthy "
        f"({scores.healthy_students} students)"
    ]
    for measure in MEASURES:
        missed = "  MISSED" if measure.met(scores) is False else ""
        lines.append(f"{measure.label:42} {_told(measure.of(scores))}  {measure.aim}{missed}")
    brier = scores.brier
    lines.append(f"{'Brier score':42} {brier.value:.3f} [{brier.low:.3f}, {brier.high:.3f}]")
    lines += [
        f"confidence {one.low:.2f} to {one.high:.2f}, mean {one.confidence:.2f}: right in "
        f"{_told(one.share)}{'' if one.inside else '  OUTSIDE'}"
        for one in scores.bins
    ]
    for label, shares in (("fault", scores.by_fault), ("cell", scores.by_cell)):
        told = ", ".join(f"{name} {s.hits}/{s.cases}" for name, s in shares.items())
        lines.append(f"top-1 by {label}: {told}")
    return "\n".join(lines) + "\n"


def failures(outcomes: Sequence[Outcome]) -> str:
    """Return what was planted and what was said, a line each where they differ."""
    wrong = [o for o in outcomes if is_failure(o)]
    lines = [f"{len(wrong)} of {len(outcomes)} not as planted"]
    for o in wrong:
        wanted = "|".join(o.truth) or "healthy"
        wanted += f" + {'|'.join(o.second)}" if o.second else ""
        lines.append(
            f"- {o.name} ({o.damage:+.2f} nats, excess {o.excess:+.2f}): wanted {wanted}"
            + (f" by {'|'.join(o.corrections)}" if o.corrections else "")
            + f"; said {o.told}"
        )
    crashed = {c for o in outcomes for c in o.crashed}
    lines += [f"- crashed: {c}" for c in sorted(crashed)]
    return "\n".join(lines) + "\n"


def _told(share: Share) -> str:
    if not share.cases:
        return "none"
    low, high = share.interval.low, share.interval.high
    return f"{share.hits}/{share.cases} = {share.value:.1%} [{low:.1%}, {high:.1%}]"
