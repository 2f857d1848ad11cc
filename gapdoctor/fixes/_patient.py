"""The pair as a fix sees it: plain facts of the case, and the diagnosis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gapdoctor.corrections._base import Kind, kind_of
from gapdoctor.domain.causes import Cause
from gapdoctor.domain.diagnosis import Diagnosis, RankedCause
from gapdoctor.domain.findings import Evidence, Table
from gapdoctor.domain.recipe import Recipe, TaughtBy
from gapdoctor.errors import GapDoctorError
from gapdoctor.fixes._ran import epochs_logged, evidence_of, keeps_best, what_ran
from gapdoctor.loading.layers import check_layers
from gapdoctor.observe.augmentation import OWN, augmentation_names
from gapdoctor.observe.borrow import own_random_state
from gapdoctor.observe.case import Case, Model, TeacherLogits
from gapdoctor.observe.pipelines import prepare_case
from gapdoctor.observe.scorer import Scorer
from gapdoctor.training.arms import assistant_of
from gapdoctor.training.batches import batch_count
from gapdoctor.training.defaults import completed
from gapdoctor.training.features.extra import WITHOUT
from gapdoctor.training.features.layers import why_not_heard
from gapdoctor.training.features.pairing import Pairs, paired_layers, spread
from gapdoctor.training.rows import TrainingRows, rows_of_case

ASSUMED_STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 5_000, 10, 100
"""Where nobody tells the epochs: as many as make so many steps, within these ends (starting
values)."""
A_FEW = 8
"""Rows of a stream that are read to look at one."""


@dataclass(frozen=True, slots=True)
class Patient:
    """All that a fix may look at."""

    diagnosis: Diagnosis
    declared: Recipe
    """As given, completed."""
    recipe: Recipe
    """What ran, completed: the control's. Its schedule spans `recipe.epochs`."""
    epochs: int
    """What was trained of them."""
    departures: tuple[str, ...]
    """How what ran departs from what is declared, one sentence each."""
    assumed: tuple[str, ...]
    """Fields that nobody gave and that matter, in order."""
    shape: tuple[int, ...]
    """Of one model-ready sample."""
    floating: bool
    """Its values are measurements, no tokens."""
    train_rows: int
    student_parameters: int
    teacher_parameters: int | None
    """None: the teacher is a file of logits, and cannot be asked about new views."""
    larger: int | str | None
    """Parameters of the larger student; why it cannot be built; None: nobody names one."""
    has_factory: bool
    """The student can be built anew."""
    has_pipelines: bool
    """The train and the inference pipeline are both known."""
    pipelines_differ: bool
    shares_view: bool
    """Teacher and student eat the train rows through one pipeline."""
    has_head: bool
    """The student's logits are made by a linear layer."""
    has_batchnorm: bool
    """The student holds running BatchNorm statistics."""
    dropouts: tuple[float, ...]
    """Rates of the student's dropout modules."""
    own_trainer: bool = False
    """The user's own code trains."""
    assistant_parameters: int | None = None
    """None: no assistant is named."""
    layer_pairs: Pairs | str = ()
    """Layers of the student with those of the teacher that they may learn from; why there are
    none."""
    where: Mapping[str, str] = field(default_factory=dict)
    """How the config names its things, by dotted key."""

    @property
    def causes(self) -> dict[Cause, RankedCause]:
        """The causes of the diagnosis by id, most likely first."""
        return {cause.id: cause for cause in self.diagnosis.causes}

    @property
    def kind(self) -> Kind:
        """Of a model-ready sample: image, map, columns or other."""
        return kind_of(self.shape)

    @property
    def augmentation(self) -> tuple[str, ...]:
        """What augments, name by name; a `where:what` or `own` is the user's own."""
        names = self.recipe.augment or ()
        return (names,) if isinstance(names, str) else names

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return batch_count(self.train_rows, self.recipe.batch_size or 1)

    @property
    def history(self) -> Table | None:
        """The learning curves, where there are any."""
        return self.diagnosis.tables.get("history")

    def says(self, cause: Cause, probe: str) -> list[Evidence]:
        """Return what a probe says for a cause."""
        return evidence_of(self.diagnosis.causes, cause, probe)

    def warns(self, name: str) -> bool:
        """Tell whether the diagnosis holds a warning of that id."""
        return any(warning.id == name for warning in self.diagnosis.warnings)

    def asked(self, probe: str) -> bool:
        """Tell whether a probe was asked and could answer."""
        return all(skipped.probe != probe for skipped in self.diagnosis.skipped)

    def only_said_by(self, cause: Cause, probe: str) -> bool:
        """Tell whether all that speaks for a cause comes from one probe."""
        found = self.causes.get(cause)
        speaking = () if found is None else tuple(e for e in found.evidence if e.speaks == "for")
        return bool(speaking) and all(e.probe == probe for e in speaking)


def patient_of(case: Case, diagnosis: Diagnosis) -> Patient:
    """Return what fixes may look at.

    Parameters
    ----------
    case : Case
        One train row is read, and the student run on it; both are left as they were.
    diagnosis : Diagnosis
        Of this case.

    Raises
    ------
    GapDoctorError
        When a train row cannot be read, or the student cannot take it; when the recipe learns from
        an assistant that is not there.
    """
    data = prepare_case(case, A_FEW, 0)
    train = rows_of_case(data)
    sample = train.batch(np.zeros(1, dtype=np.int64)).inputs
    modules = list(case.student.modules())
    rows = diagnosis.data.train.samples or diagnosis.data.train.used
    declared, assumed = _declared(case, diagnosis, rows)
    pairs = _layer_pairs(case, declared, train)
    if declared.feature_loss is not None and case.trainer is None:
        declared, assumed = _with_layers(declared, assumed, pairs)
    ran = what_ran(declared, diagnosis)
    return Patient(
        diagnosis=diagnosis,
        declared=keeps_best(declared, diagnosis),
        recipe=keeps_best(ran.recipe, diagnosis),
        epochs=ran.epochs,
        departures=ran.departures,
        assumed=assumed,
        shape=tuple(sample.shape[1:]),
        floating=sample.is_floating_point(),
        train_rows=rows,
        student_parameters=_size(case.student),
        teacher_parameters=None if isinstance(case.teacher, TeacherLogits) else _size(case.teacher),
        larger=_larger(case, sample),
        has_factory=case.student_factory is not None,
        has_pipelines=data.given,
        pipelines_differ=data.same["inference"] != data.same["train"],
        shares_view=data.same["teacher"] == data.same["train"],
        has_head=_has_head(case, sample),
        has_batchnorm=any(isinstance(m, _BatchNorm) and m.track_running_stats for m in modules),
        dropouts=tuple(m.p for m in modules if isinstance(m, nn.modules.dropout._DropoutNd)),
        assistant_parameters=_assistant(case, declared),
        own_trainer=case.trainer is not None or declared.trainer is not None,
        layer_pairs=pairs,
        where=dict(case.where),
    )


def _declared(case: Case, diagnosis: Diagnosis, rows: int) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe as given, completed, and what nobody gave."""
    given = case.recipe_record.recipe
    assumed: dict[str, Any] = {}
    if augmentation_names(given.augment, has_own=case.augment is not None) == (OWN,):
        given = replace(given, augment=case.where.get("recipe.augment", OWN))
    elif given.augment is None:
        assumed["augment"] = ()
    if given.early_stopping is None:
        assumed["early_stopping"] = 0
    if given.epochs is None:
        logged = epochs_logged(diagnosis)
        given = replace(given, epochs=logged)
        if logged is None:
            an_epoch = batch_count(rows, completed(given, 1).recipe.batch_size or 1)
            wanted = -(-ASSUMED_STEPS // an_epoch)
            assumed["epochs"] = min(MOST_EPOCHS, max(FEWEST_EPOCHS, wanted))
    known = replace(given, dropout=given.dropout or 0.0, **assumed)
    done = completed(known)
    return done.recipe, tuple(sorted({*done.assumed, *assumed}))


def _layer_pairs(case: Case, declared: Recipe, rows: TrainingRows) -> Pairs | str:
    """Those that are declared; else they are found, by a few rows."""
    by = assistant_of(case) if declared.taught_by == TaughtBy.ASSISTANT else case.teacher
    reason = why_not_heard(by)
    if reason:
        return f"the teacher {reason}"
    if declared.feature_layers:
        check_layers(declared.feature_layers, case.student, by)
        return declared.feature_layers
    batch = rows.batch(spread(rows.count))
    try:
        return paired_layers(case.student, by, batch.inputs, batch.teacher_inputs)
    except GapDoctorError as error:  # a program that runs may yet not bear being listened to
        return error.message


def _with_layers(
    declared: Recipe, assumed: tuple[str, ...], pairs: Pairs | str
) -> tuple[Recipe, tuple[str, ...]]:
    """A recipe that learns features, where nobody said of which layers.

    Raises
    ------
    GapDoctorError
        When they cannot be paired: it cannot be run.
    """
    if isinstance(pairs, str):
        raise GapDoctorError(f"recipe.feature_loss: {pairs}", WITHOUT)
    if declared.feature_layers:
        return declared, assumed
    return replace(declared, feature_layers=pairs), tuple(sorted({*assumed, "feature_layers"}))


def _larger(case: Case, sample: torch.Tensor) -> int | str | None:
    """Build it and run it once: what was guessed to be a width may be that of the input."""
    if case.larger_factory is None:
        return None
    try:
        with own_random_state(0):
            larger = case.larger_factory()
        twice = [torch.cat([sample, sample])]
        widths = [
            Scorer(one, "auto", 2).run(Model.STUDENT, twice).logits.shape[1]
            for one in (case, replace(case, student=larger))
        ]
    except GapDoctorError as error:
        return error.message
    if widths[0] != widths[1]:
        return f"it gives {widths[1]} logits, not {widths[0]}"
    return _size(larger)


def _assistant(case: Case, declared: Recipe) -> int | None:
    """The assistant's parameters; it has to be there where the recipe learns from it."""
    wanted = declared.taught_by == TaughtBy.ASSISTANT
    return _size(assistant_of(case)) if wanted or case.assistant is not None else None


def _has_head(case: Case, sample: torch.Tensor) -> bool:
    scorer = Scorer(case, "auto", 2)
    scorer.run(Model.STUDENT, [torch.cat([sample, sample])])
    return scorer.head(Model.STUDENT) is not None


def _size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
