"""Short continuations of a student side by side: same start, same batches, one thing changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gapdoctor.domain.diagnosis import Gap
from gapdoctor.domain.findings import Floats, Interval, Side, Table
from gapdoctor.domain.recipe import Recipe, Schedule, TaughtBy
from gapdoctor.errors import GapDoctorError
from gapdoctor.observe.case import Case, Model, Split, TeacherLogits
from gapdoctor.observe.measures import accepted_train_rows
from gapdoctor.observe.observations import Observations, own_pipeline
from gapdoctor.observe.outputs import Outputs
from gapdoctor.stats.assignment import reorder
from gapdoctor.stats.intervals import mean_interval
from gapdoctor.training.defaults import completed
from gapdoctor.training.loop import Length, fit
from gapdoctor.training.rows import rows_of_case
from gapdoctor.training.students import before_folding
from gapdoctor.training.teacher import TeacherOutputs
from gapdoctor.training.views import Views

VARIANT = "student trained on"
TENTHS = 10
"""A continuation counts as that many epochs of its recipe, whatever its steps."""
RISING = 3
"""Of these tenths, how many the learning rate rises for before it falls to 0: an optimizer that
begins without its memory takes wild first steps."""


@dataclass(frozen=True)
class Arm:
    """One continuation."""

    name: str
    recipe: Recipe
    views: Views


@dataclass(frozen=True)
class Losses:
    """Cross-entropy of a student, row by row, nats."""

    train: Floats
    """(n,) of some train rows; those that the teacher rejects are left out where they are many."""
    heldout: Floats
    """(m,) of some rows of half B, as deployed, under what was proven so far."""


@dataclass(frozen=True)
class Short:
    """The rows on which continuations are scored, and the student as it was given."""

    positions: dict[Split, NDArray[np.int64]]
    given: Losses
    groups: NDArray[np.object_] | None
    """(m,) group ids of the held-out rows."""


@dataclass(frozen=True)
class Comparison:
    """The losses of all arms, set against each other and against the student as it was given."""

    seen: Observations
    rows: Short
    arms: Mapping[str, Losses]
    steps: int
    """That each took."""
    gap: Gap
    """Of the student as it was given."""

    def over(self, before: str | None, after: str, split: Split) -> Interval:
        """Return the nats that an arm has less than another (None: than the student given)."""
        one = self.rows.given if before is None else self.arms[before]
        other = self.arms[after]
        rng = self.seen.rng(f"continued {before} {after} {split}")
        if split is Split.TRAIN:
            return mean_interval(one.train - other.train, rng)
        return mean_interval(one.heldout - other.heldout, rng, groups=self.rows.groups)

    @property
    def side(self) -> Side:
        """The larger of fit deficit and excess gap."""
        more = self.gap.excess_gap.value >= self.gap.fit_deficit.value
        return Side.EXCESS_GAP if more else Side.FIT_DEFICIT

    def table(self) -> Table:
        """Return the mean losses, a row an arm; the first is the student as it was given."""
        columns = ("arm", "steps", "train_loss", "heldout_loss")
        students = [("as given", 0, self.rows.given)]
        students += [(name, self.steps, losses) for name, losses in self.arms.items()]
        return Table(
            columns,
            tuple(
                (name, steps, float(x.train.mean()), float(x.heldout.mean()))
                for name, steps, x in students
            ),
        )


def continued_recipe(recipe: Recipe) -> Recipe:
    """Return a recipe for going on: its learning rate at once, then linearly down to 0.

    Labels and logits are what it learns from; of the teacher's features it has learned already.
    """
    going_on = {
        "schedule": Schedule.CONSTANT, "epochs": TENTHS, "warmup_epochs": RISING,
        "feature_loss": None,
    }  # fmt: skip
    return completed(Recipe(**recipe.known() | going_on)).recipe


def short_rows(seen: Observations) -> Short:
    """Return the rows on which continuations are scored: some of the train rows, some of half B."""
    held = seen.rows(Split.HELDOUT)
    positions = {
        Split.TRAIN: seen.some(Split.TRAIN, accepted_train_rows(seen)),
        Split.HELDOUT: seen.some(Split.HELDOUT, held.reporting),
    }
    losses = {s: seen.current(Model.STUDENT, s).loss[p] for s, p in positions.items()}
    groups = None if held.groups is None else held.groups[positions[Split.HELDOUT]]
    return Short(positions, Losses(losses[Split.TRAIN], losses[Split.HELDOUT]), groups)


def run_arms(
    seen: Observations, arms: Sequence[Arm], steps: int, rows: Short
) -> dict[str, Losses | None]:
    """Train a copy of the student by each arm and score it; None for one that diverged.

    All take their batches from all train rows, in the same order.

    Parameters
    ----------
    seen : Observations
        After looking.
    arms : sequence of Arm
        Their recipes from `continued_recipe`, changed.
    steps : int
        Of each.
    rows : Short
        Where they are scored.
    """
    by_assistant = seen.case.recipe_record.recipe.taught_by == TaughtBy.ASSISTANT
    train = rows_of_case(seen.data, with_teacher=not by_assistant)
    device = seen.scorer.device(Model.STUDENT)
    theirs = assistant_of(seen.case) if by_assistant else teacher_of(seen.case)
    teacher = TeacherOutputs(theirs, train, device)
    start, divisor = before_folding(
        seen.case.student, seen.scorer.head(Model.STUDENT), seen.case.folded_temperature
    )
    found: dict[str, Losses | None] = {}
    for arm in arms:
        trained = fit(
            start, teacher, train, arm.recipe, Length(steps=steps),
            seed=seen.settings.seed, device=device, views=arm.views, anneal=True,
        )  # fmt: skip
        seen.scorer.spend(trained.samples)
        seen.offer(VARIANT, module=trained.student)
        found[arm.name] = None
        if not trained.diverged:
            losses = [_loss(seen, split, at, divisor) for split, at in rows.positions.items()]
            found[arm.name] = Losses(*losses)
    return found


def teacher_of(case: Case) -> torch.nn.Module | torch.Tensor:
    """Return the teacher of a case as training takes it: a module, or logits of all train rows."""
    if isinstance(case.teacher, TeacherLogits):
        return torch.from_numpy(np.asarray(case.teacher.train, dtype=np.float32))
    return case.teacher


def assistant_of(case: Case) -> torch.nn.Module:
    """Return the assistant of a case.

    Raises
    ------
    GapDoctorError
        When there is none, or it is no model.
    """
    if not isinstance(case.assistant, torch.nn.Module):
        raise GapDoctorError(
            "recipe.taught_by: there is no assistant to learn from"
            if case.assistant is None
            else f"assistant: {type(case.assistant).__name__} is not an nn.Module",
            'give [assistant] model and checkpoint, or [recipe] taught_by = "teacher"',
        )
    return case.assistant


def _loss(seen: Observations, split: Split, positions: NDArray[np.int64], divisor: float) -> Floats:
    """The loss (n,) of the trained student, through what its rows are read through by now.

    Its logits are divided as those of the student given are, which `divisor` is folded into.
    """
    own = seen.data.same[own_pipeline(Model.STUDENT, split)]
    view = seen.stack.view(Model.STUDENT, split, own, seen.data.same["train"])
    labels = seen.rows(split).labels[positions]

    def batches() -> Iterator[torch.Tensor]:
        size = seen.settings.batch_size
        for start in range(0, len(positions), size):
            yield seen.inputs(split, positions[start : start + size], view.pipeline)

    changed = seen.stack.apply(batches(), view)
    outputs = seen.score(Model.STUDENT, changed, labels, variant=VARIANT)
    order = seen.stack.class_order(Model.STUDENT, split)
    if order is None and divisor == 1.0:
        return outputs.loss
    logits = outputs.logits if order is None else reorder(outputs.logits, order)
    return Outputs.of((logits / divisor).astype(np.float32), labels).loss
