"""`gapdoctor.fixed.toml`: the config with the changes; `changes.diff`: the changes alone."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.toml_document import TOMLDocument

from gapdoctor.domain.recipe import Recipe, RecipeRecord
from gapdoctor.domain.trials import Change
from gapdoctor.files import write_text
from gapdoctor.loading.config import FILE, Config
from gapdoctor.loading.keys import AUGMENTATIONS, SECTIONS, THING, THING_OR_NAMES
from gapdoctor.loading.writing._moved import (
    bases,
    moved_thing,
    named_files,
    references,
    relative,
)
from gapdoctor.loading.writing._toml import plain, remove, set_value, value_at

DIFF = "changes.diff"
_RECOVERED = ("checkpoint", "sidecar")
_NAMED = ("history", "trainer")
"""Fields of a recipe that name a file or code: what a checkpoint names is never run."""
_NO_TOML = "Made from the flags that were given; relative paths start from this file's folder."


@dataclass(frozen=True, slots=True)
class WrittenConfig:
    """A config that was written."""

    path: Path
    diff: Path
    text: str
    changes: str
    """The text of `changes.diff`; empty where no key changed."""
    beside: tuple[Change, ...]
    """Changes that no key of the config can hold."""
    notes: tuple[str, ...]


def write_config(
    config: Config,
    changes: Iterable[Change],
    out: Path,
    *,
    files: Mapping[str, Path | None] | None = None,
    recovered: RecipeRecord | None = None,
) -> WrittenConfig:
    """Write the config with the changes to `out`, and `changes.diff` beside it.

    Comments and order are kept. Paths and names are rewritten so that they are found from `out`;
    settings that were given above the TOML (flags) are in it. Without a TOML one is made.

    Parameters
    ----------
    config : Config
        As resolved: its TOML is read again for its comments.
    changes : iterable of Change
        Dotted keys with their new values; None removes a key. A name is relative as the config's.
    out : Path
        Where to write; whole or not at all.
    files : mapping of dotted key to Path or None, optional
        New files, such as that of `student.checkpoint`; None takes the key out. No part of the
        diff.
    recovered : RecipeRecord, optional
        The recipe of the run: what was read from checkpoint or sidecar is written out, since the
        new file may not tell it.

    Raises
    ------
    OutputError
        When a file cannot be written.
    """
    document, before = _document(config), ""
    notes: list[str] = []
    _lay_over(document, config)
    _tell_recovered(document, recovered)
    before = tomlkit.dumps(document)
    beside = tuple(c for c in changes if not _apply(document, config, c))
    after = tomlkit.dumps(document)
    _move(document, config, out.parent, notes)
    for key, path in (files or {}).items():
        if path is None:
            remove(document, key)
        else:
            set_value(document, key, relative(path, out.parent))
    text = tomlkit.dumps(document)
    told = _diff(before, after)
    write_text(out, text)
    write_text(out.parent / DIFF, told)
    return WrittenConfig(out, out.parent / DIFF, text, told, beside, tuple(notes))


def _document(config: Config) -> TOMLDocument:
    if config.path is None:
        document = tomlkit.document()
        document.add(tomlkit.comment(_NO_TOML))
        return document
    return tomlkit.parse(config.path.read_bytes().decode("utf-8-sig"))


def _lay_over(document: TOMLDocument, config: Config) -> None:
    """Write what flags gave, and take out what they overruled."""
    for section in SECTIONS:
        table = config.values.get(section)
        if isinstance(table, Mapping):
            _lay_table(document, section, table)
    if config.teacher.logits is not None:
        for key in ("model", "args", "checkpoint"):
            remove(document, f"teacher.{key}")
    else:
        remove(document, "teacher.logits")


def _lay_table(document: TOMLDocument, key: str, table: Mapping[str, Any]) -> None:
    for name, value in table.items():
        here = f"{key}.{name}"
        there = value_at(document, here)
        if there == value:
            continue
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            _lay_table(document, here, value)
        else:
            set_value(document, here, value)


def _tell_recovered(document: TOMLDocument, recovered: RecipeRecord | None) -> None:
    if recovered is None:
        return
    for name in (f.name for f in fields(Recipe)):
        value, source = getattr(recovered.recipe, name), recovered.source(name)
        key = f"recipe.{name}"
        if source not in _RECOVERED or value is None or _names_code(name, value):
            continue
        if value_at(document, key) is None:
            set_value(document, key, value, comment=f"from the {source}")


def _names_code(name: str, value: Any) -> bool:
    """Whether a recovered value is a name that would be run, or that no config may hold."""
    if name == "augment":
        return isinstance(value, str) or not set(value) <= set(AUGMENTATIONS)
    return name in _NAMED


def _apply(document: TOMLDocument, config: Config, change: Change) -> bool:
    """Make a change; False where the config has no such key."""
    section, _, rest = change.key.partition(".")
    if rest.partition(".")[0] not in SECTIONS.get(section, {}):
        return False
    if change.after is None:
        remove(document, change.key)
    else:
        set_value(document, change.key, _whole(change.after, change.key, config))
    return True


def _whole(value: Any, key: str, config: Config) -> Any:
    """A thing that the config names by a table, by that whole table."""
    if not _names_a_thing(key):
        return value
    if isinstance(value, list | tuple):
        return [_whole(item, key, config) for item in value]
    if not isinstance(value, str):
        return value
    return next((t for t in _tables(config) if t["call"] == value), value)


def _tables(config: Config) -> list[Mapping[str, Any]]:
    """What the config names by a table, in a list or alone."""
    found = []
    for key in references(config):
        section, name = key.split(".")
        value = config.values[section][name]
        found += [t for t in (value if isinstance(value, list) else [value])
                  if isinstance(t, Mapping)]  # fmt: skip
    return found


def _names_a_thing(key: str) -> bool:
    section, _, name = key.partition(".")
    return SECTIONS.get(section, {}).get(name) in (THING, THING_OR_NAMES)


def _move(document: TOMLDocument, config: Config, folder: Path, notes: list[str]) -> None:
    """Rewrite each name and path that the document holds as it reads from `folder`."""
    home = Path.cwd() if config.path is None else config.path.parent.absolute()
    own = bases(config)
    by_name = {ref.name: ref.base for ref in references(config).values()}
    files = named_files(config)
    for section, keys in SECTIONS.items():
        for name in keys:
            key = f"{section}.{name}"
            value = value_at(document, key)
            if value is None:
                continue
            if key in files:
                new: Any = _moved_file(value, files[key], folder)
            elif _names_a_thing(key):
                is_same = _unchanged(config, key, value)
                start, named = (own[key], {}) if is_same else (home, by_name)
                new, told = _moved(value, key, folder, start, named)
                notes += told
            else:
                continue
            _put_moved(document, key, value, new)


def _moved(
    value: Any, key: str, folder: Path, start: Path, named: Mapping[str, Path]
) -> tuple[Any, list[str]]:
    """A thing as it reads from `folder`, its name from `named` or `start`; and what to say."""
    if isinstance(value, list):
        parts = [_moved(item, key, folder, start, named) for item in value]
        return [new for new, _ in parts], [note for _, notes in parts for note in notes]
    if value in AUGMENTATIONS:
        return value, []
    called = str(value["call"] if isinstance(value, Mapping) else value)
    new, note = moved_thing(value, key, named.get(called, start), folder)
    return new, [note] if note else []


def _put_moved(document: TOMLDocument, key: str, old: Any, new: Any) -> None:
    """Set what differs alone, so that a table keeps its look."""
    if isinstance(new, Mapping) and isinstance(old, Mapping):
        for name in new:
            _put_moved(document, f"{key}.{name}", old[name], new[name])
    elif new != old:
        set_value(document, key, new)


def _moved_file(named: str, path: Path, folder: Path) -> str:
    return named if Path(named).expanduser().is_absolute() else relative(path, folder)


def _unchanged(config: Config, key: str, value: Any) -> bool:
    section, name = key.split(".")
    said = config.values.get(section, {}).get(name)
    return key in bases(config) and bool(plain(said) == value or said == value)


def _diff(before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.replace("\r\n", "\n").splitlines(keepends=True),
        after.replace("\r\n", "\n").splitlines(keepends=True),
        FILE,
        "gapdoctor.fixed.toml",
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
