"""Results on disk: all of a run while it goes on, and the compact committed ones of each part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gapdoctor
from tests.clinic.building import planted, unbuilt
from tests.clinic.data import SOURCES
from tests.clinic.entries import Dropped
from tests.clinic.outcomes import Outcome, Said, shortened
from tests.clinic.parts import CELLS, Cell
from tests.clinic.store import folder, write

KEPT = Path(__file__).with_name("results")
"""One file a part, committed, so that the page comes from a fresh clone."""


# -- of a run ----------------------------------------------------------------------------------


def working_file(part: str) -> Path:
    """Return where a run writes what is said as it comes."""
    return folder() / f"results-{part}.json"


def write_working(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write all outcomes, each with the hash of the code that it comes from."""
    whole = {"version": gapdoctor.__version__, "outcomes": [o.to_json() for o in outcomes]}
    text = json.dumps(whole, indent=1)
    write(path, lambda part: part.write_text(text + "\n"))


def read_working(path: Path) -> list[Outcome]:
    """Read what was written; nothing where there is no such file."""
    if not path.exists():
        return []
    return [Outcome.from_json(o) for o in json.loads(path.read_text())["outcomes"]]


# -- of a part ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class CellResult:
    """What was said of all pairs of one data set and architecture."""

    cell: str
    code: str
    """Hash of the gapdoctor that was run."""
    version: str
    when: str
    not_built: tuple[str, ...]
    """Faults that nobody has tried to plant yet."""
    dropped: tuple[Dropped, ...]
    outcomes: tuple[Outcome, ...]


def kept_file(part: str) -> Path:
    """Return the committed results of a part."""
    return KEPT / f"{part}.json"


def read_kept(part: str) -> list[CellResult]:
    """Return the committed results in the order of the cells."""
    path = kept_file(part)
    if not path.exists():
        return []
    found = [_cell_from(cell) for cell in json.loads(path.read_text())["cells"]]
    order = [cell.name for cell in CELLS]
    return sorted(found, key=lambda one: order.index(one.cell))


def keep(part: str, cells: Sequence[Cell], outcomes: Sequence[Outcome]) -> None:
    """Replace the results of these cells and leave the others as they are."""
    new = {cell.name: _result(cell, outcomes) for cell in cells}
    old = {one.cell: one for one in read_kept(part)}
    found = [one for one in (old | new).values() if one.outcomes]
    write(kept_file(part), lambda file: file.write_text(_text(part, found)))


def is_whole(part: str, found: Sequence[CellResult]) -> bool:
    """Tell whether all cells of a part were built to the end and judged by the same code."""
    wanted = {cell.name for cell in CELLS if cell.part == part}
    complete = wanted == {one.cell for one in found if not one.not_built}
    return complete and len({one.code for one in found}) == 1


def _result(cell: Cell, outcomes: Sequence[Outcome]) -> CellResult:
    mine = tuple(o for o in outcomes if o.cell == cell.name)
    dropped = tuple(d for d in planted(cell.part, cell.name)[1] if d.cell == cell.name)
    return CellResult(
        cell.name,
        " and ".join(sorted({o.code for o in mine})),
        gapdoctor.__version__,
        datetime.now(UTC).isoformat(timespec="seconds"),
        tuple(unbuilt(cell)),
        dropped,
        mine,
    )


# -- compact: a line a pair, what its name or its cell tells left out --------------------------

_BY_NAME = ("name", "part", "kind", "arch", "fault", "severity", "variant", "key", "code")
_LISTS = ("truth", "second", "also", "corrections", "crashed")


def _text(part: str, found: Sequence[CellResult]) -> str:
    cells = ",\n".join(_cell_text(one) for one in found)
    return f'{{"part": {json.dumps(part)}, "cells": [\n{cells}\n]}}\n'


def _cell_text(one: CellResult) -> str:
    head = {"cell": one.cell, "code": one.code, "version": one.version, "when": one.when,
            "not_built": one.not_built}  # fmt: skip
    dropped = [_line([d.fault, d.severity, d.reason]) for d in one.dropped]
    said = [_line(_compact(o)) for o in one.outcomes]
    return (
        f'{json.dumps(head)[:-1]}, "dropped": [\n{_lines(dropped)}], '
        f'"outcomes": [\n{_lines(said)}]}}'
    )


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _lines(texts: Sequence[str]) -> str:
    return ",\n".join(texts) + ("\n" if texts else "")


def _compact(outcome: Outcome) -> dict[str, Any]:
    found = asdict(outcome)
    rounded = {key: round(found[key], 4) for key in ("damage", "excess")}
    causes = [
        [s.cause, round(s.confidence, 4), round(s.explained, 4)]
        + ([shortened(s.correction)] if s.correction else [])
        for s in outcome.causes
    ]
    left = {
        key: value for key, value in found.items()
        if key not in (*_BY_NAME, "warnings", "causes", *rounded) and value
    }  # fmt: skip
    pair = outcome.name.removeprefix(f"{outcome.cell}/")
    return {"pair": pair, **left, **rounded, "causes": causes}


def _cell_from(found: dict[str, Any]) -> CellResult:
    cell = next(c for c in CELLS if c.name == found["cell"])
    dropped = tuple(Dropped(cell.name, *entry) for entry in found["dropped"])
    said = tuple(_outcome_from(cell, found["code"], entry) for entry in found["outcomes"])
    head = (found["cell"], found["code"], found["version"], found["when"])
    return CellResult(*head, tuple(found["not_built"]), dropped, said)


def _outcome_from(cell: Cell, code: str, found: dict[str, Any]) -> Outcome:
    fault, severity, variant = found["pair"].split("/", 2)
    fields = {key: value for key, value in found.items() if key not in ("pair", "causes")}
    fields |= {key: tuple(found.get(key, ())) for key in _LISTS}
    causes = tuple(Said(*said, *[None] * (4 - len(said))) for said in found["causes"])
    return Outcome(
        name=f"{cell.name}/{found['pair']}", part=cell.part, kind=SOURCES[cell.source].kind,
        arch=cell.family, fault=fault, severity=severity, variant=variant, causes=causes,
        code=code, **fields,
    )  # fmt: skip
