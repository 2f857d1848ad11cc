"""`gapdoctor inspect`: what a checkpoint file holds. Nothing that it holds is run."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gapdoctor.cli.console import say, stdout_for_results
from gapdoctor.cli.options import ConfigFile, UnsafeLoad

if TYPE_CHECKING:
    from gapdoctor.loading.checkpoint import Checkpoint

SCHEMA = "gapdoctor.inspection/1"
_WIDTH = 22
_UNASKED = (
    "step_size", "milestones", "gamma", "factor", "patience", "max_lr", "min_lr", "history",
    "trainer",
)  # fmt: skip
"""Unknown fields that nobody misses: they belong to one schedule each, or name files."""


def inspect(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="A file of weights; or a bundle.")
    ],
    config: ConfigFile = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print it as JSON on stdout, and nothing else there.")
    ] = False,
    unsafe_load: UnsafeLoad = False,
) -> None:
    """Show what is in a checkpoint: weights, recipe, history; without running it.

    Where a gapdoctor.toml is found, its models are built and compared with the weights.
    """
    from gapdoctor.loading.checkpoint import read_checkpoint
    from gapdoctor.loading.config import find_config

    toml = find_config(checkpoint, config, Path.cwd())
    found = read_checkpoint(checkpoint, unsafe=unsafe_load)
    with stdout_for_results():
        record = _record(found, toml)
    say(json.dumps(record, indent=2) if as_json else _page(record))


def _record(checkpoint: Checkpoint, toml: Path | None) -> dict[str, Any]:
    from gapdoctor.loading.fitting import models_of, which_fit
    from gapdoctor.loading.recipe import recipe_notes
    from gapdoctor.loading.where import shown

    models, untold = ({}, ()) if toml is None else models_of(toml, checkpoint.path)
    return {
        "schema": SCHEMA,
        "file": str(checkpoint.path),
        "format": checkpoint.format,
        "bytes": checkpoint.size,
        "sha256": checkpoint.sha256,
        "config": None if toml is None else shown(toml),
        "entries": [
            {
                "key": entry.key,
                "role": entry.role,
                "tensors": len(entry.state),
                "parameters": entry.parameters,
                "fits": which_fit(entry, models) if models else None,
            }
            for entry in checkpoint.entries
        ],
        "recipe": _recipe(checkpoint),
        "history": _history(checkpoint),
        "notes": [*checkpoint.notes, *recipe_notes(checkpoint), *untold],
    }


def _recipe(checkpoint: Checkpoint) -> dict[str, Any]:
    from gapdoctor.domain.recipe import Recipe
    from gapdoctor.loading.recipe import recover_recipe

    found = recover_recipe(checkpoint)
    return {
        f.name: {"value": getattr(found.recipe, f.name), "source": found.source(f.name)}
        for f in fields(Recipe)
    }


def _history(checkpoint: Checkpoint) -> dict[str, Any] | None:
    from gapdoctor.loading.history import recover_history

    table = recover_history(checkpoint)
    if table is None:
        return None
    columns = [str(c) for c in table.columns]
    return {"source": table.attrs["source"], "epochs": len(table), "columns": columns}


def _page(record: dict[str, Any]) -> str:
    from gapdoctor.domain.recipe import SELDOM
    from gapdoctor.loading.recipe import idle_fields

    known = {k: v for k, v in record["recipe"].items() if v["source"] != "unknown"}
    unasked = (*_UNASKED, *SELDOM, *idle_fields(record["recipe"]["optimizer"]["value"]))
    unknown = [k for k in record["recipe"] if k not in known and k not in unasked]
    history = record["history"]
    lines = [
        _printable(record["file"]),
        _row("format", record["format"]),
        _row("size", f"{record['bytes']:,} bytes"),
        _row("sha256", record["sha256"]),
        _row("config", record["config"] or "none found"),
        "",
        "Weights",
        *(_entry(entry) for entry in record["entries"]),
        "",
        "Recipe",
        *(
            _row(name, f"{_value(f['value'])}  (from the {f['source']})")
            for name, f in known.items()
        ),
        *_wrapped("unknown", unknown),
        "",
        "History",
        _row("epochs", f"{history['epochs']}, from {history['source']}" if history else "none"),
        *([_row("columns", ", ".join(history["columns"]))] if history else []),
    ]
    if record["notes"]:
        lines += ["", "Notes", *(f"  {_printable(note)}" for note in record["notes"])]
    return "\n".join(lines)


def _entry(entry: dict[str, Any]) -> str:
    told = f"{entry['tensors']} tensors, {entry['parameters']:,} parameters"
    role = f" of the {entry['role']}" if entry["role"] else ""
    fitting = entry["fits"]
    fits = "" if fitting is None else f"; fits {' and '.join(fitting) or 'neither model'}"
    return _row(entry["key"] or "(the file itself)", f"{told}{role}{fits}")


def _row(name: str, value: str) -> str:
    return f"  {_printable(name):<{_WIDTH}}{_printable(value)}"


def _wrapped(name: str, words: list[str]) -> list[str]:
    import textwrap

    lines = textwrap.wrap(", ".join(words), 78 - _WIDTH)
    return [_row(name if n == 0 else "", line) for n, line in enumerate(lines)]


def _value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _printable(text: str) -> str:
    """A file may hold names that steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)
