"""The arguments of a bigger student: those the config gives, else guessed from the signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gapdoctor.loading import reference
from gapdoctor.loading.sections import StudentSection

WIDTHS = (
    "width", "base_width", "base_channels", "num_channels", "n_channels", "width_mult",
    "width_multiplier", "widths", "hidden", "hidden_size", "hidden_sizes", "hidden_dim",
    "hidden_dims", "hidden_channels", "hidden_features", "hidden_units", "n_hidden", "num_hidden",
    "num_filters", "n_filters", "filters", "planes",
)  # fmt: skip
"""Names that tell how wide the inner layers are, the surest first. None that may tell of inputs or
classes (`channels`, `dim`, `features`), and none of depth: a wider student has the same layers."""
FACTOR = 2
"""Twice the width is about four times the parameters (starting value)."""


def larger_args(section: StudentSection) -> Mapping[str, Any] | None:
    """Return what a bigger student is built with beside `args`; None where nothing tells.

    Parameters
    ----------
    section : StudentSection
        Its `larger` counts; left out, the first argument of its model that names a width is
        doubled, as it is given or as the signature has it. `larger = {}` guesses nothing.
    """
    if section.larger is not None:
        return section.larger or None
    known = {**reference.defaults(section.model), **section.args}
    for name in WIDTHS:
        wider = _doubled(known.get(name))
        if wider is not None:
            return {name: wider}
    return None


def _doubled(value: Any) -> Any:
    """Return a width, or several, times `FACTOR`; None for what is none."""
    if isinstance(value, list | tuple):
        each = [_doubled(v) for v in value]
        return each if each and None not in each else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return FACTOR * value if is_number and value > 0 else None
