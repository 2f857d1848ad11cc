"""The TOML and the settings above it, as one table that knows where each value came from."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gapdoctor.errors import ConfigError
from gapdoctor.loading.keys import SECTIONS, TABLE_KEYS, Kind
from gapdoctor.loading.toml_lines import error_line, key_lines
from gapdoctor.loading.where import did_you_mean, shown


@dataclass(frozen=True, slots=True)
class Merged:
    """What the file says, overlaid with the settings."""

    path: Path | None
    """The TOML; None where there is none."""
    values: Mapping[str, Any]
    lines: Mapping[str, int]
    settings: frozenset[str]
    """Dotted keys that were set above the file."""
    cwd: Path

    def get(self, key: str) -> Any:
        """Return the value at a dotted key, or None."""
        value: Any = self.values
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def is_set(self, key: str) -> bool:
        """Return whether a setting gave `key`, or a table around it."""
        return any(key == s or key.startswith(f"{s}.") for s in self.settings)

    def place(self, key: str) -> str:
        """Return file, line and key, for messages."""
        if self.path is None or self.is_set(key):
            return f"setting {key}"
        parts = key.split(".")
        for n in range(len(parts), 0, -1):
            line = self.lines.get(".".join(parts[:n]))
            if line is not None:
                return f"{shown(self.path)}:{line}: {key}"
        return f"{shown(self.path)}: {key}"

    def base(self, key: str) -> Path:
        """Return the folder that a path at `key` starts from."""
        if self.path is None or self.is_set(key) or self.is_set(f"{key}.call"):
            return self.cwd
        return self.path.parent.absolute()


def merge(path: Path | None, settings: Mapping[str, Any]) -> Merged:
    """Read the TOML and lay the settings over it; check that every key and type is known.

    Raises
    ------
    ConfigError
        Naming file, line and key.
    """
    text = _read(path) if path is not None else ""
    values = _parse(text, path)
    given = {key: value for key, value in settings.items() if value is not None}
    for key, value in given.items():
        _set(values, key, os.fspath(value) if isinstance(value, os.PathLike) else value)
    merged = Merged(path, values, key_lines(text), frozenset(given), Path.cwd())
    for name, table in values.items():
        _check_section(merged, name, table)
    return merged


def _read(path: Path) -> str:
    try:
        raw = path.read_bytes()
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(f"{shown(path)}:{line}: not UTF-8 text", "save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(
            f"{shown(path)}: cannot be read: {error.strerror}", "check the path and its rights"
        ) from error


def _parse(text: str, path: Path | None) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = f"{shown(path)}:{error_line(error, text)}" if path else "settings"
        what = str(error).partition(" (at ")[0]
        what = what[:1].lower() + what[1:]
        raise ConfigError(
            f"{at}: not valid TOML: {what}", 'strings stand in quotes: key = "value"'
        ) from error
    except (ValueError, RecursionError) as error:
        where = shown(path) if path else "settings"
        raise ConfigError(f"{where}: not valid TOML: {error}", "write plain values") from error


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    parts = key.split(".")
    if len(parts) < 2 or not all(parts):
        known = [f"{s}.{k}" for s, keys in SECTIONS.items() for k in keys]
        ends = [k for k in known if k.endswith(f".{key}")]
        hint = f"did you mean {ends[0]}?" if ends else "such as student.args.width=16"
        raise ConfigError(f"setting {key}: not a dotted key", hint)
    table = values
    for n, part in enumerate(parts[:-1], 1):
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            whole = ".".join(parts[:n])
            raise ConfigError(
                f"setting {key}: {whole} is {_text(inner)}, not a table", f"set {whole} as a whole"
            )
        table = inner
    table[parts[-1]] = value


def _check_section(merged: Merged, name: str, table: Any) -> None:
    if name not in SECTIONS:
        homes = [s for s, keys in SECTIONS.items() if name in keys]
        kind = "section" if isinstance(table, Mapping) else "key outside a section"
        hint = f"it belongs to [{homes[0]}]" if homes else did_you_mean(name, SECTIONS)
        raise ConfigError(f"{merged.place(name)}: unknown {kind}", hint)
    if not isinstance(table, Mapping):
        raise ConfigError(
            f"{merged.place(name)}: {_text(table)} is not a section",
            f"write [{name}] above its keys",
        )
    for key, value in table.items():
        _check_key(merged, name, key, value)


def _check_key(merged: Merged, section: str, key: str, value: Any) -> None:
    place = merged.place(f"{section}.{key}")
    if key not in SECTIONS[section]:
        homes = [s for s, keys in SECTIONS.items() if key in keys]
        elsewhere = f"it belongs to [{homes[0]}]" if homes else ""
        raise ConfigError(
            f"{place}: unknown key in [{section}]",
            elsewhere or did_you_mean(key, SECTIONS[section]),
        )
    kind = SECTIONS[section][key]
    _check_value(place, kind, value)
    if "call" in kind.said:
        for item in value if isinstance(value, list | tuple) else [value]:
            if isinstance(item, Mapping):
                _check_call(merged, f"{section}.{key}", item)


def _check_call(merged: Merged, key: str, table: Mapping[str, Any]) -> None:
    for name, value in table.items():
        place = merged.place(f"{key}.{name}")
        if name not in TABLE_KEYS:
            raise ConfigError(
                f"{place}: unknown key in a {{ call, args, batched }} table",
                did_you_mean(name, TABLE_KEYS, "arguments stand in args = { … }"),
            )
        _check_value(place, TABLE_KEYS[name], value)
    if "call" not in table:
        raise ConfigError(
            f"{merged.place(key)}: the table has no call", 'write { call = "run.py:name" }'
        )


def _check_value(place: str, kind: Kind, value: Any) -> None:
    if kind.fits(value):
        return
    hint = did_you_mean(str(value), kind.names, "take one of these names") if kind.names else ""
    if kind.said.startswith("a number") and isinstance(value, str):
        hint = "numbers stand without quotes"
    raise ConfigError(f"{place}: {_text(value)} is not {kind.said}", hint or f"give {kind.said}")


def _text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"
