"""Fit test: could a larger student follow the teacher where this one cannot?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gapdoctor.domain.causes import Cause
from gapdoctor.domain.findings import Claim, Evidence, Finding, Floats, Interval, Side, Skipped
from gapdoctor.domain.recipe import Optimizer, Recipe, Schedule
from gapdoctor.observe.borrow import own_random_state
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.forward import Forward
from gapdoctor.observe.observations import Need, Observations
from gapdoctor.probes._base import Probe
from gapdoctor.stats.calibration import kl
from gapdoctor.stats.intervals import mean_interval
from gapdoctor.training.loop import Length, fit
from gapdoctor.training.rows import TrainingRows, rows_of_tensors

LESSON = Recipe(
    batch_size=64,
    optimizer=Optimizer.ADAM,
    weight_decay=0.0,
    schedule=Schedule.COSINE,
    task_weight=0.0,
    temperature=1.0,
    label_smoothing=0.0,
)
"""The distillation loss alone, whatever the student's own recipe is."""


@dataclass(frozen=True)
class FitTest(Probe):
    """Could a larger student follow the teacher where this one cannot?

    A fresh student and a fresh larger one (`[student] larger`) learn the same few rows, labelled by
    the teacher, for the same few steps: the distillation loss alone, the better of two learning
    rates each. What the student is left with beyond the larger one, K = KL(teacher ‖ student) row
    by row, is what its size costs. That K does not come down to 0 says nothing by itself: sound
    students need more steps than these.

    Only with --train-probes: it trains, on fresh models alone.
    """

    name: ClassVar[str] = "fit_test"
    order: ClassVar[int] = 88
    needs: ClassVar[frozenset[Need]] = frozenset({Need.TRAIN_PROBES, Need.FACTORY})

    rows: int = 256
    """Train rows that both learn."""
    fewest: int = 32
    """Train rows below which nothing is told."""
    steps: int = 200
    """Steps that each takes."""
    rates: tuple[float, ...] = (3e-3, 1e-2)
    """Learning rates of Adam that each is tried with."""
    limit: float = 0.05
    """Nats of K that the larger student must be better by (measured: 0.003 to 0.011 for sound
    students, 0.24 to 0.94 for students too small)."""
    strength: float = 2.0
    """Log-odds where the larger student fits better."""
    against: float = -1.5
    """Log-odds where it does not."""

    def examine(self, seen: Observations) -> Finding | Skipped:
        """Let both learn the same rows."""
        student, larger = seen.case.student_factory, seen.case.larger_factory
        assert student is not None
        if larger is None:
            return Skipped(
                self.name, "no larger student; give [student] larger, such as { width = 32 }"
            )
        train = seen.rows(Split.TRAIN)
        some = seen.some(Split.TRAIN, train.choosing, self.rows)
        if len(some) < self.fewest:
            return Skipped(self.name, f"{len(some)} train rows; a fit shows from {self.fewest}")
        left = [self._left(seen, build, some) for build in (student, larger)]
        if not all(np.isfinite(k).all() for k in left):
            return Skipped(self.name, "a fresh student diverged at every learning rate")
        worse = mean_interval(left[0] - left[1], seen.rng(self.name))
        claims = self._claims(worse, [float(k.mean()) for k in left])
        return Finding(self.name, claims)

    def _left(
        self, seen: Observations, build: Callable[[], nn.Module], some: NDArray[np.int64]
    ) -> Floats:
        """KL(teacher ‖ student) of each row (n,) after the lesson, at the better learning rate."""
        inputs = seen.inputs(Split.TRAIN, some, "train")
        lesson = rows_of_tensors(inputs, torch.from_numpy(seen.rows(Split.TRAIN).labels[some]))
        taught = seen.outputs(Model.TEACHER, Split.TRAIN).logits[some]
        found = [
            kl(taught, logits) if np.isfinite(logits).all() else np.full(len(some), np.inf)
            for logits in self._trained(seen, build, inputs, lesson, taught)
        ]
        return min(found, key=lambda left: float(left.mean()))

    def _trained(
        self,
        seen: Observations,
        build: Callable[[], nn.Module],
        inputs: torch.Tensor,
        lesson: TrainingRows,
        taught: NDArray[np.float32],
    ) -> Iterator[NDArray[np.float32]]:
        """Logits (n, C) of a fresh student after the lesson, at each learning rate."""
        device = seen.scorer.device(Model.STUDENT)
        for rate in self.rates:
            with own_random_state(seen.settings.seed):
                fresh = build()
            recipe = Recipe(**LESSON.known() | {"lr": rate})
            done = fit(
                fresh, torch.from_numpy(taught), lesson, recipe, Length(steps=self.steps),
                seed=seen.settings.seed, device=device, in_place=True,
            )  # fmt: skip
            scored = Forward(done.student, "student", device, seen.settings.batch_size)
            logits = scored.run([inputs]).logits
            seen.scorer.spend(done.samples + scored.meter.samples)
            yield logits

    def _claims(self, worse: Interval, left: list[float]) -> tuple[Claim, ...]:
        shown = worse.low > 0 and worse.value > self.limit
        if not shown and worse.high > self.limit:
            return ()
        speaks: Literal["for", "against"] = "for" if shown else "against"
        evidence = Evidence(
            self.name,
            f"After {self.steps} steps on the same rows a fresh student is left with "
            f"{left[0]:.3g} nats from its teacher, a larger one with {left[1]:.3g}: "
            f"{worse.value:.3g} more ({worse.low:.3g} to {worse.high:.3g}).",
            worse.value, self.limit, "nats", speaks,
        )  # fmt: skip
        strength = self.strength if shown else self.against
        return (
            Claim(
                Cause.CAPACITY_SHORTFALL, strength, "fit test", (evidence,), side=Side.FIT_DEFICIT
            ),
        )
