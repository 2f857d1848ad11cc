"""The layout of `diagnosis.json`: which part of the record stands where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, get_type_hints

from gapdoctor.domain.diagnosis import SCHEMA, Diagnosis
from gapdoctor.domain.findings import Table
from gapdoctor.domain.recipe import Recipe, RecipeRecord, Source
from gapdoctor.errors import GapDoctorError
from gapdoctor.storage.codec import build, member, members, plain, wrong
from gapdoctor.storage.text import content_of, text_of

_PLACES: Mapping[str, tuple[str, str]] = {
    "student": ("pair", "student"),
    "teacher": ("pair", "teacher"),
    "fidelity_train": ("fidelity", "train"),
    "fidelity_heldout": ("fidelity", "heldout"),
}
"""Fields of the record that stand one level deeper in the file."""

_APART = frozenset({"pictures"})
"""Fields that are files of their own (see `gapdoctor.storage.pictures`)."""


def to_json(diagnosis: Diagnosis) -> str:
    """Return the text of `diagnosis.json`.

    Keys stand in a fixed order, numbers have 6 significant digits, NaN and infinity are null.
    The text is ASCII, so that no terminal, log or diff misreads it. Reading it back with
    `from_json` and writing it again gives the same text.
    """
    content: dict[str, Any] = {"schema": SCHEMA}
    for f in _kept():
        value = getattr(diagnosis, f.name)
        if f.name in _PLACES:
            outer, inner = _PLACES[f.name]
            content.setdefault(outer, {})[inner] = plain(value)
        elif f.name == "recipe":
            content["recipe"] = _recipe_out(value)
        elif f.name == "tables":
            content["tables"] = {name: plain(value[name].records()) for name in sorted(value)}
        else:
            content[f.name] = plain(value)
    return text_of(content)


def from_json(text: str, name: str = "diagnosis.json") -> Diagnosis:
    """Return the record that `text`, the content of a `diagnosis.json`, tells.

    Parameters
    ----------
    text : str
        The whole file. Keys that this version does not know are passed over.
    name : str
        The file's name, for messages.

    Raises
    ------
    GapDoctorError
        When the text is no JSON, is of another schema, or lacks something.
    """
    try:
        return _diagnosis(content_of(text, SCHEMA, _NAME_IT))
    except GapDoctorError as error:
        raise GapDoctorError(f"{name}: {error.message}", error.hint) from None


_NAME_IT = "name a diagnosis.json that this version of `gapdoctor diagnose` wrote"


def _diagnosis(content: dict[str, Any]) -> Diagnosis:
    hints = get_type_hints(Diagnosis)
    given: dict[str, Any] = {}
    for f in _kept():
        if f.name == "recipe":
            given["recipe"] = _recipe_in(member(content, "recipe", ""))
        elif f.name == "tables":
            given["tables"] = _tables_in(member(content, "tables", ""))
        elif f.name in _PLACES:
            outer, inner = _PLACES[f.name]
            value = member(member(content, outer, ""), inner, outer)
            given[f.name] = build(hints[f.name], value, f"{outer}.{inner}")
        elif f.name in content or f.default is MISSING:
            given[f.name] = build(hints[f.name], member(content, f.name, ""), f.name)
    return Diagnosis(**given)


def _kept() -> list[Field[Any]]:
    return [f for f in fields(Diagnosis) if f.name not in _APART]


def _recipe_out(record: RecipeRecord) -> dict[str, Any]:
    return {
        f.name: {"value": plain(getattr(record.recipe, f.name)), "source": record.source(f.name)}
        for f in fields(Recipe)
    }


def _recipe_in(value: Any) -> RecipeRecord:
    hints = get_type_hints(Recipe)
    known: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    for key, entry in members(value, "recipe").items():
        if key not in hints:
            continue
        at = f"recipe.{key}"
        known[key] = build(hints[key], member(entry, "value", at), f"{at}.value")
        source = build(Source, member(entry, "source", at), f"{at}.source")
        if source != "unknown":
            sources[key] = source
    return RecipeRecord(Recipe(**known), sources)


def _tables_in(value: Any) -> dict[str, Table]:
    return {
        name: _table_in(rows, f"tables.{name}") for name, rows in members(value, "tables").items()
    }


def _table_in(value: Any, where: str) -> Table:
    if not isinstance(value, list):
        raise wrong(where, "a list", value)
    rows = [members(row, f"{where}[{i}]") for i, row in enumerate(value)]
    columns = tuple(rows[0]) if rows else ()
    for i, row in enumerate(rows):
        if tuple(row) != columns:
            raise wrong(f"{where}[{i}]", f"the keys {', '.join(columns)}", ", ".join(row))
    return Table(columns, tuple(tuple(row.values()) for row in rows))
