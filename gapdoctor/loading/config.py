"""`gapdoctor.toml` and the settings above it, checked and read into records. Imports nothing heavy.

Nothing that the config names is imported or opened here; that it exists is checked.
"""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from gapdoctor.errors import ConfigError
from gapdoctor.loading.merged import Merged, merge
from gapdoctor.loading.sections import (
    AssistantSection,
    DataSection,
    PreprocessSection,
    RecipeSection,
    StudentSection,
    TeacherSection,
    read_assistant,
    read_data,
    read_preprocess,
    read_recipe,
    read_student,
    read_teacher,
)
from gapdoctor.loading.where import LIBRARIES, FileName, Reference, require_file, shown

FILE = "gapdoctor.toml"
_FLAGS = {
    "student.model": "--student",
    "student.checkpoint": "CHECKPOINT",
    "teacher.model": "--teacher",
    "data.train": "--train",
    "data.heldout": "--heldout",
}
_CHECKPOINTS = (".pth", ".pt", ".ckpt", ".safetensors", ".bin")


@dataclass(frozen=True, slots=True)
class Config:
    """The whole config, one record a section."""

    path: Path | None
    """The TOML; None where settings said all."""
    student: StudentSection
    teacher: TeacherSection
    data: DataSection
    preprocess: PreprocessSection
    recipe: RecipeSection
    values: Mapping[str, Any]
    """The merged table as read, for hashing."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What was laid over the TOML: dotted keys, paths relative to the working directory."""
    assistant: AssistantSection | None = None

    @property
    def references(self) -> tuple[Reference, ...]:
        """Everything named by `where:what`, in the order of the sections."""
        sections = (
            self.student, self.teacher, self.assistant, self.data, self.preprocess, self.recipe,
        )  # fmt: skip
        values = [getattr(s, f.name) for s in sections if s is not None for f in fields(s)]
        return tuple(v for v in values if isinstance(v, Reference))


def find_config(checkpoint: Path | None, config: Path | None, cwd: Path) -> Path | None:
    """Return the TOML that counts, or None.

    It is `config` where given; else the `gapdoctor.toml` nearest the checkpoint (its folder, then
    its parents'), else the one in `cwd`; without a checkpoint the one nearest `cwd`.

    Raises
    ------
    ConfigError
        When `config` or `checkpoint` does not exist.
    """
    if config is not None:
        require_file(FileName(cwd / config, str(config)))
        return cwd / config
    if checkpoint is None:
        return _nearest_above(cwd)
    require_file(FileName(cwd / checkpoint, str(checkpoint)))
    # The folder is followed through links, the file is not: the config stands beside the link.
    found = _nearest_above((cwd / checkpoint).parent.resolve())
    if found is None and (cwd / FILE).is_file():
        return cwd / FILE
    return found


def read_config(path: Path | None, settings: Mapping[str, Any] | None = None) -> Config:
    """Read and check the config; a setting beats the file.

    Parameters
    ----------
    path : Path or None
        The TOML; its paths are relative to its folder.
    settings : mapping of dotted key to value, optional
        Their paths are relative to the working directory.

    Raises
    ------
    ConfigError
        For an unknown or missing key, a wrong type, a value out of range, a missing file: names
        file, line and key, and the nearest known name.
    """
    merged = merge(path, settings or {})
    _require_complete(merged)
    return Config(
        path=path,
        student=read_student(merged),
        teacher=read_teacher(merged),
        data=read_data(merged),
        preprocess=read_preprocess(merged),
        recipe=read_recipe(merged),
        values=merged.values,
        settings=dict(settings or {}),
        assistant=read_assistant(merged),
    )


def resolve_config(
    config: str | Path | None = None,
    checkpoint: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Config:
    """Find the TOML, lay `checkpoint` and the settings over it, and check the whole.

    Raises
    ------
    ConfigError
        See `find_config` and `read_config`.
    """
    path = find_config(
        None if checkpoint is None else Path(checkpoint),
        None if config is None else Path(config),
        Path.cwd(),
    )
    named = {} if checkpoint is None else {"student.checkpoint": str(checkpoint)}
    return read_config(path, {**(settings or {}), **named})


def parse_setting(text: str) -> tuple[str, Any]:
    """Return key and value of `KEY=VALUE`; a value that is not TOML is taken as a string.

    Raises
    ------
    ConfigError
        When there is no `=`.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text}: not KEY=VALUE", "such as --set student.args.width=16")
    try:
        parsed = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):
        parsed = {}
    return key.strip(), parsed["value"] if set(parsed) == {"value"} else value


def config_files(config: Config) -> list[Path]:
    """Return every file of code that a `where:what` names, and history, groups and logits files.

    A change in one of them makes a stored diagnosis stale. Installed packages are left out (their
    versions tell), and so is what a named file imports itself.
    """
    found = [ref.path for ref in config.references if ref.is_code_file]
    found += [p for ref in config.references for p in _module_files(ref)]
    groups = config.data.groups
    if groups is not None and groups.is_path:
        found.append(groups.path)
    named = (config.recipe.history, config.teacher.logits)
    found += [file.path for file in named if file is not None]
    return sorted({p.resolve() for p in found})


def _module_files(ref: Reference) -> list[Path]:
    if ref.is_code_file or not ref.what or ref.where in LIBRARIES:
        return []
    inside = Path(*ref.where.split("."))
    tries = [
        folder / name
        for folder in (ref.base, Path.cwd())
        for name in (inside.with_suffix(".py"), inside / "__init__.py")
    ]
    return [p for p in tries if p.is_file()][:1]


def _nearest_above(folder: Path) -> Path | None:
    for place in (folder, *folder.parents):
        if (place / FILE).is_file():
            return place / FILE
    return None


def _require_complete(merged: Merged) -> None:
    missing = [key for key in _FLAGS if merged.get(key) is None]
    if merged.get("teacher.logits") is not None:
        missing = [key for key in missing if key != "teacher.model"]
    if not missing:
        return
    named = merged.get("student.checkpoint")
    flags = ", ".join(_FLAGS[key] for key in missing)
    if merged.path is not None:
        raise ConfigError(
            f"{shown(merged.path)}: missing {', '.join(missing)}", f"add the keys, or give {flags}"
        )
    checkpoint = named or _a_checkpoint_in(merged.cwd)
    where = f"near {named}" if named else f"in {merged.cwd} or above"
    raise ConfigError(
        f"no {FILE} {where}, and no {flags} given",
        f"gapdoctor init {shlex.quote(checkpoint)}" + " (writes one to fill in)",
    )


def _a_checkpoint_in(folder: Path) -> str:
    found = sorted(p.name for p in folder.iterdir() if p.suffix in _CHECKPOINTS)
    return found[0] if found else "CHECKPOINT"
