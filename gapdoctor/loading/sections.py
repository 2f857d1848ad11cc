"""The sections of the config as records, and the reading of each from the merged table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

from gapdoctor.discovery import plugin_names
from gapdoctor.domain.recipe import Optimizer, Recipe, Schedule
from gapdoctor.errors import ConfigError
from gapdoctor.loading.keys import PIPELINES
from gapdoctor.loading.merged import Merged
from gapdoctor.loading.named import file_at, maybe_file, maybe_thing, thing_at
from gapdoctor.loading.where import FileName, Reference, did_you_mean

CORRECTIONS = "gapdoctor.corrections"


@dataclass(frozen=True, slots=True)
class StudentSection:
    """`[student]`."""

    model: Reference
    args: Mapping[str, Any]
    checkpoint: FileName
    key: str | None
    larger: Mapping[str, Any] | None
    output_temperature: float


@dataclass(frozen=True, slots=True)
class TeacherSection:
    """`[teacher]`: a model, or its stored logits."""

    model: Reference | None
    args: Mapping[str, Any]
    checkpoint: FileName | None
    """None: the teacher's weights stand in the student's file, or in the model as it is."""
    key: str | None
    logits: FileName | None


@dataclass(frozen=True, slots=True)
class DataSection:
    """`[data]`."""

    train: Reference
    heldout: Reference
    test: Reference | None
    groups: Reference | None
    classes: tuple[str, ...] | None
    sample_keys: tuple[str, str]


@dataclass(frozen=True, slots=True)
class PreprocessSection:
    """`[preprocess]`."""

    train: Reference | None
    inference: Reference | None
    teacher: Reference | None
    corrections: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecipeSection:
    """`[recipe]`: its plain values, and the things it names."""

    recipe: Recipe
    augment: Reference | None
    trainer: Reference | None
    history: FileName | None


def read_student(merged: Merged) -> StudentSection:
    """Return `[student]`: the model, its arguments, its checkpoint."""
    model, args = _model_and_args(merged, "student")
    return StudentSection(
        model=model,
        args=args,
        checkpoint=file_at(merged, "student.checkpoint"),
        key=merged.get("student.key"),
        larger=merged.get("student.larger"),
        output_temperature=float(merged.get("student.output_temperature") or 1.0),
    )


def read_teacher(merged: Merged) -> TeacherSection:
    """Return `[teacher]`: a model with its weights, or stored logits; a flag beats the file."""
    keys = ["teacher.model", "teacher.logits"]
    given = [key for key in keys if merged.get(key) is not None]
    set_above = [key for key in given if merged.is_set(key)]
    if len(given) == 2 and len(set_above) != 1:
        raise ConfigError(
            f"{merged.place('teacher.logits')}: given beside teacher.model", "give one of the two"
        )
    kept = set_above if len(given) == 2 else given  # a flag beats the file
    model, args = _model_and_args(merged, "teacher") if "teacher.model" in kept else (None, {})
    checkpoint = "teacher.checkpoint"
    if (
        model is None
        and merged.get(checkpoint) is not None
        and not _is_overruled(merged, checkpoint)
    ):
        raise ConfigError(
            f"{merged.place(checkpoint)}: given beside logits",
            "give teacher.model, or no checkpoint",
        )
    return TeacherSection(
        model=model,
        args=args,
        checkpoint=maybe_file(merged, checkpoint) if model else None,
        key=merged.get("teacher.key"),
        logits=maybe_file(merged, "teacher.logits") if "teacher.logits" in kept else None,
    )


def _is_overruled(merged: Merged, key: str) -> bool:
    """Whether logits that were set above the file replace what the file says at `key`."""
    return merged.is_set("teacher.logits") and not merged.is_set(key)


def read_data(merged: Merged) -> DataSection:
    """Return `[data]`: the splits, groups, class names."""
    classes = merged.get("data.classes")
    return DataSection(
        train=thing_at(merged, "data.train"),
        heldout=thing_at(merged, "data.heldout"),
        test=maybe_thing(merged, "data.test"),
        groups=maybe_thing(merged, "data.groups"),
        classes=None if classes is None else tuple(classes),
        sample_keys=(merged.get("data.input") or "input", merged.get("data.label") or "label"),
    )


def read_preprocess(merged: Merged) -> PreprocessSection:
    """Return `[preprocess]`: the pipelines; corrections are checked against those there are."""
    names = tuple(merged.get("preprocess.corrections") or ())
    known = plugin_names(CORRECTIONS) if find_spec(CORRECTIONS) else []
    for text in names:
        name = text.partition("(")[0].strip()
        if name not in known:
            raise ConfigError(
                f"{merged.place('preprocess.corrections')}: unknown correction {name!r}",
                did_you_mean(name, known, "gapdoctor explain lists those there are"),
            )
    train, inference, teacher = (maybe_thing(merged, key) for key in PIPELINES)
    return PreprocessSection(train, inference, teacher, names)


def read_recipe(merged: Merged) -> RecipeSection:
    """Return `[recipe]`; what it names by `where:what` stands as a name in the record itself."""
    given = dict(merged.values.get("recipe", {}))
    things: dict[str, Reference | None] = {"augment": None, "trainer": None}
    for key in things:
        if key in given and not isinstance(given[key], list):
            thing = things[key] = thing_at(merged, f"recipe.{key}")
            given[key] = thing.name
    return RecipeSection(
        recipe=Recipe(**{key: _plain(key, value) for key, value in given.items()}),
        history=maybe_file(merged, "recipe.history"),
        **things,
    )


def _plain(key: str, value: Any) -> Any:
    """A TOML value as the recipe holds it: enumerations, tuples, floats."""
    if key == "optimizer":
        return Optimizer(value)
    if key == "schedule":
        return Schedule(value)
    if key == "betas":
        return tuple(float(v) for v in value)
    if isinstance(value, list):
        return tuple(value)
    is_float = "float" in Recipe.__annotations__[key]
    return float(value) if is_float else value


def _model_and_args(merged: Merged, section: str) -> tuple[Reference, Mapping[str, Any]]:
    """The model's name and what it is called with: the section's `args`, or its table's."""
    model = thing_at(merged, f"{section}.model")
    args: Mapping[str, Any] | None = merged.get(f"{section}.args")
    if not args:
        return model, model.args or {}
    if model.args:
        raise ConfigError(
            f"{merged.place(f'{section}.args')}: the table of {section}.model has args too",
            "give the arguments once",
        )
    places = {name: merged.place(f"{section}.args.{name}") for name in args}
    return replace(model, arg_places=places), args
