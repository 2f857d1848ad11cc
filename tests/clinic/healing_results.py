"""What `fix` did, on disk: all of a run while it goes on, the committed results of each part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gapdoctor
from tests.clinic import evaluations, results
from tests.clinic.attempts import attempt_from, compact
from tests.clinic.entries import Entry
from tests.clinic.healing import Healed
from tests.clinic.healing_score import score_healing
from tests.clinic.parts import CELLS, Cell
from tests.clinic.store import folder, write


@dataclass(frozen=True)
class HealedCell:
    """What `fix` did to all faults of one data set and architecture."""

    cell: str
    version: str
    when: str
    healed: tuple[Healed, ...]
    of: int = 0
    """Faults that are planted there."""

    @property
    def code(self) -> str:
        """Hash of the gapdoctor that was run."""
        return " and ".join(sorted({h.code for h in self.healed}))


def working_file(part: str) -> Path:
    """Return where a run writes what came of it."""
    return folder() / f"healing-{part}.json"


def kept_file(part: str) -> Path:
    """Return the committed results of a part."""
    return results.KEPT / f"healing-{part}.json"


def read_working(part: str) -> list[Healed]:
    """Return what was written; nothing where there is no such file."""
    path = working_file(part)
    if not path.exists():
        return []
    return [_from(one) for one in json.loads(path.read_text())]


def write_working(part: str, found: Sequence[Healed]) -> None:
    """Write all that was found so far."""
    text = json.dumps([_compact(h) for h in found], indent=1, ensure_ascii=False)
    write(working_file(part), lambda file: file.write_text(text + "\n"))


def read_kept(part: str) -> list[HealedCell]:
    """Return the committed results in the order of the cells."""
    path = kept_file(part)
    if not path.exists():
        return []
    found = [
        HealedCell(**{**one, "healed": tuple(_from(h) for h in one["healed"])})
        for one in json.loads(path.read_text())["cells"]
    ]
    order = [cell.name for cell in CELLS]
    return sorted(found, key=lambda one: order.index(one.cell))


def keep(
    part: str, cells: Sequence[Cell], found: Sequence[Healed], planted: Sequence[Entry]
) -> None:
    """Replace the results of these cells and leave the others as they are.

    `planted` are all faults that `fix` could be run on there.
    """
    when = datetime.now(UTC).isoformat(timespec="seconds")
    old = {one.cell: one for one in read_kept(part)}
    for cell in cells:
        mine = tuple(h for h in found if h.cell == cell.name)
        count = sum(entry.cell == cell.name for entry in planted)
        old[cell.name] = HealedCell(cell.name, gapdoctor.__version__, when, mine, count)
    lines = ",\n".join(_cell_text(one) for one in old.values() if one.healed)
    text = f'{{"part": {json.dumps(part)}, "cells": [\n{lines}\n]}}\n'
    write(kept_file(part), lambda file: file.write_text(text))


def note(what: str, found: Sequence[Healed], of: int) -> None:
    """Write down, among the looks at the reporting part, that `fix` was run on these faults."""
    s = score_healing(found)
    told = f"`fix`, {what}: {s.healed.hits} of {s.fixable} fixable faults with a verified fix"
    code = " and ".join(sorted({h.code for h in found}))
    evaluations.note_run(told, code, len(found), of)


# -- compact: what is as usual left out --------------------------------------------------------

_USUAL = {f.name: f.default for f in fields(Healed) if f.default is not MISSING}
_DIGITS = 4


def _cell_text(one: HealedCell) -> str:
    told = {"cell": one.cell, "version": one.version, "when": one.when, "of": one.of}
    head = json.dumps(told)
    rows = ",\n".join(
        json.dumps(_compact(h), ensure_ascii=False, separators=(",", ":")) for h in one.healed
    )
    return f'{head[:-1]}, "healed": [\n{rows}\n]}}'


def _compact(found: Healed) -> dict[str, Any]:
    whole = {**asdict(found), "attempts": tuple(compact(one) for one in found.attempts)}
    rounded = {k: round(v, _DIGITS) if isinstance(v, float) else v for k, v in whole.items()}
    return {k: v for k, v in rounded.items() if v == v and v != _USUAL.get(k) and v not in ((), "")}


def _from(found: dict[str, Any]) -> Healed:
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in found.items()}
    attempts = tuple(attempt_from(one) for one in found.get("attempts", ()))
    return Healed(**{**plain, "attempts": attempts})
