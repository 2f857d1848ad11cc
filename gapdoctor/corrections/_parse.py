"""Corrections as the config writes them."""

from __future__ import annotations

import re
from functools import cache

from gapdoctor.corrections._argument import one_of
from gapdoctor.corrections._base import Candidate, Correction, all_corrections

_TEXT = re.compile(r"\s*(\w+)\s*(?:\((.*)\)\s*)?", re.DOTALL)


def parse_correction(text: str) -> Candidate:
    """Return the candidate that a config entry names: `swap_channels`, `rescale_input(255)`.

    Parameters
    ----------
    text : str
        As `Candidate.text` wrote it.

    Raises
    ------
    ValueError
        When no correction has this name, with the nearest one, or when the argument is none of
        its own, with what it takes.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r}: a correction is written name or name(argument)")
    known = _known()
    name = one_of(match[1], known, "correction")
    try:
        return known[name].parse((match[2] or "").strip())
    except ValueError as error:
        raise ValueError(f"{text.strip()}: {error}") from error


@cache
def _known() -> dict[str, Correction]:
    """Corrections hold no state: the folder is read once."""
    return {correction.name: correction for correction in all_corrections()}
