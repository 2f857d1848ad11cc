"""Corrections that the config names, made ready to be applied."""

from __future__ import annotations

from dataclasses import replace

from gapdoctor.corrections._base import Transform
from gapdoctor.corrections._parse import parse_correction
from gapdoctor.errors import ConfigError
from gapdoctor.observe.case import Case


def with_corrections(case: Case) -> Case:
    """Return the case with the corrections of its `preprocess` as callables on a batch.

    Raises
    ------
    ConfigError
        When a text names no correction, or one that cannot be undone.
    """
    given = case.preprocess.corrections
    if not any(isinstance(entry, str) for entry in given):
        return case
    steps = tuple(_undone(entry) if isinstance(entry, str) else entry for entry in given)
    return replace(case, preprocess=replace(case.preprocess, corrections=steps))


def _undone(text: str) -> Transform:
    try:
        candidate = parse_correction(text)
    except ValueError as error:
        raise ConfigError(
            f"preprocess.corrections: {error}", "gapdoctor explain lists the corrections"
        ) from error
    if candidate.undo is None:
        raise ConfigError(
            f"preprocess.corrections: {text}: {candidate.label} cannot be undone",
            "use the train pipeline at inference, or retrain on inputs like those",
        )
    return candidate.undo
