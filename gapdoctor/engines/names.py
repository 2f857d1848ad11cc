"""Which engines there are. Imports nothing heavy, so that a typo is told at once."""

from __future__ import annotations

from gapdoctor.errors import GapDoctorError


def check_engine(name: str) -> None:
    """Raise GapDoctorError where an engine is not known, or not here."""
    if name.partition(":")[0] == "ray":
        raise GapDoctorError(
            f"--engine {name}: ray is not supported by this version of gapdoctor",
            "--engine local: processes on this machine",
        )
    if name != "local":
        raise GapDoctorError(f"--engine {name}: not known", "--engine local")
