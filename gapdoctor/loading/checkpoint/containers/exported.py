"""A program of torch.export: recognised, never run here."""

from __future__ import annotations

from typing import ClassVar

from gapdoctor.loading.checkpoint._open import Opened
from gapdoctor.loading.checkpoint.containers._base import Container, Contents


class Exported(Container):
    """What `torch.export.save` writes: an archive with `models/` and `archive_format`."""

    name: ClassVar[str] = "exported"
    names_format: ClassVar[bool] = True

    def holds(self, opened: Opened) -> bool:
        """Tell by `archive_format`, or by the older `serialized_exported_program.json`."""
        marks = ("archive_format", "serialized_exported_program.json")
        inside = {name.rpartition("/")[2] for name in opened.members}
        return any(mark in inside for mark in marks)

    def read(self, opened: Opened, *, unsafe: bool) -> Contents:
        """Say what it is: its weights cannot be told from its program without running it."""
        return Contents(
            {}, ('A program: it is run only where the config says model = "exported".',)
        )
