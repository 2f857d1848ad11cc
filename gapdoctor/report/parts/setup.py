"""What was looked at and how: skipped probes, recipe, reproduction, notes, this run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any

from gapdoctor.domain.diagnosis import Diagnosis, HalfUse, ModelRecord, SplitUse
from gapdoctor.domain.recipe import SELDOM, Recipe
from gapdoctor.report.blocks import Block, Code, Column, Grid, Listing, Paragraph
from gapdoctor.report.quantities import count, number


def skipped(diagnosis: Diagnosis) -> tuple[Block, ...]:
    """Return the probes that could not run, with the reasons."""
    if not diagnosis.skipped:
        return ()
    return (
        Grid(
            "Probes that could not run",
            (Column("Probe", "code"), Column("Reason")),
            tuple((s.probe, s.reason) for s in diagnosis.skipped),
        ),
    )


def recipe(diagnosis: Diagnosis) -> tuple[Block, ...]:
    """Return how the student was trained, where each field came from, and what is unknown."""
    record = diagnosis.recipe
    known = record.recipe.known()
    unknown = [f.name for f in fields(Recipe) if f.name not in (*known, *SELDOM)]
    rows = tuple((key, shown_value(value), record.source(key)) for key, value in known.items())
    columns = (Column("Field", "code"), Column("Value", "code"), Column("Source"))
    return (
        *((Grid("How the student was trained", columns, rows),) if rows else ()),
        *((Paragraph(f"Unknown: {', '.join(f'`{key}`' for key in unknown)}."),) if unknown else ()),
    )


def reproduce(diagnosis: Diagnosis) -> tuple[Block, ...]:
    """Return command, version, seed, hashes and the rows that were used."""
    return (
        Code(diagnosis.command),
        Grid("What went in", (Column("What"), Column("Value", "code")), _inputs(diagnosis)),
    )


def notes(diagnosis: Diagnosis) -> tuple[Block, ...]:
    """Return what was assumed or replaced on the way."""
    return (Listing(diagnosis.notes),) if diagnosis.notes else ()


def this_run(diagnosis: Diagnosis) -> tuple[Block, ...]:
    """Return time, cost and environment: all that may differ between two runs."""
    cost = diagnosis.cost
    told = (
        ("Created", diagnosis.created),
        ("Seconds", number(cost.seconds)),
        ("Rows sent through a model", count(cost.forward_samples)),
        ("Seconds of one bare pass", number(cost.bare_forward_seconds)),
        ("Seconds of reading and preparing inputs", number(cost.preparing_seconds)),
        *sorted(diagnosis.environment.items()),
    )
    return (Grid("Time, cost and environment", (Column("What"), Column("Value", "code")), told),)


def _inputs(diagnosis: Diagnosis) -> tuple[tuple[str, str], ...]:
    halves = diagnosis.halves
    return (
        ("gapdoctor", diagnosis.version),
        ("Seed", str(diagnosis.seed)),
        *_model("Student", diagnosis.student),
        *_model("Teacher", diagnosis.teacher),
        ("Train rows", _used(diagnosis.data.train)),
        ("Held-out rows", _used(diagnosis.data.heldout)),
        ("Choosing half", _half(halves.choosing)),
        ("Reporting half", _half(halves.reporting)),
        ("Classes", count(len(diagnosis.data.classes))),
    )


def _model(name: str, model: ModelRecord) -> list[tuple[str, str]]:
    told = [(f"{name} file", model.file or "a live object")]
    if model.sha256 is not None:
        told.append((f"{name} SHA-256", model.sha256))
    if model.parameters is not None:
        told.append((f"{name} parameters", count(model.parameters)))
    return told


def _used(split: SplitUse) -> str:
    return f"{count(split.used)} of {count(split.samples)}"


def _half(half: HalfUse) -> str:
    return f"{count(half.rows)} rows of {'held-out' if half.source == 'heldout' else half.source}"


def shown_value(value: Any) -> str:
    """Return a value of a recipe as a reader sees it."""
    match value:
        case None:
            return "unknown"
        case Mapping():
            return ", ".join(f"{key} = {shown_value(item)}" for key, item in value.items())
        case Enum():
            return str(value.value)
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.6g}"
        case tuple() | list():
            told = (
                f"({shown_value(item)})" if isinstance(item, tuple | list) else shown_value(item)
                for item in value
            )
            return ", ".join(told) or "none"
        case _:
            return str(value)
