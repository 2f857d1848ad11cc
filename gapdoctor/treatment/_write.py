"""What is chosen, written: the student in its own container, the config with the changes."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

import pandas as pd
from torch import nn

from gapdoctor.domain.recipe import Recipe
from gapdoctor.domain.trials import Change, TrialSpec, Written
from gapdoctor.engines._base import Applied
from gapdoctor.fixes._base import Patient, plain
from gapdoctor.loading.config import Config
from gapdoctor.loading.larger import larger_args
from gapdoctor.loading.sections import StudentSection
from gapdoctor.loading.where import TRAIN_PIPELINE
from gapdoctor.loading.writing import Folded, fold, write_checkpoint, write_config
from gapdoctor.observe.case import Case
from gapdoctor.storage.fix_folder import CHANGES, FIXED_CONFIG, FIXED_STUDENT
from gapdoctor.training.folder import TrialFolder
from gapdoctor.training.materials import Materials
from gapdoctor.training.noted import trained_recipe
from gapdoctor.training.placement import copied
from gapdoctor.training.students import write_weights
from gapdoctor.treatment._head import head_of
from gapdoctor.treatment.run import Treated

_NO_KEYS = ("history", "trainer")
"""Fields of a recipe that no fix changes; the history is a file of its own."""


@dataclass(frozen=True)
class Result:
    """What is handed back beside the record."""

    written: Written = field(default_factory=Written)
    student: nn.Module | None = None
    notes: tuple[str, ...] = ()
    folded_temperature: float | None = None
    """What the student's head was divided by since its training; None: by nothing."""


@dataclass(frozen=True)
class Writer:
    """Writes what a treatment chose."""

    case: Case
    patient: Patient
    applied: Applied
    """Free corrections in force."""
    trials: Path
    folder: Path | None
    """Of the run; None: nothing is written."""
    config: Config | None
    """None for live objects: of them the weights alone are written."""
    unsafe: bool = False

    def write(self, treated: Treated) -> Result:
        """Write the chosen student; nothing where none is."""
        if treated.student is None:
            return Result()
        scale = treated.choice.temperature
        if treated.spec is None:  # its logits were divided already by what the config says
            scale *= self.case.output_temperature
        folded = self._folded(treated, scale)
        in_head = self._in_head(treated, scale / folded.output_temperature)
        student = copied(treated.student)
        student.load_state_dict(folded.weights)
        notes = (*self._left(folded), *self._of_order(treated))
        if self.folder is None:
            return Result(Written(), student.eval(), notes, in_head)
        if self.config is None:
            write_weights(student, self.folder / FIXED_STUDENT)
            return Result(Written(checkpoint=FIXED_STUDENT), student.eval(), notes, in_head)
        written, more = self._files(treated, folded, in_head, self.folder, self.config)
        return Result(written, student.eval(), (*notes, *more), in_head)

    def _folded(self, treated: Treated, scale: float) -> Folded:
        assert treated.student is not None
        untouched = treated.spec is None and treated.choice.temperature == 1.0
        if untouched and treated.class_order is None:  # what the config divides by stays there
            folded = fold(treated.student, None)
            return Folded(folded.weights, self.case.output_temperature, order_left=False)
        head = head_of(treated.student, Materials(self.case))
        return fold(treated.student, head, temperature=scale, order=treated.class_order)

    def _in_head(self, treated: Treated, now: float) -> float | None:
        """What the head was divided by since its training, all in all.

        Trainings begin from weights that nothing is folded into (`start_from`).
        """
        before = self.case.folded_temperature if treated.spec is None else None
        if now == 1.0:
            return before
        product = now * (before or 1.0)
        return None if product == 1.0 else product

    # -- files -------------------------------------------------------------------------------

    def _files(
        self,
        treated: Treated,
        folded: Folded,
        in_head: float | None,
        folder: Path,
        config: Config,
    ) -> tuple[Written, tuple[str, ...]]:
        original, spec = config.student.checkpoint.path, treated.spec
        out = folder / FIXED_STUDENT
        log = None if spec is None else TrialFolder(self.trials / spec.name).path / "history.csv"
        history = log if log is not None and log.exists() else None
        checkpoint = write_checkpoint(
            original, folded.weights, out, key=config.student.key, unsafe=self.unsafe,
            recipe=None if spec is None else trained_recipe(spec),
            history=None if history is None else pd.read_csv(history),
        )  # fmt: skip
        files: dict[str, Path | None] = {"student.checkpoint": out}
        if spec is not None:
            files["recipe.history"] = history
        changes = self._changes(treated, folded, in_head, config)
        if not checkpoint.same_layout:
            changes.append(Change("student.key", config.student.key, None))
            if config.teacher.model is not None and config.teacher.checkpoint is None:
                files["teacher.checkpoint"] = original
        made = write_config(config, changes, folder / FIXED_CONFIG, files=files,
                            recovered=self.case.recipe_record)  # fmt: skip
        notes = (*checkpoint.notes, *made.notes, *self._beside(config))
        return Written(out.name, FIXED_CONFIG, CHANGES), notes

    def _changes(
        self, treated: Treated, folded: Folded, in_head: float | None, config: Config
    ) -> list[Change]:
        changes = self._of_inputs(config)
        before, after = self.case.output_temperature, folded.output_temperature
        if before != after:
            told = None if after == 1.0 else after
            changes.append(Change("student.output_temperature", before, told))
        if in_head != self.case.folded_temperature:
            changes.append(
                Change("student.folded_temperature", self.case.folded_temperature, in_head)
            )
        if treated.spec is not None:
            changes += self._of_training(treated.spec, config)
        return changes

    def _of_inputs(self, config: Config) -> list[Change]:
        """Pipeline and corrections."""
        given = config.values.get("preprocess", {})
        kept = list(given.get("corrections") or ())
        wanted = [*kept, *self.applied.corrections]
        changes = []
        if self.applied.train_pipeline:
            train = given.get("train", TRAIN_PIPELINE)
            changes.append(Change("preprocess.inference", given.get("inference"), train))
            wanted = list(self.applied.corrections)
        if wanted != kept:
            changes.append(Change("preprocess.corrections", kept or None, wanted or None))
        return changes

    def _of_training(self, spec: TrialSpec, config: Config) -> list[Change]:
        """The recipe that the student was trained with, and its size."""
        declared, trained = self.patient.declared, trained_recipe(spec)
        names = [f.name for f in fields(Recipe) if f.name not in _NO_KEYS]
        changes = [
            Change(f"recipe.{name}", plain(getattr(declared, name)), plain(getattr(trained, name)))
            for name in names
            if getattr(declared, name) != getattr(trained, name)
        ]
        return [*changes, *(_of_size(config.student) if spec.larger else ())]

    # -- notes -------------------------------------------------------------------------------

    def _beside(self, config: Config) -> tuple[str, ...]:
        if not self.applied.train_pipeline or "train" in config.values.get("preprocess", {}):
            return ()
        return (
            f'[preprocess] inference = "{TRAIN_PIPELINE}" stands for the train set\'s own '
            "transform without its random steps: give that to the deployed code, too.",
        )

    def _left(self, folded: Folded) -> tuple[str, ...]:
        if not folded.reason:
            return ()
        return (
            f"The temperature {folded.output_temperature:.4g} is not in the weights: "
            f"{folded.reason} Divide the logits by it ([student] output_temperature).",
        )

    def _of_order(self, treated: Treated) -> tuple[str, ...]:
        if treated.class_order is None or self.applied.class_order is None:
            return ()
        return (
            "The student's classes are in the order of the held-out labels now; the train labels, "
            "and the teacher, have another.",
        )


def _of_size(student: StudentSection) -> list[Change]:
    """The arguments of the larger student, which is the student now."""
    args = "student.model.args" if student.model.args else "student.args"
    changes = [
        Change(f"{args}.{name}", student.args.get(name), value)
        for name, value in (larger_args(student) or {}).items()
    ]
    if student.larger is not None:
        changes.append(Change("student.larger", dict(student.larger), None))
    return changes
