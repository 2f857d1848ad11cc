"""How long work tells where it stands. The library itself shows nothing."""

from __future__ import annotations


class Progress:
    """The silent one; the command line gives one that draws (`gapdoctor.cli.console`)."""

    def stage(self, name: str, total: int) -> None:
        """Begin a stage of `total` units (rows, probes); the one before has ended."""

    def advance(self, units: int = 1) -> None:
        """Tell that `units` more are done."""

    def note(self, statement: str) -> None:
        """Tell something in passing, one line."""

    def close(self) -> None:
        """The work has ended, well or not."""
