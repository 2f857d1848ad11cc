"""Build a part: healthy students first, then faults; what was planted is written down."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from tests.clinic import inference_faults, training_faults
from tests.clinic.entries import Dropped, Entry
from tests.clinic.parts import Cell, cells
from tests.clinic.planting import (
    plant_doubles,
    plant_healthy,
    plant_inference,
    plant_training,
)
from tests.clinic.store import read_json, write_json


def build_part(
    part: str, kind: str | None = None, only: str | None = None, limit: int | None = None
) -> None:
    """Build each cell of a part; prints what it does, and goes on where it was stopped."""
    for cell in cells(part, kind)[:limit]:
        build_cell(cell, only)


def planted(part: str, kind: str | None = None) -> tuple[list[Entry], list[Dropped]]:
    """Return what was planted in a part, and what could not be."""
    kept, dropped = [], []
    for cell in cells(part, kind):
        found = read_json(_file(cell)) or {}
        for name in _order(found):
            kept += [Entry.from_json(entry) for entry in found[name]["kept"]]
            dropped += [Dropped(**entry) for entry in found[name]["dropped"]]
    return kept, dropped


def unbuilt(cell: Cell) -> list[str]:
    """Return what has not been tried in a cell yet."""
    found = read_json(_file(cell)) or {}
    return [name for name in steps() if name not in found]


def build_cell(cell: Cell, only: str | None = None) -> None:
    """Build one cell, fault by fault; a fault that is written down is not searched for again."""
    done: dict[str, Any] = read_json(_file(cell)) or {}

    def step(name: str, plant: Any) -> None:
        if name in done or (only not in (None, name) and name != "healthy"):
            return
        clock, cpu = time.monotonic(), time.process_time()
        kept, dropped = plant()
        done[name] = {
            "kept": [entry.to_json() for entry in kept],
            "dropped": [asdict(entry) for entry in dropped],
            "seconds": round(time.process_time() - cpu, 1),
        }
        write_json(_file(cell), done)
        _tell(cell, name, kept, dropped, time.monotonic() - clock)

    step("healthy", lambda: plant_healthy(cell))
    healthy = [Entry.from_json(e).spec for e in done["healthy"]["kept"]]
    if not healthy:
        print(f"{cell.name}: no healthy student; nothing is planted", flush=True)
        return
    for fault in inference_faults.FAULTS:
        step(fault.name, lambda fault=fault: plant_inference(cell, fault, healthy))
    for trained in training_faults.FAULTS:
        step(trained.name, lambda trained=trained: plant_training(cell, trained))
    step("doubles", lambda: plant_doubles(cell, _all(done)))


def _all(done: dict[str, Any]) -> list[Entry]:
    return [Entry.from_json(e) for name in _order(done) for e in done[name]["kept"]]


def _order(done: dict[str, Any]) -> list[str]:
    return [name for name in steps() if name in done]


def steps() -> list[str]:
    """Return what is planted in each cell, in order."""
    names = [f.name for f in inference_faults.FAULTS]
    names += [f.name for f in training_faults.FAULTS]
    return ["healthy", *names, "doubles"]


def _file(cell: Cell) -> str:
    return f"planted/{cell.part}-{cell.source}-{cell.family}.json"


def _tell(cell: Cell, name: str, kept: list[Entry], dropped: list[Dropped], seconds: float) -> None:
    print(f"{cell.name} {name} ({seconds:.0f} s)", flush=True)
    for entry in kept:
        knobs = " ".join(str(k) for k in (entry.training_knob, entry.knob) if k is not None)
        print(
            f"    {entry.severity:14} {knobs:12} damage {entry.damage:+.3f} "
            f"[{entry.damage_low:+.3f}, {entry.damage_high:+.3f}]  excess {entry.excess:+.3f} "
            f"({entry.shared_excess:+.3f} where the teacher meets it)",
            flush=True,
        )
    for gone in dropped:
        print(f"    dropped {gone.severity}: {gone.reason}", flush=True)
