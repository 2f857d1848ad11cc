"""From `gapdoctor.toml` or flags to a Case. Reads as a list of steps.

What is heavy is imported only once the config is known to be good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gapdoctor.domain.recipe import Recipe, RecipeRecord, TaughtBy
from gapdoctor.loading.config import Config, resolve_config

if TYPE_CHECKING:
    import pandas as pd

    from gapdoctor.domain.diagnosis import ModelRecord
    from gapdoctor.loading.checkpoint import Checkpoint
    from gapdoctor.loading.models import Loaded
    from gapdoctor.loading.sections import PreprocessSection, RecipeSection
    from gapdoctor.loading.splits import Splits
    from gapdoctor.observe.case import Case, Preprocess, Source


def load_case(
    config: str | Path | None = None,
    *,
    checkpoint: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    unsafe_load: bool = False,
) -> Case:
    """Load the pair, its data and what is known of its training.

    Parameters
    ----------
    config : path, optional
        The TOML; left out, the `gapdoctor.toml` nearest the checkpoint, else the working
        directory's.
    checkpoint : path, optional
        The student's; beats the TOML's `[student] checkpoint`.
    settings : mapping of dotted key to value, optional
        Such as `{"student.args.width": 16}`; beats the TOML. Paths are relative to the working
        directory.
    unsafe_load : bool
        Unpickle checkpoints with all that they call. Only for files of your own.

    Returns
    -------
    Case
        With models on the CPU.

    Raises
    ------
    GapDoctorError
        Naming what is wrong with which file and key, and what to try.
    """
    return case_of(resolve_config(config, checkpoint, settings), unsafe_load=unsafe_load)


def case_of(config: Config, *, unsafe_load: bool = False) -> Case:
    """Load what a checked config names (see `load_case`)."""
    from gapdoctor.corrections._apply import with_corrections
    from gapdoctor.loading import models, reference, splits
    from gapdoctor.loading.carried import train_at_inference
    from gapdoctor.loading.checkpoint import read_checkpoint
    from gapdoctor.loading.layers import check_layers
    from gapdoctor.loading.recipe import recipe_notes, recover_recipe
    from gapdoctor.observe.case import Case

    own = read_checkpoint(config.student.checkpoint.path, unsafe=unsafe_load)
    student = models.load_student(config.student, own)
    factory, larger = models.student_factories(config.student)
    data = splits.open_splits(config.data)
    teacher = _teacher(config, own, data, unsafe=unsafe_load)
    assistant = _assistant(config, unsafe=unsafe_load)
    more = () if assistant is None else assistant.notes
    given = config.recipe.recipe
    by = assistant if assistant is not None and given.taught_by == TaughtBy.ASSISTANT else teacher
    check_layers(given.feature_layers or (), student.model, by.model, config.recipe.layers_place)
    recipe, conflicts = merged_recipe(given, recover_recipe(own))
    advice = [note for note in recipe_notes(own) if not _is_followed(note, given)]
    groups, augment, trainer = config.data.groups, config.recipe.augment, config.recipe.trainer
    case = Case(
        student=student.model,
        teacher=teacher.model,
        train=data.train,
        heldout=data.heldout,
        test=data.test,
        recipe=recipe,
        preprocess=_preprocess(config.preprocess),
        groups=None if groups is None else splits.read_groups(groups, data.heldout),
        classes=data.classes,
        history=_history(config.recipe, own),
        student_factory=factory,
        larger_factory=larger,
        output_temperature=config.student.output_temperature,
        folded_temperature=config.student.folded_temperature,
        augment=None if augment is None else reference.pipeline(augment).call,
        trainer=None if trainer is None else reference.trainer(trainer),
        sample_keys=config.data.sample_keys,
        assistant=None if assistant is None else assistant.model,
        records=_records(student, teacher, assistant),
        notes=(*student.notes, *teacher.notes, *more, *data.notes, *advice, *conflicts),
        where={ref.key: ref.name for ref in config.references} | _larger(config, larger),
    )
    if config.preprocess.train_at_inference is not None and config.preprocess.train is None:
        case = train_at_inference(case, config.preprocess.train_at_inference)
    case = with_corrections(case)
    return replace(case, source=_source(config, case.parts, unsafe=unsafe_load))


def _larger(config: Config, factory: Any) -> dict[str, str]:
    """Tell what the bigger student is built with, which may be a guess."""
    from gapdoctor.loading.larger import larger_args

    args = larger_args(config.student) if factory is not None else None
    told = ", ".join(f"{name} = {value}" for name, value in (args or {}).items())
    return {"student.larger": told} if told else {}


def _source(config: Config, parts: tuple[Any, ...], *, unsafe: bool) -> Source:
    from gapdoctor.observe.case import Source

    checkpoint = config.settings.get("student.checkpoint")
    path = None if config.path is None else str(config.path.absolute())
    return Source(str(Path.cwd()), path, checkpoint, config.settings, unsafe, parts)


def _teacher(config: Config, own: Checkpoint, data: Splits, *, unsafe: bool) -> Loaded[Any]:
    from gapdoctor.domain.diagnosis import ModelRecord
    from gapdoctor.loading import models
    from gapdoctor.loading.logits import read_logits

    if config.teacher.logits is None:
        return models.load_teacher(config.teacher, config.student, own, unsafe=unsafe)
    stored = read_logits(config.teacher.logits, data)
    return models.Loaded(stored, ModelRecord(None, stored.sha256, None), ())


def _assistant(config: Config, *, unsafe: bool) -> Loaded[Any] | None:
    from gapdoctor.loading import models

    section = config.assistant
    return None if section is None else models.load_assistant(section, unsafe=unsafe)


def _records(
    student: Loaded[Any], teacher: Loaded[Any], assistant: Loaded[Any] | None
) -> dict[Any, ModelRecord]:
    found = {"student": student.record, "teacher": teacher.record}
    return found if assistant is None else found | {"assistant": assistant.record}


def merged_recipe(given: Recipe, recovered: RecipeRecord) -> tuple[RecipeRecord, tuple[str, ...]]:
    """Return the recipe, the config's fields before the recovered ones, and where they disagree."""
    values, sources, conflicts = {}, {}, []
    for name in (f.name for f in fields(Recipe)):
        ours, theirs = getattr(given, name), getattr(recovered.recipe, name)
        if ours is None and theirs is None:
            continue
        values[name] = theirs if ours is None else ours
        sources[name] = recovered.source(name) if ours is None else "config"
        if ours is not None and theirs is not None and ours != theirs:
            conflicts.append(
                f"[recipe] {name} = {ours} counts; the {recovered.source(name)} says {theirs}."
            )
    return RecipeRecord(Recipe(**values), sources), tuple(conflicts)


def _is_followed(note: str, given: Recipe) -> bool:
    """Whether a note asks for a key of the recipe that the config gives."""
    return any(f"set [recipe] {key}" in note for key in given.known())


def _preprocess(section: PreprocessSection) -> Preprocess:
    from gapdoctor.loading.reference import pipeline
    from gapdoctor.observe.case import Preprocess

    named = (section.train, section.inference, section.teacher)
    train, inference, teacher = (None if ref is None else pipeline(ref) for ref in named)
    if section.train_at_inference is not None:
        inference = train
    return Preprocess(train, inference, teacher, section.corrections)


def _history(section: RecipeSection, checkpoint: Checkpoint) -> pd.DataFrame | None:
    from gapdoctor.loading.history import read_history, recover_history

    if section.history is not None:
        return read_history(section.history.path)
    return recover_history(checkpoint)
