"""What every report format is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from gapdoctor.domain.diagnosis import Diagnosis


class Format(ABC):
    """A way to write a diagnosis down.

    A subclass sits alone in a file of this folder that bears its `name`. What it needs beside the
    standard library it imports when it renders, so that the list of formats costs nothing.
    """

    name: ClassVar[str]
    extension: ClassVar[str]
    """Of the file, without a dot."""

    @abstractmethod
    def render(self, diagnosis: Diagnosis) -> str:
        """Return the whole report; the same record gives the same text."""
