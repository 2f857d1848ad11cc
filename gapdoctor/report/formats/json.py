"""The record itself."""

from __future__ import annotations

from typing import ClassVar

from gapdoctor.domain.diagnosis import Diagnosis
from gapdoctor.report.formats._base import Format
from gapdoctor.storage import to_json


class Json(Format):
    """The whole diagnosis for programs, by the JSON Schema `gapdoctor.diagnosis/1`."""

    name: ClassVar[str] = "json"
    extension: ClassVar[str] = "json"

    def render(self, diagnosis: Diagnosis) -> str:
        """Return the text of `diagnosis.json`."""
        return to_json(diagnosis)
