"""A comparison as sections, as a text for programs, and in each format."""

from __future__ import annotations

import json
from typing import Any

from gapdoctor.domain.diagnosis import Diagnosis, RankedCause
from gapdoctor.errors import GapDoctorError
from gapdoctor.report.blocks import Block, Section
from gapdoctor.report.clean import cleaned
from gapdoctor.report.comparison import COMPARISON_SCHEMA, Comparison
from gapdoctor.report.parts import comparison
from gapdoctor.storage.codec import plain

FORMATS = {"text": "txt", "html": "html", "md": "md", "json": "json"}
"""Extension of each format's file."""


def sections_of(found: Comparison) -> tuple[Section, ...]:
    """Return the sections of a comparison; those without content are left out."""
    c = cleaned(found)
    parts: tuple[tuple[str, str, tuple[Block, ...]], ...] = (
        ("comparison", "Before and after", (comparison.lead(c),)),
        ("cautions", "Read with care", comparison.cautions(c)),
        ("gap", "The gap", comparison.gap(c)),
        ("causes", "Causes", comparison.causes(c)),
        ("warnings", "Warnings", comparison.warnings(c)),
        ("recipe", "Recipe", comparison.recipe(c)),
        ("inputs", "What was compared", comparison.inputs(c)),
    )
    return tuple(Section(id_, title, blocks) for id_, title, blocks in parts if blocks)


def render_comparison(
    found: Comparison, format: str, *, width: int = 80, color: bool = False
) -> str:
    """Return a comparison in one format.

    Parameters
    ----------
    found : Comparison
        What `compare` returned.
    format : str
        `text`, `html`, `md` or `json`.
    width, color
        Of `text` (see `gapdoctor.report.terminal.screen`).

    Raises
    ------
    GapDoctorError
        When there is no such format.
    """
    if format == "json":
        return to_json(found)
    if format == "text":
        from gapdoctor.report.terminal import screen

        return screen(sections_of(found), width=width, color=color)
    if format == "md":
        from gapdoctor.report.formats.md import ticket

        return ticket(sections_of(found))
    if format == "html":
        from gapdoctor.report.formats.html import page

        return page(sections_of(found), found.after.version)
    raise GapDoctorError(f"--format {format!r} is not known", f"one of {', '.join(FORMATS)}")


def to_json(found: Comparison) -> str:
    """Return the text of a comparison for programs; numbers as in `diagnosis.json`."""
    content: dict[str, Any] = {
        "schema": COMPARISON_SCHEMA,
        "trend": found.trend,
        "before": _told(found.before),
        "after": _told(found.after),
        "measured": plain(found.measured),
        "causes": [
            {
                "id": str(c.id),
                "state": c.state,
                "before": _cause(c.before),
                "after": _cause(c.after),
                "unasked": list(c.unasked),
            }
            for c in found.causes
        ],
        "warnings": plain(found.warnings),
        "recipe": plain(found.recipe),
        "cautions": list(found.cautions),
    }
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _told(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "version": diagnosis.version,
        "created": diagnosis.created,
        "seed": diagnosis.seed,
        "command": diagnosis.command,
        "student": plain(diagnosis.student),
        "teacher": plain(diagnosis.teacher),
        "verdict": str(diagnosis.verdict),
        "limit": plain(diagnosis.gap.limit),
    }


def _cause(cause: RankedCause | None) -> dict[str, Any] | None:
    if cause is None:
        return None
    return {
        "rank": cause.rank,
        "severity": cause.severity,
        "explained": plain(cause.explained),
        "confidence": plain(cause.confidence),
    }
