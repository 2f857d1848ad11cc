"""What was observed of the pair: arrays, each computed once, on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gapdoctor.domain.findings import Intervention
from gapdoctor.domain.recipe import RecipeRecord
from gapdoctor.observe.case import Case, Model, Split
from gapdoctor.observe.classes import check_labels, check_same_classes, names_of
from gapdoctor.observe.forward import Meter
from gapdoctor.observe.needs import Need
from gapdoctor.observe.outputs import Outputs, SplitRows, broken_rows, joined
from gapdoctor.observe.pipelines import Prepared, prepare_case
from gapdoctor.observe.progress import Progress
from gapdoctor.observe.reading import Reading
from gapdoctor.observe.sampling import rounds
from gapdoctor.observe.scorer import Scorer
from gapdoctor.observe.settings import Settings
from gapdoctor.observe.splits import check_groups, seeded
from gapdoctor.observe.stack import Stack, Transform, View, own_pipeline

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Need", "Observations", "Settings", "own_pipeline"]

T = TypeVar("T")

SHORT = 1_000
"""Rows of a short pass, at most."""


class Observations:
    """The pair seen through its data.

    Looking happens in rounds (`extend`); after that, each array is computed once, on demand.
    Held-out rows of `[data] test` stand behind those of held-out.
    """

    def __init__(self, case: Case, settings: Settings, progress: Progress | None = None) -> None:
        self.case = case
        self.settings = settings
        self.progress = progress or Progress()
        self.used = 0
        self.bare = Meter()
        """One pass of each model over the rows used, through its own pipeline."""
        self.broken: dict[tuple[Model, Split], int] = {}
        """Rows on which a model gave NaN or infinity."""
        self.stack = Stack()
        """What was proven so far, on which `current` stands."""
        self.data: Prepared = prepare_case(case, settings.max_samples, settings.seed)
        """Raw rows and pipelines."""
        self.scorer = Scorer(case, settings.device, settings.batch_size)
        check_groups(case.groups, self.data.heldout.count)
        self._reading = Reading(self.data, settings.seed, settings.batch_size)
        self._parts: dict[tuple[Model, Split, View], list[Outputs]] = {}
        self._whole: dict[tuple[Model, Split, View], Outputs] = {}
        self._once: dict[str, object] = {}

    # -- what there is ---------------------------------------------------------------------

    @property
    def recipe(self) -> RecipeRecord:
        """How the student was trained, as far as it is known."""
        return self.case.recipe_record

    @property
    def history(self) -> pd.DataFrame | None:
        """Learning curves, or None."""
        return self.case.history

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed on the way, one sentence each."""
        return (*self.case.notes, *self.data.notes)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the logits."""
        count = self.outputs(Model.STUDENT, Split.TRAIN).logits.shape[1]
        found = (self.data.train.classes, self.data.heldout.classes)
        return names_of(self.case.classes, found, count)

    def rng(self, name: str) -> np.random.Generator:
        """Return the seeded generator of that name; the same at each call."""
        return seeded(self.settings.seed, name)

    def missing(self, needs: frozenset[Need]) -> str | None:
        """Return why a probe with these needs cannot run, or None where it can."""
        recipe = self.recipe.recipe
        there = {
            Need.TRAIN_PROBES: self.settings.train_probes,
            Need.PIPELINES: self.data.given,
            Need.TEACHER_MODEL: self.scorer.runs(Model.TEACHER),
            Need.HISTORY: self.history is not None and len(self.history) > 0,
            Need.STUDENT_FEATURES: self.scorer.head(Model.STUDENT) is not None,
            Need.LOSS_WEIGHTS: recipe.task_weight is not None and recipe.temperature is not None,
            Need.FACTORY: self.case.student_factory is not None,
        }
        return next((need.value for need in Need if need in needs and not there[need]), None)

    def same_pipeline(self, one: str, other: str) -> bool:
        """Tell whether two pipeline names mean the same callable."""
        return self.data.same[one] == self.data.same[other]

    def once(self, name: str, work: Callable[[], T]) -> T:
        """Return what `work` gives, done once for the rows used: several probes ask for it."""
        if name not in self._once:
            self._once[name] = work()
        return cast(T, self._once[name])

    def device_name(self) -> str:
        """Return what the student runs on."""
        return self.scorer.device_name(Model.STUDENT)

    # -- looking ---------------------------------------------------------------------------

    def rounds(self) -> list[int]:
        """Return the numbers of rows a split after which looking may stop."""
        most = min(self._reading.longest(), self.settings.max_samples)
        return rounds(most, self.settings.batch_size)

    def passes(self, rows: int) -> int:
        """Return how many rows go through a model to look at `rows` of each split."""
        return 2 * self._reading.count(rows)

    def preparing_seconds(self) -> float:
        """Return what reading and preparing inputs has taken so far."""
        return self._reading.seconds()

    def extend(self, rows: int) -> None:
        """Look at rows of each split up to `rows`, in reading order, through both models."""
        own = {(m, s, self._own_view(m, s)) for m in Model for s in Split}
        self._parts = {key: parts for key, parts in self._parts.items() if key in own}
        for split in Split:
            for span in self._reading.spans(split, self.used, rows):
                self._look(split, *span)
        self.used = rows
        self._whole.clear()
        self._once.clear()
        self.__dict__.pop("_rows", None)

    def _look(self, split: Split, part: int, start: int, stop: int) -> None:
        classes = []
        for model in Model:
            view = self._own_view(model, split)
            found = self._pass(model, split, view, part, start, stop, self.bare)
            parts = self._parts.setdefault((model, split, view), [])
            parts[part:] = [joined([*parts[part:], found])]
            classes.append(found.logits.shape[1])
            self.progress.advance(stop - start)
        check_same_classes(*classes)

    def _own_view(self, model: Model, split: Split) -> View:
        return View(self.data.same[own_pipeline(model, split)])

    # -- arrays ----------------------------------------------------------------------------

    def rows(self, split: Split) -> SplitRows:
        """Return labels, halves and groups of the rows used of a split."""
        return self._rows[split]

    def outputs(self, model: Model, split: Split, pipeline: str | None = None) -> Outputs:
        """Return what a model says of the rows used of a split.

        Parameters
        ----------
        model, split
            Which.
        pipeline : {'train', 'inference', 'teacher'}, optional
            What makes the inputs; left out, the one that the model eats there.
        """
        return self._seen(
            model, split, View(self.data.same[pipeline or own_pipeline(model, split)])
        )

    def current(self, model: Model, split: Split) -> Outputs:
        """Return the same on top of what was proven so far."""
        return self._standing_on(self.stack, model, split)

    def under(self, model: Model, split: Split, intervention: Intervention) -> Outputs:
        """Return the same on top of what was proven so far and one more intervention."""
        return self._standing_on(self.stack.with_(intervention), model, split)

    def believe(self, intervention: Intervention) -> None:
        """Let later probes stand on an intervention."""
        self.stack.push(intervention)

    def offer(
        self, name: str, *, transform: Transform | None = None, module: nn.Module | None = None
    ) -> None:
        """Make the transform or the changed student of an intervention known by its name."""
        if transform is not None:
            self.stack.transforms[name] = transform
        if module is not None:
            self.scorer.add(name, module)

    def reads_differ(self, split: Split, count: int) -> bool:
        """Tell whether the first rows of a split give other model inputs when read again."""
        names = {self._own_view(model, split).pipeline for model in Model}
        return self._reading.differs(split, min(count, self.used), names)

    # -- short passes ----------------------------------------------------------------------

    def some(self, split: Split, mask: NDArray[np.bool_], rows: int = SHORT) -> NDArray[np.int64]:
        """Return the first `rows` positions at which `mask` is True; a random choice of rows."""
        return np.flatnonzero(mask)[:rows].astype(np.int64)

    def inputs(
        self, split: Split, positions: NDArray[np.int64], pipeline: str | None = None
    ) -> torch.Tensor:
        """Return the model-ready inputs (n, …) at positions of the rows used."""
        name = self.data.same[pipeline or own_pipeline(Model.STUDENT, split)]
        return self._reading.at(split, positions, self.used, name)

    def mended_inputs(self, split: Split, positions: NDArray[np.int64]) -> torch.Tensor:
        """Return inputs through the train pipeline, with what was proven to mend them."""
        found = self.inputs(split, positions, "train")
        if split is Split.TRAIN:
            return found
        for name in self.stack.corrections():
            found = self.stack.transforms[name](found)
        return found

    def score(
        self,
        model: Model,
        batches: torch.Tensor | Iterable[torch.Tensor],
        labels: NDArray[np.int64],
        *,
        variant: str = "",
    ) -> Outputs:
        """Return what a model (or a variant offered by name) says of model-ready inputs."""
        wanted = [batches] if isinstance(batches, torch.Tensor) else batches
        found = self.scorer.run(model, wanted, variant=variant)
        return Outputs.of(found.logits, labels, found.features)

    # -- inside ----------------------------------------------------------------------------

    @cached_property
    def _rows(self) -> dict[Split, SplitRows]:
        return {s: self._reading.rows(s, self.used, self.case.groups) for s in Split}

    def _seen(self, model: Model, split: Split, view: View) -> Outputs:
        key = (model, split, view)
        if key not in self._parts:
            self._parts[key] = [
                self._pass(model, split, view, *span, None)
                for span in self._reading.spans(split, 0, self.used)
            ]
        if key not in self._whole:
            self._whole[key] = joined(self._parts[key])
        return self._whole[key]

    def _standing_on(self, stack: Stack, model: Model, split: Split) -> Outputs:
        own = self.data.same[own_pipeline(model, split)]
        view = stack.view(model, split, own, self.data.same["train"])
        return stack.mended(self._seen(model, split, view), model, split, self.rows(split).labels)

    def _pass(
        self,
        model: Model,
        split: Split,
        view: View,
        part: int,
        start: int,
        stop: int,
        meter: Meter | None,
    ) -> Outputs:
        reading, order = self._reading, self._reading.index(split, part)
        batches = reading.batches(split, part, start, stop, view.pipeline)
        if self.scorer.runs(model):
            changed = self.stack.apply(batches, view)
            found = self.scorer.run(model, changed, variant=view.variant, meter=meter)
            logits, features = found.logits, found.features
        else:
            if len(reading.labels(split, part)) < stop:
                for _ in batches:  # the labels are still to be read
                    pass
            logits = self.scorer.stored(split, part, order[start:stop], len(order))
            features = None
        labels = reading.labels(split, part)[start:stop]
        name = "test" if part == 1 else str(split)
        check_labels(labels, order[start:stop], logits.shape[1], str(model), name)
        lost = int(broken_rows(logits).sum())
        if lost and meter is not None:
            self.broken[model, split] = self.broken.get((model, split), 0) + lost
        return Outputs.of(logits, labels, features)
