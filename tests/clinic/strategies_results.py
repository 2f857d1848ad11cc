"""What every strategy did, on disk: all of a run while it goes on, the committed results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gapdoctor
from tests.clinic import results
from tests.clinic.attempts import attempt_from, compact
from tests.clinic.parts import CELLS
from tests.clinic.store import folder, write
from tests.clinic.strategies import Strategies


@dataclass(frozen=True)
class StrategiesCell:
    """What every strategy did to faults of one data set and architecture."""

    cell: str
    version: str
    when: str
    cases: tuple[Strategies, ...]
    of: int = 0
    """Faults that could have been chosen there."""

    @property
    def code(self) -> str:
        """Hash of the gapdoctor that was run."""
        return " and ".join(sorted({one.code for one in self.cases}))


def working_file(part: str) -> Path:
    """Return where a run writes what came of it."""
    return folder() / f"strategies-{part}.json"


def kept_file(part: str) -> Path:
    """Return the committed results of a part."""
    return results.KEPT / f"strategies-{part}.json"


def read_working(part: str) -> list[Strategies]:
    """Return what was written; nothing where there is no such file."""
    path = working_file(part)
    if not path.exists():
        return []
    return [_from(one) for one in json.loads(path.read_text())]


def write_working(part: str, found: Sequence[Strategies]) -> None:
    """Write all that was found so far."""
    text = json.dumps([_compact(one) for one in found], indent=1, ensure_ascii=False)
    write(working_file(part), lambda file: file.write_text(text + "\n"))


def read_kept(part: str) -> list[StrategiesCell]:
    """Return the committed results in the order of the cells."""
    path = kept_file(part)
    if not path.exists():
        return []
    found = [
        StrategiesCell(**{**one, "cases": tuple(_from(case) for case in one["cases"])})
        for one in json.loads(path.read_text())["cells"]
    ]
    order = [cell.name for cell in CELLS]
    return sorted(found, key=lambda one: order.index(one.cell))


def keep(part: str, found: Sequence[Strategies], of: Mapping[str, int]) -> None:
    """Replace the results of the cells that were run and leave the others as they are.

    Parameters
    ----------
    part : str
    found : sequence of Strategies
        All of some cells.
    of : mapping of str to int
        By cell: how many faults could have been chosen.
    """
    when = datetime.now(UTC).isoformat(timespec="seconds")
    cells = {one.cell: one for one in read_kept(part)}
    for name in dict.fromkeys(one.cell for one in found):
        mine = tuple(one for one in found if one.cell == name)
        cells[name] = StrategiesCell(name, gapdoctor.__version__, when, mine, of[name])
    order = [cell.name for cell in CELLS]
    texts = [_cell_text(cells[name]) for name in sorted(cells, key=order.index)]
    text = f'{{"part": {json.dumps(part)}, "cells": [\n' + ",\n".join(texts) + "\n]}\n"
    write(kept_file(part), lambda file: file.write_text(text))


# -- compact: what is as usual left out, a line an attempt --------------------------------------

_USUAL = {f.name: f.default for f in fields(Strategies) if f.default is not MISSING}
_DIGITS = 4


def _cell_text(one: StrategiesCell) -> str:
    head = json.dumps({"cell": one.cell, "version": one.version, "when": one.when, "of": one.of})
    return f'{head[:-1]}, "cases": [\n' + ",\n".join(_case_text(c) for c in one.cases) + "\n]}"


def _case_text(found: Strategies) -> str:
    plain = _compact(found)
    attempts = plain.pop("attempts", ())
    head = _line(plain)
    if not attempts:
        return head
    return f'{head[:-1]},"attempts":[\n' + ",\n".join(_line(a) for a in attempts) + "]}"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _compact(found: Strategies) -> dict[str, Any]:
    whole = {**asdict(found), "attempts": tuple(compact(one) for one in found.attempts)}
    rounded = {k: round(v, _DIGITS) if isinstance(v, float) else v for k, v in whole.items()}
    return {k: v for k, v in rounded.items() if v == v and v != _USUAL.get(k)}


def _from(found: Mapping[str, Any]) -> Strategies:
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in found.items()}
    attempts = tuple(attempt_from(one) for one in found.get("attempts", ()))
    return Strategies(**{**plain, "attempts": attempts})
