"""The sections of the config as records, and the reading of each from the merged table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.util import find_spec
from typing import Any

from gapdoctor.discovery import plugin_names
from gapdoctor.domain.recipe import (
    Average,
    Distillation,
    FeatureLoss,
    Optimizer,
    Recipe,
    Schedule,
    TaughtBy,
)
from gapdoctor.errors import ConfigError
from gapdoctor.loading.keys import AUGMENTATIONS, PIPELINES
from gapdoctor.loading.merged import Merged
from gapdoctor.loading.named import file_at, maybe_file, maybe_thing, thing_at, thing_named
from gapdoctor.loading.where import TRAIN_PIPELINE, FileName, Reference, did_you_mean

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
    folded_temperature: float | None


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
class AssistantSection:
    """`[assistant]`."""

    model: Reference
    args: Mapping[str, Any]
    checkpoint: FileName | None
    """None: the weights are those of the model as it is."""
    key: str | None


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
    train_at_inference: str | None = None
    """Where `inference = "train"` stands: `train`, or where that is not given what the train set
    carries. None: `inference` is what it says."""


@dataclass(frozen=True, slots=True)
class RecipeSection:
    """`[recipe]`: its plain values, and the things it names."""

    recipe: Recipe
    augment: Reference | None
    trainer: Reference | None
    history: FileName | None
    layers_place: str = "recipe.feature_layers"
    """Where `feature_layers` stands, for messages: the models are not there yet."""


def read_student(merged: Merged) -> StudentSection:
    """Return `[student]`: the model, its arguments, its checkpoint."""
    model, args = _model_and_args(merged, "student")
    folded = merged.get("student.folded_temperature")
    return StudentSection(
        model=model,
        args=args,
        checkpoint=file_at(merged, "student.checkpoint"),
        key=merged.get("student.key"),
        larger=merged.get("student.larger"),
        output_temperature=float(merged.get("student.output_temperature") or 1.0),
        folded_temperature=None if folded is None else float(folded),
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


def read_assistant(merged: Merged) -> AssistantSection | None:
    """Return `[assistant]`, or None where there is none.

    Raises
    ------
    ConfigError
        When it names no model, or none is there where the recipe learns from one.
    """
    if not merged.get("assistant"):
        if merged.get("recipe.taught_by") == TaughtBy.ASSISTANT:
            raise ConfigError(
                f"{merged.place('recipe.taught_by')}: there is no assistant",
                "name it: [assistant] model and checkpoint",
            )
        return None
    if merged.get("assistant.model") is None:
        raise ConfigError(
            f"{merged.place('assistant')}: missing model",
            "name what builds the assistant: [assistant] model",
        )
    model, args = _model_and_args(merged, "assistant")
    return AssistantSection(
        model, args, maybe_file(merged, "assistant.checkpoint"), merged.get("assistant.key")
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
    is_train = merged.get(_INFERENCE) == TRAIN_PIPELINE
    place = merged.place(_INFERENCE) if is_train else None
    train, inference, teacher = (
        None if is_train and key == _INFERENCE else maybe_thing(merged, key) for key in PIPELINES
    )
    if is_train and train is None and teacher is not None:
        raise ConfigError(
            f'{place}: "{TRAIN_PIPELINE}" beside preprocess.teacher needs preprocess.train',
            'name what the student ate in training: train = "run.py:name"',
        )
    return PreprocessSection(train, inference, teacher, names, place)


_INFERENCE = "preprocess.inference"


def read_recipe(merged: Merged) -> RecipeSection:
    """Return `[recipe]`; what it names by `where:what` stands as a name in the record itself."""
    given = dict(merged.values.get("recipe", {}))
    things: dict[str, Reference | None] = {"augment": None, "trainer": None}
    for key in things:
        if key in given and not isinstance(given[key], list):
            thing = things[key] = thing_at(merged, f"recipe.{key}")
            given[key] = thing.name
    if isinstance(given.get("augment"), list):
        given["augment"], things["augment"] = _augmentations(merged, given["augment"])
    return RecipeSection(
        recipe=Recipe(**{key: _plain(key, value) for key, value in given.items()}),
        history=maybe_file(merged, "recipe.history"),
        layers_place=merged.place("recipe.feature_layers"),
        **things,
    )


_NAMED: Mapping[str, type[StrEnum]] = {
    "optimizer": Optimizer, "schedule": Schedule, "average": Average, "taught_by": TaughtBy,
    "distillation": Distillation, "feature_loss": FeatureLoss,
}  # fmt: skip
"""Keys of `[recipe]` whose value is one of a few names."""


def _augmentations(merged: Merged, listed: list[Any]) -> tuple[list[str], Reference | None]:
    """The names of a list, and the one among them that is the user's own."""
    key, own = "recipe.augment", None
    names: list[str] = []
    for item in listed:
        if isinstance(item, str) and ":" not in item:
            if item not in AUGMENTATIONS:
                raise ConfigError(
                    f"{merged.place(key)}: unknown augmentation {item!r}",
                    did_you_mean(item, AUGMENTATIONS, _HOW_TO_AUGMENT),
                )
            names.append(item)
            continue
        thing = thing_named(merged, key, item)
        if own is not None:
            raise ConfigError(
                f"{merged.place(key)}: two of your own, {own.name} and {thing.name}",
                "put them into one function: one of your own is called, beside known names",
            )
        own = thing
        names.append(thing.name)
    return names, own


_HOW_TO_AUGMENT = f'name your own as "run.py:augment"; known: {", ".join(AUGMENTATIONS)}'


def _plain(key: str, value: Any) -> Any:
    """A TOML value as the recipe holds it: enumerations, tuples, floats."""
    if key in _NAMED:
        return _NAMED[key](value)
    if key == "betas":
        return tuple(float(v) for v in value)
    if isinstance(value, list):
        return tuple(tuple(v) if isinstance(v, list) else v for v in value)
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
