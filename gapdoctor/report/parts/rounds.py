"""What `fix` trained, in which order, and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

from gapdoctor.domain.trials import Outcome, Round
from gapdoctor.report.blocks import Block, Column, Grid
from gapdoctor.report.parts.fixes import spaced


def rounds(outcome: Outcome) -> tuple[Block, ...]:
    """Return the rounds in their order; nothing where nothing is known of them."""
    columns = (Column("Round", "number"), Column("Trained"), Column("Why"))
    every = {fix for one in outcome.rounds for fix in one.fixes}
    rows = tuple(
        (str(place), f"{', '.join(map(spaced, one.fixes))}; {_seeds(one.seeds)}", _why(one, every))
        for place, one in enumerate(outcome.rounds, 1)
    )
    note = (
        "What comes next is decided on half A, the choosing half; half B, which judges, has no say "
        "in it."
    )
    return (Grid("What was trained, one round after another", columns, rows, note),) if rows else ()


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) > 2 and all(b - a == 1 for a, b in pairwise(seeds)):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    between = " and " if len(seeds) == 2 else ", "
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {between.join(map(str, seeds))}"


def _why(one: Round, fixes: Collection[str]) -> str:
    """The reason, joint fixes in it apart as everywhere, so that a narrow column can break them."""
    told = one.reason
    for fix in sorted(fixes, key=len, reverse=True):  # a joint one before its parts
        told = told.replace(fix, spaced(fix))
    return told
