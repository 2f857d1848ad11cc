"""Teacher audit: is the control sound, and is it the teacher that the student copied?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gapdoctor.corrections._base import Context, Kind, Transform, all_candidates, kind_of
from gapdoctor.corrections._statistics import Statistics
from gapdoctor.domain.findings import Finding, Interval, Skipped, Warning_
from gapdoctor.observe.case import Model, Split
from gapdoctor.observe.measures import measure_gap
from gapdoctor.observe.observations import Observations, own_pipeline
from gapdoctor.observe.outputs import Outputs
from gapdoctor.observe.training_view import BATCH, on_batch_statistics
from gapdoctor.probes._base import Probe
from gapdoctor.stats.calibration import kl
from gapdoctor.stats.intervals import mean_interval, wilson

VARIANT = "teacher on batch statistics"
TRAIN_MODE = "in train mode, BatchNorm on batch statistics"
Rows = NDArray[np.int64]
Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Condition:
    """One way in which the teacher may have been run."""

    label: str
    transform: Transform | None = None
    """Of the inputs; None: the teacher itself is changed (`VARIANT`)."""


@dataclass(frozen=True)
class Likeness:
    """How near the student is to the declared teacher, and to one under a condition."""

    kl: tuple[float, float]
    """Mean KL(teacher ‖ student), nats."""
    agreement: tuple[float, float]
    """Share of rows with the same predicted class."""
    nearer: bool
    """Whether the second teacher is the one that was copied."""


@dataclass(frozen=True)
class TeacherAudit(Probe):
    """Is the teacher a sound control, and is it the one that the student copied?

    Every number is read against the teacher's, so a broken or wrongly fed teacher voids the
    ranking: one that is hardly better than chance (each class counting alike), or that gets most of
    its loss back on its own train rows by a fixed transform of the inputs or by BatchNorm in train
    mode. So does a student that is no better than chance on its train rows: an untrained head or
    weights loaded in part.

    The fidelity fingerprint then asks which teacher the student copied: the KL divergence
    KL(T∘g ‖ S) on train rows over conditions g (fixed corrections of the teacher's inputs, train
    mode). Where one of them is clearly nearer than the declared teacher and agrees with the student
    more often, on train rows that did not choose it and on held-out rows as well, the student was
    taught by a teacher that was fed otherwise. (On train rows alone a student that generalises
    would look nearer to any teacher that has not learned them by heart.)

    The conditions are tried only where the student is far from its teacher or the teacher's train
    loss is high: a close copy of a sound teacher needs no other explanation.
    """

    name: ClassVar[str] = "teacher_audit"
    order: ClassVar[int] = 5

    chance: float = 1.5
    """Times the accuracy of chance below which a model counts as broken."""
    margin: float = 0.1
    """Share of the way from chance to 1 that is enough, where few classes make chance likely."""
    uncertain: float = 0.3
    """Times ln C: teacher's train loss above which its inputs are tried otherwise."""
    screen_rows: int = 48
    """Train rows on which every condition is tried."""
    rows: int = 300
    """Further train rows on which the best of them are proven; as many held-out rows."""
    nearer: float = 0.7
    """Share of the declared teacher's KL below which another condition is the one copied."""
    least: float = 0.02
    """Nats by which it must be nearer at least."""
    heals: float = 0.5
    """Share of the teacher's loss on train rows that a condition must return for it to count as
    wrongly fed."""

    def examine(self, seen: Observations) -> Finding | Skipped:
        """Look at accuracies first, then for the condition that the student copied."""
        warnings = self._broken(seen)
        if self._in_doubt(seen):
            warnings += self._fed(seen)
        return Finding(self.name, warnings=tuple(warnings))

    def _broken(self, seen: Observations) -> list[Warning_]:
        chance = 1 / len(seen.classes)
        limit = min(self.chance * chance, chance + self.margin * (1 - chance))
        found = []
        for model in Model:
            shares = [_balanced(seen, model, split) for split in Split]
            share = shares[0]
            if share.high >= limit or (model is Model.TEACHER and shares[1].value >= limit):
                continue
            what = (
                "the control is broken, wrongly fed, or numbers its classes otherwise"
                if model is Model.TEACHER
                else "its head is untrained, its weights were loaded in part, or its training "
                "never got off the ground"
            )
            found.append(
                Warning_(
                    f"{model}_at_chance",
                    f"The {model} is right on {share.value:.1%} of the train rows (each class "
                    f"counting alike), where chance is {chance:.1%}: {what}.",
                    voids=True,
                )
            )
        return found

    # -- how the teacher was fed -------------------------------------------------------------

    def _in_doubt(self, seen: Observations) -> bool:
        if not seen.scorer.runs(Model.TEACHER):
            return False
        student, teacher = (seen.outputs(model, Split.TRAIN) for model in Model)
        if len(teacher.loss) < 2 * self.screen_rows:
            return False
        apart = float(kl(teacher.logits, student.logits).mean())
        return (
            apart > measure_gap(seen).limit
            or float(teacher.loss.mean()) > self.uncertain * np.log(len(seen.classes))
        )  # fmt: skip

    def _fed(self, seen: Observations) -> list[Warning_]:
        train = seen.rows(Split.TRAIN)
        some = _finite(seen, seen.some(Split.TRAIN, train.choosing, self.screen_rows + self.rows))
        if len(some) < 2 * self.screen_rows:
            return []
        screened, proving = some[: self.screen_rows], some[self.screen_rows :]
        conditions = self._conditions(seen, screened)
        if not conditions:
            return []
        student, teacher = (seen.outputs(model, Split.TRAIN) for model in Model)
        tried = self._screened(seen, conditions, screened)
        apart = [float(kl(o.logits, student.logits[screened]).mean()) for o in tried]
        losses = [float(o.loss.mean()) for o in tried]
        copied, healed = (int(np.argmin(values)) for values in (apart, losses))
        declared = float(kl(teacher.logits[screened], student.logits[screened]).mean())
        warnings = []
        # The best of many on these rows is flattered: no better here is no better anywhere.
        if apart[copied] < declared:
            warnings += self._copied(seen, conditions[copied], proving)
        if losses[healed] < float(teacher.loss[screened].mean()):
            warnings += self._healed(seen, conditions[healed], proving)
        return warnings

    def _conditions(self, seen: Observations, some: Rows) -> list[Condition]:
        found = []
        teacher = seen.case.teacher
        twin = on_batch_statistics(teacher) if isinstance(teacher, nn.Module) else None
        if twin is not None:
            seen.scorer.add(VARIANT, twin)
            found.append(Condition(TRAIN_MODE))
        inputs = seen.inputs(Split.TRAIN, some, "teacher")
        shape = tuple(inputs.shape[1:])
        if not inputs.is_floating_point() or kind_of(shape) is Kind.OTHER:
            return found
        own = Statistics.of(inputs)
        candidates = all_candidates(Context(own, own, shape))
        fixed = [c for c in candidates if c.undo is not None and c.fitted == 0]
        return found + [Condition(c.label, c.undo) for c in fixed]

    def _screened(
        self, seen: Observations, conditions: list[Condition], some: Rows
    ) -> list[Outputs]:
        """Run every condition on a few rows; all transforms in one pass of the teacher."""
        labels = seen.rows(Split.TRAIN).labels[some]
        inputs = seen.inputs(Split.TRAIN, some, "teacher")
        changes = [c.transform for c in conditions if c.transform is not None]
        batches = (change(inputs) for change in changes)
        many = np.tile(labels, len(changes))
        logits = seen.score(Model.TEACHER, batches, many).logits if changes else None
        parts = iter([] if logits is None else np.split(logits, len(changes)))
        return [
            self._run(seen, c, Split.TRAIN, some)
            if c.transform is None
            else Outputs.of(next(parts), labels)
            for c in conditions
        ]

    def _run(self, seen: Observations, condition: Condition, split: Split, some: Rows) -> Outputs:
        inputs = seen.inputs(split, some, "teacher")
        labels = seen.rows(split).labels[some]
        if condition.transform is not None:
            return seen.score(Model.TEACHER, condition.transform(inputs), labels)
        size = max(2, min(seen.recipe.recipe.batch_size or BATCH, seen.settings.batch_size))
        batches = torch.tensor_split(inputs, max(1, len(inputs) // size))
        return seen.score(Model.TEACHER, batches, labels, variant=VARIANT)

    def _copied(self, seen: Observations, condition: Condition, some: Rows) -> list[Warning_]:
        held = seen.some(Split.HELDOUT, seen.rows(Split.HELDOUT).choosing, self.rows)
        if len(held) < self.screen_rows:
            return []
        told = self._told(seen, condition, Split.TRAIN, some)
        if not (told.nearer and self._told(seen, condition, Split.HELDOUT, held).nearer):
            return []
        fed = "" if condition.transform is None else "fed otherwise: "
        return [
            Warning_(
                "other_teacher_copied",
                f"The student is nearer to another teacher than the declared one "
                f"({fed}{condition.label}; on train rows they agree on {told.agreement[1]:.1%} "
                f"against {told.agreement[0]:.1%}, KL {told.kl[1]:.3g} against {told.kl[0]:.3g} "
                "nats): the teacher that it was trained with was run otherwise than here.",
            )
        ]

    def _told(self, seen: Observations, condition: Condition, split: Split, some: Rows) -> Likeness:
        """How like the student is to the declared teacher and to the one under a condition.

        Both models eat what they ate in training, on held-out rows too. Agreement must rise along
        with the fall of KL: an unsure student is near to any teacher that is less sure.
        """
        student = self._as_trained(seen, Model.STUDENT, split, some)
        teachers = (
            self._as_trained(seen, Model.TEACHER, split, some),
            self._run(seen, condition, split, some).logits,
        )
        apart = [kl(logits, student) for logits in teachers]
        agree = [(logits.argmax(1) == student.argmax(1)).astype(np.float64) for logits in teachers]
        closer = mean_interval(apart[0] - apart[1], seen.rng(self.name))
        more = mean_interval(agree[1] - agree[0], seen.rng(self.name))
        before, after = (float(values.mean()) for values in apart)
        nearer = after < self.nearer * before and closer.low > self.least and more.low > 0
        return Likeness((before, after), (float(agree[0].mean()), float(agree[1].mean())), nearer)

    def _as_trained(self, seen: Observations, model: Model, split: Split, some: Rows) -> Logits:
        """What a model says of rows through the pipeline that it was trained with."""
        pipeline = "train" if model is Model.STUDENT else "teacher"
        if seen.same_pipeline(pipeline, own_pipeline(model, split)):
            return seen.outputs(model, split).logits[some]
        inputs = seen.inputs(split, some, pipeline)
        return seen.score(model, inputs, seen.rows(split).labels[some]).logits

    def _healed(self, seen: Observations, condition: Condition, some: Rows) -> list[Warning_]:
        loss = seen.outputs(Model.TEACHER, Split.TRAIN).loss[some]
        healed = self._run(seen, condition, Split.TRAIN, some).loss
        back = mean_interval(loss - healed, seen.rng(f"{self.name} fed"))
        if back.low <= max(measure_gap(seen).limit, self.heals * float(loss.mean())):
            return []
        told = f"The teacher gets {back.value:.3g} of its {loss.mean():.3g} nats on train rows back"
        if condition.transform is None:
            return [
                Warning_(
                    "teacher_stale_batchnorm",
                    f"{told} {condition.label}: its running statistics are not those of its train "
                    "data, and it is no sound control.",
                    voids=True,
                )
            ]
        return [
            Warning_(
                "teacher_wrongly_fed",
                f"{told} by one fixed transform of its inputs ({condition.label}): it is fed "
                "wrongly. Name its own pipeline in [preprocess] teacher.",
                voids=True,
            )
        ]


def _finite(seen: Observations, some: Rows) -> Rows:
    """Those of the train rows that hold no NaN or infinity: a transform is fitted to them."""
    inputs = seen.inputs(Split.TRAIN, some, "teacher")
    finite = inputs.flatten(1).isfinite().all(dim=1).numpy()
    return np.asarray(some[finite])


def _balanced(seen: Observations, model: Model, split: Split) -> Interval:
    """Accuracy with each class counting alike, with a score interval of as many rows."""
    labels, correct = seen.rows(split).labels, seen.outputs(model, split).correct
    counts = np.bincount(labels)
    hits = np.bincount(labels, weights=correct.astype(np.float64))
    share = float((hits[counts > 0] / counts[counts > 0]).mean())
    return wilson(share * len(labels), len(labels))
