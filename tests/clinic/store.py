"""What was trained, kept in a folder, so that a build can be interrupted and gone on with."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.clinic.training import Curves

_ROOT = Path(__file__).resolve().parents[2]
_LAYOUT = 1
"""Raised when networks or the training loop change; data sets are told by their first rows."""


def folder() -> Path:
    """Return `.clinic-cache/` at the root of the repository, or `$GAPDOCTOR_CLINIC_CACHE`."""
    return Path(os.environ.get("GAPDOCTOR_CLINIC_CACHE", _ROOT / ".clinic-cache"))


def key_of(*specs: Any, data: bytes = b"") -> str:
    """Return the name under which what these dataclasses describe is kept."""
    told = [[type(spec).__name__, asdict(spec)] for spec in specs]
    text = json.dumps([_LAYOUT, told], sort_keys=True).encode()
    return hashlib.blake2b(text + data, digest_size=10).hexdigest()


def kept(
    key: str, untrained: nn.Module, train: Callable[[], tuple[nn.Module, Curves]]
) -> tuple[nn.Module, Curves]:
    """Return the network kept under `key`, read into `untrained`; trained first where missing."""
    path = folder() / "networks" / f"{key}.pt"
    if path.exists():
        found = torch.load(path, weights_only=True)
        untrained.load_state_dict(found["state"])
        return untrained.eval(), Curves(**found["curves"])
    model, curves = train()
    whole = {"state": model.state_dict(), "curves": asdict(curves)}
    write(path, lambda part: torch.save(whole, part))
    return model, curves


def write(path: Path, save: Callable[[Path], object]) -> None:
    """Write a file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    save(part)
    part.replace(path)


def read_json(name: str) -> Any:
    """Return the JSON kept under a name, or None."""
    path = folder() / name
    return json.loads(path.read_text()) if path.exists() else None


def write_json(name: str, value: Any) -> None:
    """Keep a JSON value under a name."""
    text = json.dumps(value, indent=1, sort_keys=True)
    write(folder() / name, lambda part: part.write_text(text + "\n"))
