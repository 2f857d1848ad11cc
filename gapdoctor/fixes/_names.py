"""Whether what is named with `--only` and `--skip` are fixes. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from gapdoctor.domain.trials import WITHOUT_TEACHER
from gapdoctor.errors import GapDoctorError


def check_names(only: Sequence[str], skip: Sequence[str], known: Sequence[str]) -> None:
    """Raise GapDoctorError where `only` or `skip` names no fix; the hint tells the nearest."""
    for flag, given, names in (("only", only, known), ("skip", skip, [*known, WITHOUT_TEACHER])):
        for name in given:
            if name not in names:
                near = get_close_matches(name, names, n=1)
                hint = f"did you mean {near[0]}?" if near else "gapdoctor explain lists the fixes"
                raise GapDoctorError(f"--{flag} {name}: no fix has this name", hint)
